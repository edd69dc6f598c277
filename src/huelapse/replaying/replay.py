"""`huelapse.replay`: from checkpoints to snapshots."""

import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from huelapse.errors import OptionError
from huelapse.grouping import Classes
from huelapse.recording.filing import take_directory
from huelapse.recording.options import whole
from huelapse.replaying import roster
from huelapse.replaying.asked import Asked
from huelapse.replaying.checkpoints import Places, places_of
from huelapse.replaying.committing import clear, standing
from huelapse.replaying.driving import Driver
from huelapse.replaying.engines import Engine, Job
from huelapse.replaying.engines.choosing import bucket_for, engine_for
from huelapse.replaying.gathering import check_writable, directory_of
from huelapse.replaying.named import Named
from huelapse.replaying.options import as_checked, as_plain, check, data_of, like_before
from huelapse.replaying.report import Report, Watch
from huelapse.replaying.shards import shard_of
from huelapse.replaying.steps import StepFrom
from huelapse.schema import Layer
from huelapse.store import check_split_name
from huelapse.store.partial import PARTIAL
from huelapse.store.unfinished import remove_unfinished
from huelapse.superclasses import Superclasses

MEMORY = 2 * 2**30
"""Bytes of samples kept by all workers together."""


def replay(
    checkpoints: Places,
    run: str | PathLike[str],
    *,
    model: Named,
    data: Any,
    classes: Classes | None = None,
    split: str = "val",
    samples: Literal["all", "probe"] | int = "all",
    step: StepFrom = "auto",
    key: str | None = None,
    non_finite: bool = False,
    batch: int | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    arrays: tuple[str, str] | None = None,
    label_fn: Named | None = None,
    layers: Literal["all"] | Sequence[str] | Callable[[Layer], bool] | str | None = None,
    unit_axis: Mapping[str, int] | None = None,
    response: Literal["mean", "peak"] | Sequence[Literal["mean", "peak"]] = "mean",
    tokens: Literal["mean", "class", "last"] = "mean",
    output: Literal["logits", "log-probability", "probability"] | None = None,
    superclasses: Superclasses | None = None,
    groupings: Mapping[str, tuple[Sequence[str] | int, Any]] | Named | None = None,
    multilabel: bool = False,
    ignore_index: int = -100,
    keep_responses: Literal["auto"] | bool | int = "auto",
    maps: bool | Sequence[str] = False,
    watch: int | Sequence[int] = 0,
    first_weights: bool = False,
    thumbnails: bool | tuple[Any, Any] = False,
    max_bytes: int | None = None,
    device: str = "auto",
    autocast: str | None = None,
    channels_last: bool = False,
    inference_mode: bool = False,
    workers: int | None = None,
    parts: int = 1,
    shard: str | tuple[int, int] | None = None,
    parts_at: str | None = None,
    memory: int = MEMORY,
    timeout: float | None = None,
    fetch: Named | None = None,
    delete_fetched: bool = False,
    name: str | None = None,
    engine: Literal["local", "ray"] | Callable[[Job], Engine] = "local",
    address: str | None = None,
    gpus: float | None = None,
    progress: Watch | None = None,
) -> Report:
    """Make a snapshot of each checkpoint: the same numbers that a recorder would have stored.

    What is in the run already is not done again, so an interrupted replay goes on when it is called
    once more. A checkpoint that cannot be replayed is told in the report, and the others go on.

    Args:
        checkpoints: paths, globs, folders of checkpoints, addresses for `fetch`; "@list.txt" names a
            file with one of them a line. `.safetensors`, or `.pt`, `.pth`, `.ckpt`, `.bin` that
            hold tensors and plain values alone; folders of Transformers.
        run: directory of the run; made, gone on with, or given another split.
        model: a function that gives the model, or its name "package.module:function" or
            "file.py:function". Weights are found in a checkpoint by the model's own names.
        data: a function that gives the samples (Dataset, DataLoader, pair of tensors, iterable of
            batches, Hugging Face data set), its name, or the samples themselves; or the path of an
            `.npz` with inputs and labels, or of a folder with one of images for each class.
        classes: their names in order of index, or how many; None where the data say.
        split: what it is filed under.
        samples: "all", "probe" for the balanced choice of a `Recorder`'s probe, or at most so many,
            balanced.
        step: how a checkpoint's step is told: "auto" (its name, else what it holds), "name",
            "checkpoint", or a function of its path.
        key: where in a checkpoint the weights stand, where several places fit.
        non_finite: also replay weights that are NaN or infinite.
        batch: samples of one forward; by default the loader's own, or 128.
        image_size, mean, std: of images in a folder, an npz or a Hugging Face data set: the shorter
            side is made so long and the middle cut out; the normalization of each channel.
        arrays: names of inputs and labels in the npz.
        label_fn, layers, unit_axis, response, tokens, output, superclasses, groupings, multilabel,
            ignore_index, keep_responses, maps, watch, first_weights, thumbnails: as for `Recorder`.
            Functions may be given by name, and groupings as a function that gives them; with several
            workers they must be where those can import them.
        max_bytes: the most memory that what is recorded may take, in a worker and where snapshots are
            committed together, samples apart. Where it is less than all would take, kept responses
            are left out, then groupings, then layers, the widest first; the forecast names them.
        device: "auto" for a GPU where there is one, "cpu", "cuda", "cuda:1".
        autocast: "bfloat16" or "float16", for forwards in mixed precision.
        channels_last: pictures and convolutions in that layout.
        inference_mode: forwards inside `torch.inference_mode()` rather than `torch.no_grad()`.
        workers: processes, 1 by default; more than one have one torch thread each, and a GPU each in
            turns. With Ray by default one on each CPU, or GPU, of the cluster.
        parts: into how many the samples of each checkpoint are divided: more tasks, for fewer
            checkpoints than workers.
        shard: (i, n), "i/n" or "env": do every n-th task alone, from the i-th on, and commit
            nothing: `commit` does so when all have ended.
        parts_at: `s3://bucket/key`, where parts are put for machines that share no disk: by a shard,
            whose `run` is then but where it works, and by workers on a cluster. An address for each
            run.
        memory: bytes of decoded samples kept by all workers together; with Ray, on each machine.
        timeout: seconds after which a task of several workers is given up and tried again.
        fetch: a function from an address to a local path.
        delete_fetched: remove what was fetched once it is not needed any more.
        name: of a run that is begun.
        engine: "local"; "ray", for a cluster; or another way of running tasks: a function from a
            `Job` to an `Engine`.
        address: of the Ray cluster: "auto", "host:port", "ray://host:port"; None for what RAY_ADDRESS
            says, else one on this machine that ends with the replay.
        gpus: of each Ray worker, such as 1 or 0.25; by default 1 where the cluster has some and
            `device` lets them be used.
        progress: called now and then, in this thread.

    Raises:
        ReplayError, OptionError: checkpoints that are not there or of the same step, options that
            cannot be, a run of something else.
        MissingExtraError: Ray is asked for and not installed.
        FactoryError: a function that is not there; or the function of steps fails.
        RunPathError, RunLockedError, FormatError: the run cannot be written.
        PlaceError: the bucket cannot be reached, or may not be used.
    """
    asked = Asked(
        model=model,
        data=data_of(data, image_size=image_size, mean=mean, std=std, arrays=arrays),
        split=check_split_name(split),
        classes=as_plain(classes),
        samples=samples,
        batch=whole("batch", batch),
        parts=whole("parts", parts) or 1,
        label_fn=label_fn,
        layers=layers,
        unit_axis=dict(unit_axis or {}),
        response=response,
        tokens=tokens,
        output=output,
        superclasses=as_checked(superclasses, classes),
        groupings=groupings,
        multilabel=multilabel,
        ignore_index=ignore_index,
        keep_responses=keep_responses,
        maps=maps,
        watch=watch,
        first_weights=first_weights,
        thumbnails=thumbnails,
        max_bytes=whole("max_bytes", max_bytes),
        key=key,
        nonfinite=non_finite,
        device=device,
        autocast=autocast,
        channels_last=channels_last,
        inference_mode=inference_mode,
    )
    check(asked)
    workers = whole("workers", workers)
    if engine not in ("local", "ray") and not callable(engine):
        raise OptionError(
            f"engine is {engine!r}, expected local, ray, or a function that gives one"
        )
    if engine != "ray" and (address is not None or gpus is not None):
        raise OptionError("address and gpus are of the engine ray alone: engine='ray'")
    own = shard_of(shard)
    bucket = bucket_for(parts_at, own, engine)
    place = take_directory(run, "resume")[1] if own is None else directory_of(run)
    there = standing(place, asked.split)
    if bucket is not None:
        check_writable(place)
        noted = bucket.begin(place, asked)
        if own is None:
            bucket.notes.check_run(place)
        else:
            there = noted
    asked = like_before(asked, place, there)
    report = Report(run=str(place), split=asked.split, parts_at=bucket and bucket.name)
    driver = Driver(
        asked=asked,
        run=place,
        report=report,
        progress=progress,
        name=name or place.name,
        shard=own,
        committing=own is None,
        bucket=bucket,
    )

    def say(job: roster.Roster) -> None:
        path = roster.leave(place, asked.digest, job)
        if bucket is not None:
            bucket.leave_roster(path)

    started = time.monotonic()
    remove_unfinished(place / PARTIAL)  # of workers that were killed when this was called before
    try:
        tasks = driver.tasks(places_of(checkpoints), step, fetch, there)
        job_of_array = None if own is None else roster.begun(own, [task.step for task in tasks])
        if job_of_array is not None:
            check_writable(place)
            say(job_of_array)
        if tasks:
            job = engine_for(
                asked,
                place,
                workers=workers,
                memory=memory,
                timeout=timeout,
                fetch=fetch,
                delete=delete_fetched,
                parts_at=report.parts_at,
                checkpoints=report.checkpoints,
                other=engine,
                address=address,
                gpus=gpus,
            )
            check_writable(place)
            driver.run(tasks, job)
        report.finished = True
        if job_of_array is not None:
            say(roster.ended(job_of_array, report.failed))
        if own is None and not report.failed and not report.waiting:
            if not tasks:
                driver.settle()
            if bucket is not None:
                bucket.clear(asked.digest)
            clear(place, asked.split, asked.digest)
    finally:
        remove_unfinished(place / PARTIAL)
        report.seconds = time.monotonic() - started
    return report
