"""One pass over samples: hooks on, forwards, fold, hooks off."""

import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from huelapse.capture import responses
from huelapse.capture.accumulator import Accumulator
from huelapse.capture.guard import same_model, same_randomness
from huelapse.capture.layers import fused
from huelapse.capture.probe import copied
from huelapse.capture.watch import Place, Watch
from huelapse.errors import HuelapseWarning, LabelError, LayerError, OutputError, ProbeError
from huelapse.grouping import check_labels, confusion
from huelapse.moments import Moments
from huelapse.schema import PREDICTED, TRUE

if TYPE_CHECKING:
    from huelapse.capture.capturing import Capture


@dataclass(frozen=True, slots=True)
class Captured:
    """What one pass gave."""

    moments: Mapping[str, Moments]
    confusion: np.ndarray
    samples: int
    training: bool
    """Whether the model was in train mode."""


class Pass:
    """Samples being captured: after each forward, say what the batch's labels were."""

    def __init__(self, capture: "Capture", *, own: bool = True) -> None:
        """
        Args:
            capture: what is recorded of which model.
            own: whether the forwards are the user's, whose results must not change.
        """
        self._capture = capture
        self._own = own
        self._depth = 0
        self._blocks: list[Tensor] = []
        self._rows: list[int] = []
        self._improbable: Tensor | None = None
        self._mask: Tensor | None = None
        self._ran = False
        self._waiting: tuple[Tensor, Tensor] | None = None
        self._accumulator: Accumulator | None = None
        self._true: list[Tensor] = []
        self._predicted: list[Tensor] = []
        self._training = capture.model.training
        self._tracing = False
        self._handles: list[Any] = []
        self._watch: Watch | None = None
        self._layers: dict[Place, int] = {}
        self._known: set[tuple[str, str | None]] = set()
        self.error: Exception | None = None
        """Set inside the user's forward, where it must not be raised."""

    def labels(self, labels: Any) -> None:
        """The class indices of the batch whose forward ran last.

        Args:
            labels: [sample] integers: a tensor, an array or a list.

        Raises:
            LabelError: not one class index per sample, or no forward ran before.
        """
        if self.error is not None:
            raise self.error
        if self._waiting is None and not self._ran:
            raise ProbeError(self._nothing_ran())
        if self._waiting is None:
            raise LabelError(
                "labels were given, but the model has not run since the last ones; "
                "call labels(…) once after each forward"
            )
        inputs, predicted = self._waiting
        self._waiting = None
        host = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
        checked = check_labels(host, classes=self._capture.classes, samples=len(predicted))
        true = torch.from_numpy(checked).to(predicted.device)
        with torch.inference_mode(False), torch.no_grad():
            if inputs.device.type == "mps":  # has no float64
                inputs, predicted, true = inputs.cpu(), predicted.cpu(), true.cpu()
            if self._accumulator is None:
                k = self._capture.classes
                self._accumulator = Accumulator(
                    {TRUE: k, PREDICTED: k}, inputs.shape[1], inputs.device
                )
            self._accumulator.fold(inputs, {TRUE: true, PREDICTED: predicted})
        self._true.append(true)
        self._predicted.append(predicted)

    def result(self) -> Captured:
        """
        Raises:
            LabelError, ProbeError: labels of the last batch are missing, or nothing ran.
        """
        if self.error is not None:
            raise self.error
        if self._waiting is not None:
            raise LabelError(
                "the last batch ran without its labels; call labels(…) once after each forward"
            )
        if self._accumulator is None:
            raise ProbeError(self._nothing_ran())
        if self._improbable is not None and bool(self._improbable):
            raise OutputError(
                f"the model's output was taken for a {self._capture.found.output_kind}, but values "
                f'outside 0 … 1 came; say what it is: Recorder(output="logits")'
            )
        true = torch.cat(self._true).cpu().numpy()
        predicted = torch.cat(self._predicted).cpu().numpy()
        return Captured(
            moments=self._accumulator.moments(),
            confusion=confusion(true, predicted, self._capture.classes),
            samples=len(true),
            training=self._training,
        )

    def _nothing_ran(self) -> str:
        if self._capture.compiled:
            return (
                "hooks cannot see inside a compiled model: run the evaluation on the original "
                "module, or give Recorder a probe, which runs it eagerly by itself"
            )
        return (
            "the model did not run, so there is nothing to record; "
            "run the evaluation on the model given to Recorder"
        )

    # --- hooks -----------------------------------------------------------------------------------

    def _begin(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._tracing:
            return
        self._depth += 1
        if self._depth > 1:  # the model calls itself: one forward
            return
        if not self._capture.traced:
            self._trace(args, kwargs)
        if self._waiting is not None:
            self._keep(
                LabelError(
                    "the model ran again before the labels of the batch before were given; "
                    "call labels(…) once after each forward"
                )
            )
        self._ran = True
        mask = kwargs.get("attention_mask")
        self._mask = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
        self._rows = [-1] * len(self._capture.found.layers)
        self._training = self._capture.model.training

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """One extra, unseen forward of the first batch: without it its responses would be lost."""
        capture = self._capture
        capture.check_ready()
        without = fused(capture.model)
        if without:
            warnings.warn(
                f"inside {', '.join(without[:3])} nothing is recorded: hooks would turn off the "
                f"fused path of nn.TransformerEncoderLayer and change your evaluation's results. "
                f"Give Recorder a probe to record it",
                HuelapseWarning,
                stacklevel=2,
            )
        self._tracing = True
        try:
            with (
                torch.inference_mode(False),
                same_randomness(),
                same_model(capture.model),
            ):
                # `forward`, as the model's pre-hooks have seen these arguments already; copies,
                # as it may change them in place
                capture.trace(
                    lambda: capture.model.forward(*copied(args), **copied(kwargs)),
                    gently=bool(without),
                )
        finally:
            self._tracing = False
        self._attach_layers()
        assert self._watch is not None
        self._watch.begin()  # this forward is under way

    def _attach_layers(self) -> None:
        found = self._capture.found
        self._layers = {place: i for i, place in enumerate(found.places) if place is not None}
        self._known = {(place.path, place.function) for place in self._layers}
        named = dict(self._capture.model.named_modules())
        modules = {p.path: named[p.path] for p in self._layers if p.function is None}
        functions = any(place.function is not None for place in self._layers)
        if not self._own:  # under the conditions of the trace: the unfused path
            functions = functions or bool(fused(self._capture.model))
        self._watch = Watch(
            self._capture.model, self._reached, modules=modules.items(), functions=functions
        )
        self._watch.__enter__()

    def _reached(self, place: Place, _module: nn.Module | None, output: Any) -> None:
        if self.error is not None or self._tracing:
            return
        try:
            self._layer(place, output)
        except Exception as error:
            self._keep(error)

    def _layer(self, place: Place, output: Any) -> None:
        index = self._layers.get(place)
        if index is None:
            key = place.path, place.function
            if key in self._known and place.call >= self._capture.found.calls[key]:
                raise LayerError(
                    f"{place.function or 'module'} at {place.path or 'the model'!r} ran more often "
                    f"in one forward than when recording began; leave it out: "
                    f"Recorder(layers=[…patterns of paths…])"
                )
            return
        layer = self._capture.found.layers[index]
        if not isinstance(output, Tensor):
            raise LayerError(
                f"layer {layer.path!r} gave {type(output).__name__}, expected a tensor as before"
            )
        self._rows[index] = len(output) if output.ndim else 0
        with torch.inference_mode(False), torch.no_grad():
            block = self._block(index, self._rows[index], output.device)
            responses.reduce(output, layer.unit_axis, block, self._mask)

    def _end(self, output: Any) -> None:
        found = self._capture.found
        tensor = responses.check_output(output, self._capture.classes)
        n = len(tensor)
        for layer, rows in zip(found.layers[:-1], self._rows, strict=False):
            if rows == -1:
                raise LayerError(
                    f"layer {layer.path!r} ran when recording began, but not now; leave it out: "
                    f"Recorder(layers=[…patterns of paths…])"
                )
            if rows != n:
                raise LayerError(
                    f"layer {layer.path!r} gave {rows} rows for {n} samples: its first axis is not "
                    f"the batch, or it saw a part of it; leave it out: Recorder(layers=[…])"
                )
        probabilities = responses.probability(tensor, found.output_kind)
        if found.output_kind != "logits":  # those are inside by construction
            outside = ((probabilities < 0) | (probabilities > 1 + 1e-2)).any()
            seen = self._improbable
            self._improbable = outside if seen is None else seen | outside
        self._block(len(found.layers) - 1, n, tensor.device).copy_(probabilities)
        together = torch.cat([block[:n] for block in self._blocks], 1)
        self._waiting = (together, responses.predict(tensor, probabilities, found.output_kind))

    def _block(self, index: int, samples: int, device: torch.device) -> Tensor:
        """This layer's own contiguous place for the responses of one batch."""
        if not self._blocks:
            layers = self._capture.found.layers
            self._blocks = [
                torch.empty((0, layer.units), dtype=torch.float32, device=device)
                for layer in layers
            ]
        block = self._blocks[index]
        if len(block) < samples:
            block = torch.empty((samples, block.shape[1]), dtype=torch.float32, device=device)
            self._blocks[index] = block
        return block[:samples]

    def _keep(self, error: Exception) -> None:
        if self.error is None:
            self.error = error

    def _root_hook(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        """Never raises into the forward; `output` is None where the forward has raised."""
        if self._tracing:
            return
        self._depth = max(0, self._depth - 1)
        if self._depth or self.error is not None or output is None:
            return
        try:
            with torch.inference_mode(False), torch.no_grad():
                self._end(output)
        except Exception as error:
            self._keep(error)

    @contextmanager
    def attached(self) -> Generator[None]:
        """Hooks are on the model only in here, so that saving or copying it never meets them."""
        model = self._capture.model
        try:
            self._handles = [
                model.register_forward_pre_hook(self._begin, with_kwargs=True),
                model.register_forward_hook(self._root_hook, always_call=True),
            ]
            if self._capture.traced:
                self._attach_layers()
            yield
        finally:
            if self._watch is not None:
                self._watch.__exit__(None, None, None)
            for handle in self._handles:
                handle.remove()
