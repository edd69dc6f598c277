"""A model and what is recorded of it: tracing it, and running a probe through it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from huelapse.capture.guard import same_model, same_randomness
from huelapse.capture.layers import Found, LayerChoice, Tracer
from huelapse.capture.passing import Captured, Pass
from huelapse.capture.probe import SEED, ProbeSet, moved
from huelapse.capture.responses import OutputKind
from huelapse.errors import HuelapseError, LayerError
from huelapse.schema import Layer, total_units


class Capture:
    """A model and which of its layers are recorded."""

    def __init__(
        self,
        model: nn.Module,
        *,
        classes: int,
        layers: LayerChoice = None,
        output_kind: OutputKind | None = None,
    ) -> None:
        """
        Raises:
            LayerError: the model is wrapped in DataParallel, whose replicas hooks cannot follow.
        """
        if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise LayerError(f"model is {type(model).__name__}, expected a torch.nn.Module")
        if isinstance(model, torch.jit.ScriptModule):
            raise LayerError(
                "the model is a TorchScript module, whose insides take no hooks; "
                "record the Python module it was made from"
            )
        if isinstance(model, nn.DataParallel):
            raise LayerError(
                "the model is wrapped in DataParallel, which runs short-lived copies of it that "
                "hooks cannot follow; record model.module, or use DistributedDataParallel"
            )
        self.wrapped = model
        self.model = _unwrapped(model)
        self.classes = classes
        self._choice: LayerChoice = layers
        self._output_kind: OutputKind | None = output_kind
        self._found: Found | None = None

    @property
    def found(self) -> Found:
        if self._found is None:
            raise LayerError("the model has not been traced yet")
        return self._found

    @property
    def traced(self) -> bool:
        return self._found is not None

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.found.layers

    @property
    def units(self) -> int:
        return total_units(self.found.layers)

    @property
    def device(self) -> torch.device:
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            return tensor.device
        return torch.device("cpu")

    @property
    def compiled(self) -> bool:
        """Whether torch.compile stands between the user's calls and the module's hooks."""
        in_place = getattr(self.model, "_compiled_call_impl", None)
        return hasattr(self.wrapped, "_orig_mod") or in_place is not None

    def check_ready(self) -> None:
        """
        Raises:
            LayerError: the model has parameters that are not there yet.
        """
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            if nn.parameter.is_lazy(tensor):
                raise LayerError(
                    "the model has parameters without a shape yet; run one batch through it "
                    "before you make the recorder"
                )

    def trace(self, forward: Callable[[], Any], *, gently: bool = False) -> None:
        """The layer table follows from what `forward` runs. Raises as `Tracer.select`.

        Args:
            forward: one forward of the model; may be called twice.
            gently: as in `Tracer`: for a forward of the user's own evaluation.
        """
        try:
            # with gradients, so that the output knows which operation made it; nothing is saved
            nothing = torch.autograd.graph.saved_tensors_hooks(
                lambda _: None, lambda _: torch.empty(0)
            )
            with Tracer(self.model, gently=gently) as tracer, torch.enable_grad(), nothing:
                output = forward()
        except HuelapseError:
            raise
        except Exception:  # a forward that runs without gradients alone
            with Tracer(self.model, gently=gently) as tracer, torch.no_grad():
                output = forward()
        self._found = tracer.select(self._choice, self.classes, output, self._output_kind)

    def forward(self, inputs: Any) -> Any:
        """One forward of a batch's inputs: a tensor, or a tuple or dict of arguments."""
        if isinstance(inputs, Mapping):
            return self.model(**inputs)
        if isinstance(inputs, tuple | list):
            return self.model(*inputs)
        return self.model(inputs)

    def run(self, probe: ProbeSet) -> Captured:
        """Forward the probe in eval mode, leaving no trace. Raises on what does not fit."""
        self.check_ready()
        with same_randomness(SEED), same_model(self.model):
            if not self.traced:
                inputs, _ = next(iter(probe.batches()))
                if isinstance(inputs, Tensor):
                    # fewer than a whole batch: an axis that only happens to be as long as a batch
                    # is then not taken for the samples
                    inputs = inputs[: max(1, len(inputs) // 2)]
                self.trace(lambda: self.forward(moved(inputs, self.device, copy=True)))
            one = Pass(self, own=False)
            with one.attached():
                for inputs, labels in probe.batches():
                    # a copy, as the forward may change its input in place
                    self.forward(moved(inputs, self.device, copy=True))
                    one.labels(labels)
            return one.result()

    def facts(self) -> dict[str, Any]:
        """What the model is, for the run's provenance."""
        return {
            "model": type(self.model).__name__,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "output": self.found.output_kind if self.traced else None,
            "device": self.device.type,
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
        }


def _unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module inside torch.compile's or DistributedDataParallel's wrapper."""
    inner = getattr(model, "_orig_mod", None)
    if isinstance(inner, nn.Module):
        return _unwrapped(inner)
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return _unwrapped(model.module)
    return model
