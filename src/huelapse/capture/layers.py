"""Which places of a model are recorded, found by running it once on a real batch."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal
from weakref import ReferenceType, ref

from torch import Tensor, nn

from huelapse.capture import responses
from huelapse.capture.responses import OutputKind
from huelapse.errors import HuelapseWarning, LayerError
from huelapse.schema import Layer

NON_NEGATIVE = (
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Softplus,
    nn.Softmax,
    nn.Softmax2d,
)
"""Activations whose responses cannot be below 0."""

ACTIVATIONS = (
    *NON_NEGATIVE,
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.GLU,
    nn.Hardshrink,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.RReLU,
    nn.SELU,
    nn.SiLU,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.Threshold,
)

OUTPUT = "output"
"""Path of the model's own output in the layer table."""

LayerChoice = None | Literal["all"] | Sequence[str]


@dataclass(slots=True)
class Seen:
    """A leaf module's calls during one forward: how many, and what the last one gave."""

    path: str
    module: nn.Module
    calls: int = 0
    shape: tuple[int, ...] | None = None
    """Of its output, where that is one floating tensor."""
    given: "ReferenceType[Tensor] | None" = None
    after: nn.Module | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The layer table of a model, with the module of each layer (None for the output)."""

    layers: tuple[Layer, ...]
    modules: tuple[nn.Module | None, ...]
    output_kind: OutputKind


class Tracer:
    """Watches one forward: which leaf modules ran, in which order, and what they gave.

    Keeps no activation, only shapes and weak references.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.seen: dict[nn.Module, Seen] = {}
        self._last_weighted: nn.Module | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> "Tracer":
        named: list[tuple[str, nn.Module]] = list(self.model.named_modules())
        for path, module in named:
            if "parametrizations" in path.split("."):
                continue  # gives weights, not responses
            if _has_weights(module) and not isinstance(module, ACTIVATIONS):
                self._handles.append(module.register_forward_hook(self._weighted))
            if module is not self.model and not any(True for _ in module.children()):
                self._handles.append(module.register_forward_hook(self._leaf(path)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _weighted(self, module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._last_weighted = module

    def _leaf(self, path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            seen = self.seen.setdefault(module, Seen(path, module))
            seen.calls += 1
            if isinstance(output, Tensor) and output.is_floating_point() and output.ndim:
                seen.shape, seen.given = tuple(output.shape), ref(output)
            seen.after = self._last_weighted

        return hook

    def select(
        self,
        choice: LayerChoice,
        classes: int,
        output: Any,
        output_kind: OutputKind | None = None,
    ) -> Found:
        """The layer table.

        Args:
            choice: None for what follows a nonlinearity; "all" for every leaf module that gives a
                tensor; or patterns of paths as in `fnmatch`, such as "stage*.relu".
            classes: how many the output must have.
            output: what the forward returned.
            output_kind: what it is, where the user said so.

        Raises:
            LayerError: a chosen module ran more than once, or nothing can be chosen.
            OutputError: the output is not [sample, class].
        """
        result = responses.check_output(output, classes)
        samples = result.shape[0]
        # a leaf that gives the model's output stands in the table as the output already
        ran = [s for s in self.seen.values() if s.given is None or s.given() is not output]
        chosen = self._choose(choice, [s for s in ran if s.shape and s.shape[0] == samples])
        if choice is None:
            self._mention_left_out(ran, samples)
        for seen in chosen:
            if seen.calls > 1:
                raise LayerError(
                    f"layer {seen.path!r} ({type(seen.module).__name__}) ran {seen.calls} times in "
                    f"one forward, so its responses would be mixed; give each place a module of "
                    f"its own, or choose layers without it: Recorder(layers=[…patterns of paths…])"
                )
        layers: list[Layer] = []
        offset = 0
        for seen in chosen:
            shape = seen.shape or ()
            axis = responses.unit_axis(len(shape), seen.after)
            units = shape[axis] if len(shape) > 1 else 1
            layers.append(
                Layer(
                    path=seen.path,
                    kind=type(seen.module).__name__,
                    shape=shape[1:],
                    unit_axis=axis,
                    units=units,
                    offset=offset,
                    signed=not isinstance(seen.module, NON_NEGATIVE),
                )
            )
            offset += units
        layers.append(
            Layer(
                path=OUTPUT,
                kind="probability",
                shape=tuple(result.shape[1:]),
                unit_axis=1,
                units=result.shape[1] if result.ndim > 1 else 1,
                offset=offset,
                signed=False,
                output=True,
            )
        )
        return Found(
            layers=tuple(layers),
            modules=(*(seen.module for seen in chosen), None),
            output_kind=output_kind or responses.output_kind(result),
        )

    def _mention_left_out(self, ran: list[Seen], samples: int) -> None:
        left_out = [
            f"{s.path} {list(s.shape)}"
            for s in ran
            if isinstance(s.module, ACTIVATIONS) and s.shape and s.shape[0] != samples
        ]
        if left_out:
            warnings.warn(
                f"not recorded, since their first axis is not the batch of {samples} samples: "
                f"{', '.join(left_out)}; units are read from outputs [sample, …]",
                HuelapseWarning,
                stacklevel=2,
            )

    def _choose(self, choice: LayerChoice, inner: list[Seen]) -> list[Seen]:
        if choice == "all":
            return inner
        if choice is not None:
            patterns = [choice] if isinstance(choice, str) else list(choice)
            for pattern in patterns:
                if not any(fnmatchcase(s.path, pattern) for s in inner):
                    raise LayerError(
                        f"no layer matches {pattern!r}; layers that ran: "
                        f"{', '.join(s.path for s in inner) or 'none'}"
                    )
            return [s for s in inner if any(fnmatchcase(s.path, p) for p in patterns)]
        activations = [s for s in inner if isinstance(s.module, ACTIVATIONS)]
        if not activations and inner:
            warnings.warn(
                f"no activation module (nn.ReLU, nn.GELU, …) ran in {type(self.model).__name__}, so "
                f"the outputs of all {len(inner)} leaf modules are recorded; "
                f"choose others with Recorder(layers=[…])",
                HuelapseWarning,
                stacklevel=2,
            )
            return inner
        return activations


def _has_weights(module: nn.Module) -> bool:
    """Whether a module has weights of its own, parametrized ones included."""
    children = dict(module.named_children())
    return "parametrizations" in children or any(True for _ in module.parameters(recurse=False))
