"""Where a recorder's snapshots go: the directory, the run begun in it, the splits in the run."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huelapse.capture import Capture, Captured
from huelapse.schema import PREDICTED, TRUE, VERSION, Grouping, Split, SplitKind
from huelapse.store import StoreWriter, WriterThread, check_free, free_directory


def take_directory(run: Path, exist: str) -> Path:
    """The absolute directory a run will be written to; nothing is made yet unless `exist` is "new".

    Raises:
        RunExistsError: it holds a run, and `exist` is "error".
    """
    if exist not in ("error", "new"):
        raise ValueError(f'exist is {exist!r}, expected "error" or "new"')
    run = run.absolute()  # the loop may change its working directory
    if exist == "error":
        check_free(run)
        return run
    run = free_directory(run)
    run.mkdir(parents=True, exist_ok=True)
    (run / "lock").touch()  # taken: a second recorder goes on to the next number
    return run


def begin_run(
    run: Path,
    *,
    name: str,
    capture: Capture,
    config: Any,
    on_commit: Callable[[str, int], None] | None,
) -> WriterThread:
    """Begin the run, with the layer table and provenance, and the thread that writes it."""
    store = StoreWriter(
        run,
        name=name,
        layers=capture.layers,
        facts={
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "huelapse": VERSION,
            **capture.facts(),
            "config": config,
        },
    )
    return WriterThread(store, on_commit)


def describe_split(
    name: str,
    kind: SplitKind,
    captured: Captured,
    classes: Sequence[str],
    probe_hash: str | None = None,
) -> Split:
    """A split as its first snapshot shows it."""
    facts: dict[str, Any] = {
        "samples": captured.samples,
        "mode": "train" if captured.training else "eval",
        "measures": {"version": 1},
    }
    if probe_hash is not None:
        facts["hash"] = probe_hash
    return Split(
        name=name,
        kind=kind,
        groupings=tuple(Grouping(name=g, classes=tuple(classes)) for g in (TRUE, PREDICTED)),
        facts=facts,
    )
