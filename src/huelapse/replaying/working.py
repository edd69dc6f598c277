"""One task: a checkpoint's weights, the samples of a part through them, a file of what came of it."""

import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from huelapse.capture import (
    Capture,
    Captured,
    ProbeBatch,
    ProbeSet,
    SameSamples,
    Selection,
    Unpacking,
    Wanted,
    default_samples,
)
from huelapse.errors import CheckpointError, FactoryError, HuelapseError, PartialError, ReplayError
from huelapse.recording.forecast import Plan
from huelapse.recording.planning import MOST_KEPT
from huelapse.replaying import data, reading, weights
from huelapse.replaying.asked import ALL, PROBE, Asked
from huelapse.replaying.beginning import Beginning, is_left, leave
from huelapse.replaying.checkpoints import is_address
from huelapse.replaying.engines import Progress, Result, Task
from huelapse.replaying.files import files_of
from huelapse.replaying.named import Named, call, find
from huelapse.replaying.naming import identity_at, key_of, part_name
from huelapse.replaying.sampling import AllSamples, PartOfProbe
from huelapse.replaying.steps import epoch_by_name
from huelapse.schema import PREDICTED, TRUE, VERSION, Grouping, Split
from huelapse.store.partial import PARTIAL, Partial, file_name, write_partial
from huelapse.store.partial_file import PartialFile

