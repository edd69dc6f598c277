"""The user's model and samples, made once and kept, and what is recorded of them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from huelapse.capture import (
    Capture,
    ProbeSet,
    SameSamples,
    Selection,
    Unpacking,
    Wanted,
    default_samples,
)
from huelapse.errors import FactoryError, ReplayError
from huelapse.recording.forecast import Plan
from huelapse.recording.planning import MOST_KEPT, leave_out_one
from huelapse.replaying import data
from huelapse.replaying.asked import ALL, PROBE, Asked
from huelapse.replaying.forecast import ReplayForecast
from huelapse.replaying.named import call, find
from huelapse.replaying.sampling import AllSamples, PartOfProbe
from huelapse.schema import PREDICTED, TRUE
from huelapse.superclasses import check_superclasses

KEPT_PARTS = 8
"""Parts whose samples a worker keeps at once."""


class Made:
    """What a worker makes at its first task."""

    def __init__(self, asked: Asked, *, checkpoints: int, memory: int, device: str) -> None:
        """
        Args:
            asked: what is to be replayed.
            checkpoints: how many the whole replay has.
            memory: bytes of samples that may be kept.
            device: where the model runs.

        Raises:
            ReplayError: there is no such device.
        """
        self._asked, self._checkpoints, self._memory = asked, checkpoints, memory
        self._device = _device(device)
        self._model: nn.Module | None = None
        self._capture: Capture | None = None
        self._source: Any = None
        self._samples: dict[int, SameSamples] = {}
        self.classes: tuple[str, ...] = ()
        """Names of the true classes, once there is a capture."""
        self.forecast: ReplayForecast | None = None
        """What a snapshot takes, once the layers are known."""

    @property
    def model(self) -> nn.Module:
        """
        Raises:
            FactoryError: the user's function fails, or gives something else.
        """
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

    @property
    def capture(self) -> Capture:
        """What is recorded of the model.

        Raises:
            FactoryError: the samples, or names of their classes, cannot be had.
            LayerError, GroupingError …: an option that does not fit the model.
        """
        if self._capture is None:
            self._capture = self._recorded(self.model)
        return self._capture

    def _recorded(self, model: nn.Module) -> Capture:
        asked = self._asked
        self._source = data.samples_of(asked.data)
        self.classes = data.classes_of(asked, self._source)
        if asked.superclasses is not None:
            check_superclasses(asked.superclasses, self.classes)
        layers: Any = asked.layers
        if isinstance(layers, str) and layers != "all":
            layers = find(layers, "layers")
        tokens: Any = asked.tokens
        output: Any = asked.output
        response: Any = asked.response
        capture = Capture(
            model,
            classes=len(self.classes),
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

    def samples(self, part: int, parts: int) -> SameSamples:
        """The samples of a part.

        Raises:
            FactoryError, ProbeError, LabelError: they cannot be had.
        """
        known = self._samples.get(part)
        if known is not None:
            return known
        asked, capture = self._asked, self.capture
        label_fn = None if asked.label_fn is None else find(asked.label_fn, "label_fn")
        unpack = Unpacking(label_fn, list(capture.groupings))
        if asked.samples == ALL:
            held = sum(getattr(one, "nbytes", 0) for one in self._samples.values())
            made: Any = AllSamples(
                self._source,
                classes=len(self.classes),
                unpack=unpack,
                batch=asked.batch,
                part=part,
                parts=parts,
                memory=max(0, self._memory - held),
                channels_last=asked.channels_last,
            )
        else:
            n = default_samples(len(self.classes)) if asked.samples == PROBE else asked.samples
            made = ProbeSet(
                self._source,
                classes=len(self.classes),
                samples=int(n),
                unpack=unpack,
                multilabel=asked.multilabel,
                ignore_index=asked.ignore_index,
            )
            if parts > 1:
                made = PartOfProbe(made, part, parts)
        wanted = Wanted(
            responses=False if parts > 1 else asked.keep_responses,  # pyright: ignore
            maps=asked.maps,
            watch=asked.watch,
            first_weights=asked.first_weights,
            thumbnails=asked.thumbnails,
        )
        if parts == 1:
            capture.keep(wanted, made)
        while len(self._samples) >= KEPT_PARTS:
            del self._samples[next(iter(self._samples))]
        self._samples[part] = made
        return made

    def _plan(self, capture: Capture) -> None:
        """The layers are known: what a snapshot takes."""
        optional = capture.optional
        kept = optional.kept_bytes(capture.found) if optional is not None else 0
        automatic = optional is not None and optional.wanted.responses == "auto"
        if optional is not None and automatic and kept * self._checkpoints > MOST_KEPT:
            optional.leave_responses_out()
        limit, left_out = self._asked.max_bytes, list[str]()
        forecast = self._forecast(capture)
        while limit is not None and forecast.recorded_bytes > limit:
            dropped = leave_out_one(capture)
            if dropped is None:
                break
            left_out.append(dropped)
            forecast = self._forecast(capture)
        self.forecast = replace(forecast, left_out=tuple(left_out))

    def _forecast(self, capture: Capture) -> ReplayForecast:
        optional = capture.optional
        plan = Plan(
            layers=capture.layers,
            groupings=_class_counts(capture),
            responses=len(capture.responses),
            snapshots=self._checkpoints,
            batch=capture.batch,
            kept_bytes=optional.kept_bytes(capture.found) if optional is not None else 0,
        )
        weights = sum(one.nbytes for one in (*self.model.parameters(), *self.model.buffers()))
        return ReplayForecast.of(plan, sample_bytes=self._sample_bytes(), weight_bytes=weights)

    def _sample_bytes(self) -> int:
        """What this worker will keep of samples, as far as the first batch tells."""
        known = list(self._samples.values())
        each = [getattr(one, "bytes_to_keep", getattr(one, "nbytes", 0)) for one in known]
        parts = min(self._asked.parts, KEPT_PARTS)
        return min(self._memory, max(each, default=0) * parts)


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
