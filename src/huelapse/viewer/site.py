"""A run as a folder of files, for any web server that serves files: nothing of it is computed there."""

import html
import json
import os
import shutil
from pathlib import Path

from huelapse.errors import ExportError, ExportExistsError
from huelapse.palette import Choice
from huelapse.run import Run
from huelapse.viewer.collecting import Done, nobody
from huelapse.viewer.parts import Parts
from huelapse.viewer.server import load_static
from huelapse.viewer.shelf import run_id
from huelapse.viewer.standalone import Exported, exported

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)


def write_site(
    run: Run,
    folder: Path,
    *,
    budget: int | None = None,
    colors: Choice | None = None,
    done: Done = nobody,
) -> Exported:
    """Write a run as a folder with an index.html.

    Args:
        run: its present state is written.
        folder: made; written beside and renamed at the end.
        budget: bytes that the run's files may have; None for everything.
        colors: of the classes, as for the viewer.
        done: called with the share of the work that is done, and what is being made.

    Raises:
        ExportError: the run has no snapshot, or not even its pictures have room.
        ExportExistsError: the folder is there.
        ServerError: the page is not built.
    """
    if folder.exists():
        raise ExportExistsError(
            f"{folder} is already there; name another folder, or remove it first"
        )
    if not folder.absolute().parent.is_dir():
        raise ExportError(f"{folder.parent} does not exist; name a folder in one that is there")
    parts = Parts(run, colors)
    static = load_static()
    found = parts.collect(budget, bytes, done)
    id_ = run_id(run)
    files = {name: content for name, (content, _) in static.items() if name}
    page = files["index.html"].decode()
    head = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    page = page.replace("<title>huelapse</title>", f"{head}<title>{html.escape(run.name)}</title>")
    files["index.html"] = page.encode()
    files["runs.json"] = json.dumps({"runs": [{"id": id_, "name": run.name}]}).encode()
    files[f"{id_}/manifest.json"] = json.dumps(found.manifest, allow_nan=False).encode()
    files |= {f"{id_}/{key}": content for key, content in found.content.items()}
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        for name, content in files.items():
            to = beside / name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(content)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return exported(sum(map(len, files.values())), found)
