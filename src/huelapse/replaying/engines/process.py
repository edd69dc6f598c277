"""A worker of the pool, a process of its own: `python -m huelapse.replaying.engines.process`.

It reads tasks as lines of JSON and writes results likewise. When its input ends, so does it, at once:
whoever started it is gone.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huelapse.replaying.working import Worker

OFTEN = 0.25
"""Seconds between two words on progress."""


def main() -> None:
    """Serve until the input ends."""
    # what the user's code prints must not come between the lines
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    told: queue.Queue[dict[str, Any] | None] = queue.Queue()
    working = threading.Event()
    threading.Thread(target=_listen, args=(told, working), daemon=True).start()
    first = told.get()
    if first is None:
        return
    sys.path.extend(p for p in first["job"]["path"] if p not in sys.path)
    serve(first, told, out, working)


def worker_of(
    job: Mapping[str, Any], device: str | None, directory: Path | None = None
) -> "Worker":
    """The worker of a job, with one torch thread.

    Args:
        job: as `Job.as_json`.
        device: another than the job's.
        directory: another than the run's, where parts are handed over to a bucket.

    Raises:
        ReplayError: the device cannot be used.
    """
    import torch

    from huelapse.replaying.asked import Asked
    from huelapse.replaying.working import Worker

    torch.set_num_threads(1)
    return Worker(
        Asked.from_json(job["asked"]),
        directory or Path(job["run"]),
        checkpoints=job["checkpoints"],
        memory=job["memory"],
        fetch=job["fetch"],
        delete_fetched=job["delete_fetched"],
        parts_at=job["parts_at"],
        device=device,
    )


def serve(
    first: dict[str, Any],
    told: "queue.Queue[dict[str, Any] | None]",
    out: IO[str],
    working: threading.Event,
) -> None:
    """
    Args:
        first: the job and the device.
        told: tasks as they come; None at the end.
        out: where results go.
        working: set while a task is under way.
    """
    from huelapse.replaying.engines import Result, Task
    from huelapse.replaying.working import Worker

    def say(one: dict[str, Any]) -> None:
        out.write(json.dumps(one) + "\n")
        out.flush()

    count, last = 0, time.monotonic()

    def progress(samples: int) -> None:
        nonlocal count, last
        count += samples
        if time.monotonic() - last > OFTEN:
            say({"samples": count})
            count, last = 0, time.monotonic()

    say({"samples": 0})  # ready: the time of a task begins to count
    worker: Worker | None = None
    while (one := told.get()) is not None:
        working.set()
        task = Task(**one["task"])
        try:
            if worker is None:
                worker = worker_of(first["job"], first["device"])
        except Exception as error:
            say(Result(task=task, error=str(error)).as_json())
        else:
            result = worker.do(task, one["then"], progress)
            say({"samples": count})
            count = 0
            say(result.as_json())
        working.clear()
    if worker is not None:
        worker.close()


def _listen(told: "queue.Queue[dict[str, Any] | None]", working: threading.Event) -> None:
    for line in sys.stdin:
        told.put(json.loads(line))
    told.put(None)
    if working.is_set():  # nobody waits for what is under way
        os._exit(0)


if __name__ == "__main__":
    main()
