"""One task: a checkpoint's weights, the samples of a part through them, a file of what came of it."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.capture import Capture, Captured, ProbeBatch, SameSamples, run_probe
from huelapse.errors import FactoryError, HuelapseError, PartialError, PlaceError
from huelapse.replaying import weights
from huelapse.replaying.asked import Asked
from huelapse.replaying.beginning import Beginning, file_of, is_left, leave
from huelapse.replaying.engines import Progress, Result, Task
from huelapse.replaying.in_bucket import InBucket
from huelapse.replaying.loading import Loaded, Loading
from huelapse.replaying.making import Made
from huelapse.replaying.named import Named
from huelapse.replaying.naming import key_of, part_name
from huelapse.replaying.steps import epoch_by_name
from huelapse.schema import PREDICTED, TRUE, VERSION, Grouping, Split
from huelapse.store.partial import PARTIAL, Partial, file_name, write_partial
from huelapse.store.partial_file import PartialFile

FACTORY_TRIES = 3
"""How often a model or samples that cannot be had are asked for again, with other checkpoints."""


class Worker:
    """Does one task after the other. Model and samples are made at the first and stay.

    A task is pure: the same checkpoint and part give the same file, under the same name, wherever and
    how often it is done. What is there already is not done again.
    """

    def __init__(
        self,
        asked: Asked,
        run: Path,
        *,
        checkpoints: int = 1,
        memory: int = 2**31,
        fetch: Named | None = None,
        delete_fetched: bool = False,
        device: str | None = None,
        parts_at: str | None = None,
    ) -> None:
        """
        Args:
            asked: what is to be replayed.
            run: the run's directory.
            checkpoints: how many the whole replay has.
            memory: bytes of samples that may be kept.
            fetch: from an address to a local path.
            delete_fetched: fetched files are removed once nothing is to be read of them any more.
            device: another than `asked.device`, such as one GPU of several.
            parts_at: address of the bucket that parts are handed over to.
        """
        self._asked, self._run = asked, run
        self._made = Made(
            asked, checkpoints=checkpoints, memory=memory, device=device or asked.device
        )
        self._loading = Loading(fetch, delete_fetched=delete_fetched)
        self._in_model: str | None = None
        self._failures, self._failed = 0, ""
        self._left: set[tuple[int, int]] = set()
        self._bucket = None if parts_at is None else InBucket(parts_at)

    def close(self) -> None:
        """Let go of files that were fetched."""
        self._loading.close()

    @property
    def failing(self) -> bool:
        """Whether it was the model or the samples that could not be had, not the checkpoint."""
        return self._failures > 0

    @property
    def broken(self) -> str | None:
        """Why they are not asked for any more."""
        return self._failed if self._failures >= FACTORY_TRIES else None

    def do(self, task: Task, then: str | None = None, progress: Progress | None = None) -> Result:
        """A task's result; what goes wrong is in it.

        Args:
            task: to be done.
            then: place of the checkpoint that probably comes next, to be read meanwhile.
            progress: told how many more samples have been forwarded.
        """
        started = time.monotonic()
        if self.broken is not None:
            return Result(task=task, error=self.broken)
        try:
            path, samples = self._do(task, then, progress or (lambda _: None))
        except Exception as error:
            if isinstance(error, FactoryError):
                self._failures, self._failed = self._failures + 1, _told(error)
            lasting = isinstance(error, HuelapseError) and not isinstance(error, PlaceError)
            return Result(
                task=task,
                error=_told(error),
                lasting=lasting,
                seconds=time.monotonic() - started,
            )
        self._failures = 0
        forecast, self._made.forecast = self._made.forecast, None
        return Result(
            task=task,
            path=str(path),
            samples=samples,
            seconds=time.monotonic() - started,
            forecast=None if forecast is None else forecast.as_json(),
        )

    def _do(self, task: Task, then: str | None, progress: Progress) -> tuple[Path, int]:
        loaded = self._loading.load(task.place)
        if then is not None:
            self._loading.begin(then)
        key = key_of(self._asked.digest, loaded.identity, task.step)
        name = part_name(self._asked.digest, key, task.part)
        path = self._run / PARTIAL / file_name(self._asked.split, task.step, name)
        if self._is_handed_over(task, path):
            return path, 0
        there = is_left(self._run, self._asked.digest, task.part, task.parts)
        if there and _is_whole(path):
            self._hand_over(task, path)
            return path, 0
        capture = self._weighted(loaded)
        samples = self._made.samples(task.part, task.parts)
        started = time.monotonic()
        captured = run_probe(capture, _Counted(samples, progress))
        captured.check()
        seconds = time.monotonic() - started
        split = self._split(capture, captured)
        self._leave_beginning(task, capture, captured, samples, split)
        values = captured.parts.result() if captured.parts is not None else {}
        first, *second = capture.responses
        inside = weights.said_inside(loaded.content)
        epoch = inside.get("epoch", epoch_by_name(task.place))
        partial = Partial(
            split=split.name,
            step=task.step,
            part=name,
            expected=task.parts,
            layers=tuple((layer.path, layer.units) for layer in capture.layers),
            groupings=split.groupings,
            samples=captured.samples,
            wall_time=loaded.wall_time,
            epoch=float(epoch) if isinstance(epoch, int | float) else math.nan,
            seconds=seconds,
            moments=captured.moments(first),
            peaks=captured.moments(second[0]) if second else {},
            confusion=captured.confusion(),
            ids=_ids(samples) if task.parts > 1 else None,
            extras=tuple(extra for extra in split.extras if not extra.static),
            values={path: np.ascontiguousarray(value) for path, value in values.items()},
        )
        written = write_partial(self._run, partial)
        self._hand_over(task, written)
        return written, captured.samples

    # --- where a bucket takes the place of a disk that all share ------------------------------------

    def _is_handed_over(self, task: Task, path: Path) -> bool:
        if self._bucket is None or not self._bucket.has(path.name):
            return False
        begun = file_of(self._run, self._asked.digest, task.part, task.parts)
        return (task.part, task.parts) in self._left or self._bucket.has(begun.name)

    def _hand_over(self, task: Task, path: Path) -> None:
        """Into the bucket, if there is one: what the part was recorded of, then the part, of which no
        copy stays here."""
        if self._bucket is None:
            return
        if (task.part, task.parts) not in self._left:
            begun = file_of(self._run, self._asked.digest, task.part, task.parts)
            self._bucket.leave_beginning(self._run, begun)
            self._left.add((task.part, task.parts))
        self._bucket.leave(path)
        path.unlink(missing_ok=True)

    def _weighted(self, loaded: Loaded) -> Capture:
        """The model with the checkpoint's weights, and what is recorded of it."""
        if self._in_model != loaded.identity:
            self._in_model = None
            model = self._made.model
            found = weights.find_weights(loaded.content, model, self._asked.key)
            weights.load(model, found, nonfinite=self._asked.nonfinite)
            self._in_model = loaded.identity
        return self._made.capture

    # --- how the run begins ------------------------------------------------------------------------

    def _split(self, capture: Capture, captured: Captured) -> Split:
        own = (Grouping(name=g, classes=self._made.classes) for g in (TRUE, PREDICTED))
        return Split(
            name=self._asked.split,
            kind="probe",
            groupings=(*own, *capture.groupings.values()),
            multilabel=capture.multilabel,
            extras=captured.parts.arrays() if captured.parts is not None else (),
            facts={
                "samples": captured.samples,
                "mode": "eval",
                "measures": {"version": 1},
                "replayed": True,
            },
        )

    def _leave_beginning(
        self,
        task: Task,
        capture: Capture,
        captured: Captured,
        samples: SameSamples,
        split: Split,
    ) -> None:
        if (task.part, task.parts) in self._left:
            return
        hashed: Any = samples
        facts = {**split.facts, "hash": hashed.hash}
        beginning = Beginning(
            digest=self._asked.digest,
            asked=self._asked.identity(),
            part=task.part,
            parts=task.parts,
            hash=hashed.hash,
            layers=capture.layers,
            graph=capture.found.graph,
            responses=capture.responses,
            split=replace(split, facts=facts),
            facts={"huelapse": VERSION, **capture.facts()},
            static=captured.parts.static() if captured.parts is not None else {},
        )
        begun = leave(self._run, beginning)
        if self._bucket is not None:
            self._bucket.leave_beginning(self._run, begun)
        self._left.add((task.part, task.parts))


