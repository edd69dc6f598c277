"""Forwards of a model, seen: hooks on, one response per sample and unit, hooks off."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from huelapse.capture import responses
from huelapse.capture.batches import copied, tensors_of
from huelapse.capture.buffers import Buffers
from huelapse.capture.capturing import Capture
from huelapse.capture.forward import Doubt, Forward
from huelapse.capture.guard import same_model, same_randomness
from huelapse.capture.layers import fused, fused_now, part_of
from huelapse.capture.nodes import is_addition
from huelapse.capture.responses import Response
from huelapse.capture.watch import (
    JOIN,
    Hook,
    Place,
    PlaceKey,
    Watch,
    clear_copies,
    redirected,
    seen_by,
)
from huelapse.errors import LayerError, OutputError, notice, without_frames


class Forwards:
    """While attached, hands each forward of the model to `on_forward`.

    Hooks never raise into a forward: what goes wrong is kept in `error`, and nothing more is seen.
    Recomputation in a backward (activation checkpointing), copies of the model (an EMA) and parts
    of it that are called on their own are not forwards of it.
    """

    def __init__(
        self, capture: Capture, on_forward: Callable[[Forward], None], *, own: bool = True
    ) -> None:
        """
        Args:
            capture: what is recorded of which model.
            on_forward: called inside the forward's root hook, without gradients.
            own: whether the forwards are the user's, whose results must not change.
        """
        self.error: Exception | None = None
        self.seen = 0
        """Forwards that ended."""
        self.raised = 0
        """Forwards that ended by an exception of the user's."""
        self.seconds = 0.0
        """Time spent in hooks, without `on_forward`."""
        self._capture = capture
        self._on_forward = on_forward
        self._own = own
        self._depth = 0
        self._buffers = Buffers()
        self._rows: list[int] = []
        self._improbable: Tensor | None = None
        self._mask: Tensor | None = None
        self._training = False
        self._encoders: list[str] = []
        """Of modules with a fused path, which the user's own forwards may take."""
        self._handled: BaseException | None = None
        self._untraced: Exception | None = None
        self._watch: Watch | None = None
        self._layers: dict[Place, list[int]] = {}
        self._known: set[PlaceKey] = set()

    @contextmanager
    def attached(self) -> Generator[None]:
        """Hooks are on the model only in here, so that saving or copying it never meets them."""
        model = self._capture.model
        handles: list[Any] = []
        self._depth = 0
        try:
            begin, end = (Hook(call, failed=self.keep) for call in (self._begin, self._root_hook))
            handles.append(model.register_forward_pre_hook(begin, with_kwargs=True))
            handles.append(model.register_forward_hook(end, always_call=True))
            if self._capture.traced:
                self._attach_layers()
            yield
        finally:
            watch = self._watch
            for handle in (*handles, *(watch.handles if watch is not None else ())):
                handle.remove()
            try:
                if watch is not None:
                    watch.__exit__()
                clear_copies()
            except Exception as error:  # must not take the place of the user's own
                self.keep(error)

    def doubts(self) -> list[Doubt]:
        """What was seen since the last time and nobody has waited to look at."""
        if self._improbable is None:
            return []
        outside, self._improbable = self._improbable, None
        kind = self._capture.found.output_kind
        return [
            Doubt(
                outside,
                lambda _: OutputError(
                    f"the model's output was taken for a {kind}, but values outside 0 … 1 came; "
                    f'say what it is: Recorder(output="logits")'
                ),
            )
        ]

    def keep(self, error: Exception) -> None:
        """The first error is the one that counts."""
        if self.error is None:
            self.error = without_frames(error)

    def _mine(self, module: nn.Module) -> bool:
        return module is self._capture.model and seen_by(self)

    # --- hooks -----------------------------------------------------------------------------------

    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._mine(module) or redirected(module):
            return
        self._depth += 1
        if self._depth > 1:  # the model calls itself: one forward
            return
        self._handled = sys.exc_info()[1]
        if not self._capture.traced:
            if _no_samples(args, kwargs):  # layers and kind of output show with the next batch
                return
            try:
                self._trace(args, kwargs)
            except Exception as error:  # if the forward itself raises as well, it is the user's
                self._untraced = error
                return
        elif self._encoders and self._must_run_fused():
            return
        mask = kwargs.get("attention_mask")
        self._mask = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
        self._rows = [-1] * len(self._capture.found.layers)
        self._training = module.training

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """One extra, unseen forward of the first batch: without it its responses would be lost."""
        capture = self._capture
        capture.check_ready()
        without = fused_now(capture.model) if self._own else []
        if without:
            notice(
                f"inside {', '.join(without[:3])} nothing is recorded: hooks would turn off the "
                f"fused path of nn.TransformerEncoderLayer and change your evaluation's results. "
                f"Give Recorder a probe to record it"
            )
        with (
            torch.inference_mode(False),
            same_randomness(),
            same_model(capture.model, as_it_is=True),
        ):
            # `forward`, as the model's pre-hooks have seen these arguments already; copies,
            # as it may change them in place
            capture.trace(
                lambda: capture.model.forward(*copied(args), **copied(kwargs)),
                gently=bool(without),
            )
        self._attach_layers()
        assert self._watch is not None
        self._watch.begin()  # this forward is under way

    def _must_run_fused(self) -> bool:
        """Whether the user's forward would run another path with hooks on; they are then taken off,
        and the forward is not recorded."""
        assert self._watch is not None
        fused = self._watch.changes_fused(fused_now(self._capture.model))
        if not fused:
            return False
        self._watch.__exit__()
        self.keep(
            LayerError(
                f"layers inside {', '.join(fused[:3])} are recorded, and hooks would turn off the "
                f"fused path of nn.TransformerEncoderLayer and change your evaluation's results. "
                f"Give Recorder a probe instead, leave them out (layers=[…]), or turn the fused "
                f"path off yourself: torch.backends.mha.set_fastpath_enabled(False)"
            )
        )
        return True

    def _attach_layers(self) -> None:
        found = self._capture.found
        if self._watch is None:
            self._layers = {}
            for i, place in enumerate(found.places):
                if place is not None:
                    self._layers.setdefault(place, []).append(i)
            self._known = {place.key for place in self._layers}
            named = dict(self._capture.model.named_modules())
            functions = any(place.function is not None for place in self._layers)
            joins = any(place.function == JOIN for place in self._layers)
            encoders = fused(self._capture.model)
            if self._own:
                self._encoders = encoders
            else:  # under the conditions of the trace: the unfused path
                functions = functions or bool(encoders)
            keys = sorted(self._known, key=str)
            self._watch = Watch(
                self._capture.model,
                self._reached,
                modules=[
                    (p, named[p]) for p, function, at in keys if function is None and at is None
                ],
                functions=functions,
                given=[(p, named[p], at) for p, _, at in keys if at is not None],
                is_join=is_addition if joins else None,
                owner=self,
                failed=self.keep,
            )
        self._watch.__enter__()

    def _reached(self, place: Place, _module: nn.Module | None, output: Any) -> None:
        if self.error is not None or not self._depth:
            return
        started = time.perf_counter()
        try:
            self._layer(place, output)
        except Exception as error:
            self.keep(error)
        self.seconds += time.perf_counter() - started

    def _layer(self, place: Place, output: Any) -> None:
        indices = self._layers.get(place)
        if indices is not None:
            for index in indices:
                self._respond(index, output)
            return
        key = place.key
        if key in self._known and place.call >= self._capture.found.calls.get(key, 0):
            raise LayerError(
                f"{place.function or 'module'} at {place.path or 'the model'!r} ran more often "
                f"in one forward than when recording began; leave it out: "
                f"Recorder(layers=[…patterns of paths…])"
            )

    def _respond(self, index: int, output: Any) -> None:
        """Responses of one layer, out of what its module gave.

        Detached, as entering `no_grad` here would cost as much as all else that is Python.
        """
        capture = self._capture
        layer, keys = capture.found.layers[index], capture.found.parts[index]
        part = part_of(output, keys) if keys else output
        if not isinstance(part, Tensor):
            raise LayerError(
                f"layer {layer.path!r} gave {type(part).__name__}, expected a tensor as before"
            )
        part = part.detach()
        if layer.sample_axis:
            part = part.transpose(0, layer.sample_axis)
        rows = self._rows[index] = part.shape[0] if part.ndim else 0
        for response in capture.responses:
            responses.reduce(
                part,
                layer.unit_axis,
                self._buffers.block(response, index, rows, layer.units, part),
                self._mask,
                response=response,
                tokens=capture.tokens,
            )
        if capture.observers:
            with torch.inference_mode(False), torch.no_grad():
                for observer in capture.observers:
                    observer.layer(index, part)

    def _root_hook(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """Never raises into the forward."""
        if not self._mine(module) or not self._depth:
            return
        self._depth -= 1
        if self._depth:
            return
        untraced, self._untraced = self._untraced, None
        if output is None and sys.exc_info()[1] is not self._handled:
            self.raised += 1
            return
        if untraced is not None:
            self.keep(untraced)
        if self.error is not None:
            return
        started = time.perf_counter()
        try:
            with torch.inference_mode(False), torch.no_grad(), _no_autocast(self._capture.device):
                forward = self._end(output)
                self.seconds += time.perf_counter() - started
                self.seen += 1
                self._on_forward(forward)
        except Exception as error:
            self.keep(error)

    def _end(self, output: Any) -> Forward:
        capture = self._capture
        tensor = responses.check_output(output, capture.classes)
        n = len(tensor) if tensor.ndim else 1
        if n == 0:
            nothing = tensor.detach()
            return Forward({}, nothing, nothing.new_empty(0).long(), nothing, self._training)
        found = capture.found
        self._check_rows(n)
        probabilities = responses.probability(
            tensor, found.output_kind, multilabel=capture.multilabel
        )
        if found.output_kind != "logits":  # those are inside by construction
            outside = ((probabilities < 0) | (probabilities > 1 + 1e-2)).any()
            seen = self._improbable
            self._improbable = outside if seen is None else seen | outside
        together: dict[Response, Tensor] = {}
        for response in capture.responses:
            blocks = [
                self._buffers.block(response, i, n, layer.units, tensor)
                for i, layer in enumerate(found.layers)
            ]
            blocks[-1].copy_(probabilities)
            together[response] = torch.cat(blocks, 1)
        return Forward(
            responses=together,
            probabilities=probabilities,
            predicted=responses.predict(
                tensor, probabilities, found.output_kind, multilabel=capture.multilabel
            ),
            output=tensor.detach(),
            training=self._training,
        )

    def _check_rows(self, n: int) -> None:
        for layer, rows in zip(self._capture.found.layers[:-1], self._rows, strict=False):
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


def _no_samples(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a batch is empty, as its first tensor tells."""
    first = next((t for t in tensors_of((args, kwargs)) if t.ndim), None)
    return first is not None and len(first) == 0


@contextmanager
def _no_autocast(device: torch.device) -> Generator[None]:
    """Sums in the precision they are written in."""
    kind = device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        yield
        return
    with torch.autocast(kind, enabled=False):
        yield
