"""Which engine runs the tasks, and by which bucket their parts go."""

import sys
from collections.abc import Callable
from pathlib import Path

from huelapse.errors import OptionError, ReplayError
from huelapse.replaying.asked import Asked
from huelapse.replaying.engines import Engine, Job
from huelapse.replaying.in_bucket import InBucket
from huelapse.replaying.named import Named, name_of
from huelapse.replaying.shards import Shard


def engine_for(
    asked: Asked,
    run: Path,
    *,
    workers: int | None,
    memory: int,
    timeout: float | None,
    fetch: Named | None,
    delete: bool,
    parts_at: str | None,
    checkpoints: int,
    other: str | Callable[[Job], Engine],
    address: str | None,
    gpus: float | None,
) -> Engine:
    """How tasks are run: none of it changes a number."""
    from huelapse.replaying.engines.local import InProcess, Pool
    from huelapse.replaying.working import Worker

    if other == "local" and workers in (None, 1):
        worker = Worker(
            asked,
            run,
            checkpoints=checkpoints,
            memory=memory,
            fetch=fetch,
            delete_fetched=delete,
            parts_at=parts_at,
        )
        return InProcess(worker)
    named = None if fetch is None else name_of(fetch)
    if fetch is not None and named is None:
        raise ReplayError(
            "fetch is a function that other processes cannot find: put it in a module"
        )
    job = Job(
        run=str(run),
        asked=asked.as_json(),
        checkpoints=checkpoints,
        memory=memory if other == "ray" else memory // (workers or 1),
        fetch=named,
        delete_fetched=delete,
        parts_at=parts_at,
        path=tuple(str(Path.cwd()) if p == "" else p for p in sys.path),
    )
    if not isinstance(other, str):
        return other(job)
    if other == "ray":
        from huelapse.replaying.engines.ray import RayActors

        return RayActors(job, workers, address=address, gpus=gpus, timeout=timeout)
    return Pool(job, workers or 1, timeout=timeout, devices=_devices(asked.device))


def bucket_for(
    parts_at: str | None, own: Shard | None, engine: str | Callable[[Job], Engine]
) -> InBucket | None:
    """Where parts are put, tried out before anything long is begun.

    Raises:
        OptionError: it is no address, or nothing is put there.
        PlaceError: it cannot be reached, or may not be used.
    """
    if parts_at is None:
        return None
    if own is None and engine == "local":
        raise OptionError(
            "parts_at is for machines that share no disk: shards (--shard i/n) and workers on a "
            "cluster (--engine ray). Here all is written on this one: leave it out"
        )
    bucket = InBucket(parts_at)
    bucket.try_out()
    return bucket


def _devices(device: str) -> tuple[str, ...]:
    """One for each worker, in turns."""
    import torch

    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return ()
    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
