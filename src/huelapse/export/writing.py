"""A run to a file: the form by its suffix, the file whole or not there."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from huelapse.errors import ExportError, ExportExistsError
from huelapse.export.rows import Selection, Source
from huelapse.store.atomic import check_place

FORMS = {".parquet": "parquet", ".csv": "csv", ".nc": "netcdf"}
"""Suffix → the module of this package that writes it."""

Write = Callable[[Path, Source, Selection, Callable[[int], None]], None]


def check(path: Path, *, force: bool = False) -> Write:
    """What writes to such a path.

    Raises:
        ExportError: a suffix that is not known, or no place for a file.
        ExportExistsError: there is a file, and it is not to be replaced.
        MissingExtraError: the library of this form is not installed.
    """
    if path.suffix.lower() not in FORMS:
        given = repr(path.suffix) if path.suffix else "no suffix"
        raise ExportError(
            f"{path} has {given}, which says no format; name the file {', '.join(FORMS)}, or .html "
            f"for the viewer in one file (huelapse export)"
        )
    check_place(path, force=force)
    write: Write = import_module(f"huelapse.export.{FORMS[path.suffix.lower()]}").write
    return write


def export(
    run: Source,
    path: Path,
    chosen: Selection,
    *,
    force: bool = False,
    done: Callable[[int], None] = lambda snapshots: None,
) -> None:
    """Write what is chosen of a run, a part of a snapshot at a time.

    It is written beside and renamed at the end: however this ends, the file is whole or as before.

    Args:
        run: where it is taken from; of a run that is being recorded, what was committed when it
            was opened.
        path: of the file; its suffix says the form.
        chosen: by `rows.select`.
        force: replace a file that is there.
        done: called with the number of snapshots written so far.

    Raises:
        ExportError, ExportExistsError, MissingExtraError: as `check`.
        FormatError: a part of the run is missing or damaged.
    """
    write = check(path, force=force)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(beside, run, chosen, done)
        if not force and path.exists():
            raise ExportExistsError(f"{path} was made by another program while this was written")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