class _Counted:
    """The same samples, counted as they are forwarded."""

    def __init__(self, samples: SameSamples, progress: Progress) -> None:
        self._samples, self._progress = samples, progress
        self.classes, self.dataset, self.indices = (
            samples.classes,
            samples.dataset,
            samples.indices,
        )

    @property
    def samples(self) -> int:
        return self._samples.samples

    @property
    def labels(self) -> np.ndarray:
        return self._samples.labels

    def batches(self) -> Iterator[ProbeBatch]:
        for batch in self._samples.batches():
            yield batch
            self._progress(len(batch.labels))


def _ids(samples: SameSamples) -> np.ndarray:
    known: Any = samples
    return np.arange(known.first, known.first + known.samples, dtype=np.int64)


def _is_whole(path: Path) -> bool:
    """Whether a part is there. Its name says of what content it is, and it was written at once."""
    if not path.is_file():
        return False
    try:
        with PartialFile(path) as file:
            file.verify()
    except PartialError:
        return False
    return True


def _told(error: Exception) -> str:
    if isinstance(error, HuelapseError):
        return str(error)
    notes = getattr(error, "__notes__", [])
    first = (str(error).splitlines() or [""])[0][:300]
    return " ".join([f"{type(error).__name__}: {first}", *(note for note in notes[:1])])