FACTORY_TRIES = 3
"""How often a model or samples that cannot be had are asked for again, with other checkpoints."""
KEPT_PARTS = 8
"""Parts whose samples a worker keeps at once."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    path: Path
    identity: str
    content: Any
    fetched: bool
    wall_time: float


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
        """
        self._asked, self._run = asked, run
        self._checkpoints, self._memory = checkpoints, memory
        self._fetch, self._delete = fetch, delete_fetched
        self._device = _device(device or asked.device)
        self._model: nn.Module | None = None
        self._capture: Capture | None = None
        self._classes: tuple[str, ...] = ()
        self._source: Any = None
        self._samples: dict[int, SameSamples] = {}
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="huelapse-load")
        self._coming: tuple[str, Future[_Loaded]] | None = None
        self._there: tuple[str, _Loaded] | None = None
        self._in_model: str | None = None
        self._forecast: str | None = None
        self._failures, self._failed = 0, ""
        self._left: set[tuple[int, int]] = set()

    def close(self) -> None:
        """Let go of files that were fetched."""
        self._loading.shutdown(wait=True, cancel_futures=True)
        if self._coming is not None and self._coming[1].done() and not self._coming[1].cancelled():
            with suppress(Exception):
                self._forget(self._coming[1].result())
        if self._there is not None:
            self._forget(self._there[1])
        self._coming = self._there = None

    def do(self, task: Task, then: str | None = None, progress: Progress | None = None) -> Result:
        """A task's result; what goes wrong is in it.

        Args:
            task: to be done.
            then: place of the checkpoint that probably comes next, to be read meanwhile.
            progress: told how many more samples have been forwarded.
        """
        started = time.monotonic()
        if self._failures >= FACTORY_TRIES:
            return Result(task=task, error=self._failed)
        try:
            path, samples = self._do(task, then, progress or (lambda _: None))
        except Exception as error:
            if isinstance(error, FactoryError):
                self._failures, self._failed = self._failures + 1, _told(error)
            lasting = isinstance(error, HuelapseError)
            return Result(
                task=task,
                error=_told(error),
                lasting=lasting,
                seconds=time.monotonic() - started,
            )
        self._failures = 0
        forecast, self._forecast = self._forecast, None
        return Result(
            task=task,
            path=str(path),
            samples=samples,
            seconds=time.monotonic() - started,
            forecast=forecast,
        )

    def _do(self, task: Task, then: str | None, progress: Progress) -> tuple[Path, int]:
        loaded = self._load(task.place)
        if then is not None and then != task.place and self._coming is None:
            self._coming = then, self._loading.submit(self._read, then)
        key = key_of(self._asked.digest, loaded.identity, task.step)
        name = part_name(self._asked.digest, key, task.part)
        path = self._run / PARTIAL / file_name(self._asked.split, task.step, name)
        there = is_left(self._run, self._asked.digest, task.part, task.parts)
        if there and _is_whole(path):
            return path, 0
        capture = self._weighted(loaded)
        samples = self._samples_of(task, capture)
        started = time.monotonic()
        captured = capture.run(_Counted(samples, progress))
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
        return write_partial(self._run, partial), captured.samples

    # --- the checkpoint ----------------------------------------------------------------------------

    def _load(self, place: str) -> _Loaded:
        if self._there is not None and self._there[0] == place:
            return self._there[1]
        if self._there is not None:
            self._forget(self._there[1])
            self._there = None
        coming, self._coming = self._coming, None
        if coming is not None and coming[0] == place:
            loaded = coming[1].result()
        else:
            if coming is not None:
                with suppress(Exception):
                    self._forget(coming[1].result())
            loaded = self._read(place)
        self._there = place, loaded
        return loaded

    def _read(self, place: str) -> _Loaded:
        fetched = is_address(place)
        if fetched:
            if self._fetch is None:
                raise CheckpointError(
                    "it is an address, and nobody says how to fetch it: --fetch module:function, "
                    "which is given the address and gives a local path"
                )
            try:
                path = Path(call(self._fetch, "fetch", place))
            except FactoryError as error:  # a network that is gone for now: tried again
                raise OSError(str(error)) from error
        else:
            path = Path(place)
        identity = identity_at(place)
        files = files_of(path)
        wall_time = max(file.stat().st_mtime for file in files)
        return _Loaded(path, identity, reading.read(path), fetched, wall_time)

    def _forget(self, loaded: _Loaded) -> None:
        if loaded.fetched and self._delete:
            with suppress(OSError, CheckpointError):
                for file in files_of(loaded.path):
                    file.unlink(missing_ok=True)
                if loaded.path.is_dir():
                    loaded.path.rmdir()

    def _weighted(self, loaded: _Loaded) -> Capture:
        """The model with the checkpoint's weights, and what is recorded of it."""
        model = self._made_model()
        if self._in_model != loaded.identity:
            self._in_model = None
            found = weights.find_weights(loaded.content, model, self._asked.key)
            weights.load(model, found, nonfinite=self._asked.nonfinite)
            self._in_model = loaded.identity
        if self._capture is None:
            self._capture = self._made_capture(model)
        return self._capture

    # --- model and samples -------------------------------------------------------------------------

    def _made_model(self) -> nn.Module:
        if self._model is None:
            model = call(self._asked.model, "model")
            if not isinstance(model, nn.Module):
                raise FactoryError(
                    f"model: the function gave {type(model).__name__}, expected a torch.nn.Module"
                )
            model = model.to(self._device)
            if self._asked.channels_last:
                model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            self._model = model.eval()
        return self._model

    def _made_capture(self, model: nn.Module) -> Capture:
        asked = self._asked
        self._source = data.samples_of(asked.data)
        self._classes = data.classes_of(asked, self._source)
        layers: Any = asked.layers
        if isinstance(layers, str) and layers != "all":
            layers = find(layers, "layers")
        tokens: Any = asked.tokens
        output: Any = asked.output
        response: Any = asked.response
        capture = Capture(
            model,
            classes=len(self._classes),
            selection=Selection(layers=layers, unit_axis=asked.unit_axis, output=output),
            response=response,
            tokens=tokens,
            groupings=_groupings(asked),
            multilabel=asked.multilabel,
            ignore_index=asked.ignore_index,
        )
        capture.around = self._around
        capture.when_traced = lambda: self._plan(capture)
        return capture

    def _around(self) -> AbstractContextManager[Any]:
        stack = ExitStack()
        if self._asked.inference_mode:
            stack.enter_context(torch.inference_mode())
        if self._asked.autocast is not None:
            dtype = getattr(torch, self._asked.autocast)
            stack.enter_context(torch.autocast(self._device.type, dtype=dtype))
        return stack

    def _samples_of(self, task: Task, capture: Capture) -> SameSamples:
        known = self._samples.get(task.part)
        if known is not None:
            return known
        asked = self._asked
        label_fn = None if asked.label_fn is None else find(asked.label_fn, "label_fn")
        unpack = Unpacking(label_fn, list(capture.groupings))
        if asked.samples == ALL:
            held = sum(getattr(one, "nbytes", 0) for one in self._samples.values())
            made: Any = AllSamples(
                self._source,
                classes=len(self._classes),
                unpack=unpack,
                batch=asked.batch,
                part=task.part,
                parts=task.parts,
                memory=max(0, self._memory - held),
                channels_last=asked.channels_last,
            )
        else:
            n = default_samples(len(self._classes)) if asked.samples == PROBE else asked.samples
            made = ProbeSet(
                self._source,
                classes=len(self._classes),
                samples=int(n),
                unpack=unpack,
                multilabel=asked.multilabel,
                ignore_index=asked.ignore_index,
            )
            if task.parts > 1:
                made = PartOfProbe(made, task.part, task.parts)
        wanted = Wanted(
            responses=False if task.parts > 1 else asked.keep_responses,  # pyright: ignore
            maps=asked.maps,
            watch=asked.watch,
            first_weights=asked.first_weights,
            thumbnails=asked.thumbnails,
        )
        if task.parts == 1:
            capture.keep(wanted, made)
        while len(self._samples) >= KEPT_PARTS:
            del self._samples[next(iter(self._samples))]
        self._samples[task.part] = made
        return made

    def _plan(self, capture: Capture) -> None:
        """The layers are known: what a snapshot takes."""
        optional = capture.optional
        kept = optional.kept_bytes(capture.found) if optional is not None else 0
        automatic = optional is not None and optional.wanted.responses == "auto"
        if optional is not None and automatic and kept * self._checkpoints > MOST_KEPT:
            optional.leave_responses_out()
            kept = 0
        plan = Plan(
            layers=capture.layers,
            groupings=_class_counts(capture),
            responses=len(capture.responses),
            snapshots=self._checkpoints,
            batch=capture.batch,
            kept_bytes=kept,
            probe_bytes=sum(getattr(one, "nbytes", 0) for one in self._samples.values()),
        )
        self._forecast = str(plan.forecast())

    # --- how the run begins ------------------------------------------------------------------------

    def _split(self, capture: Capture, captured: Captured) -> Split:
        own = (Grouping(name=g, classes=self._classes) for g in (TRUE, PREDICTED))
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
        leave(self._run, beginning)
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


def _device(asked: str) -> torch.device:
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ReplayError(
            f"device {asked!r} cannot be used: {str(error).splitlines()[0]}"
        ) from error
    return device


def _groupings(asked: Asked) -> dict[str, Any] | None:
    """Rules that were given by name, found."""
    given: Any = asked.groupings
    if isinstance(given, str) or callable(given):
        given = call(given, "groupings")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise FactoryError(
            f"groupings: {type(given).__name__}, expected name → (class names, rule)"
        )
    return {
        name: (classes, find(rule, f"grouping {name!r}") if isinstance(rule, str) else rule)
        for name, (classes, rule) in given.items()
    }


def _class_counts(capture: Capture) -> dict[str, int]:
    own = {name: len(grouping.classes) for name, grouping in capture.groupings.items()}
    return {TRUE: capture.classes, PREDICTED: capture.classes} | own


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
