"""Which places of a model are recorded, found by running it once on a real batch."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from torch import Tensor, nn

from huelapse.capture import responses
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
    """A leaf module's calls during one forward: how many, and its last output."""

    path: str
    module: nn.Module
    calls: int
    output: Any
    after: nn.Module | None


@dataclass(frozen=True, slots=True)
class Found:
    """The layer table of a model, with the module of each layer (None for the output)."""

    layers: tuple[Layer, ...]
    modules: tuple[nn.Module | None, ...]
    output_kind: str


class Tracer:
    """Watches one forward: which leaf modules ran, in which order, and what they gave."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.seen: dict[nn.Module, Seen] = {}
        self.output: Any = None
        self.outputs = 0
        self._last_weighted: nn.Module | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> "Tracer":
        named: list[tuple[str, nn.Module]] = list(self.model.named_modules())
        for path, module in named:
            if module is not self.model and not any(True for _ in module.children()):
                self._handles.append(module.register_forward_hook(self._leaf(path)))
        self._handles.append(self.model.register_forward_hook(self._root))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _leaf(self, path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            if any(True for _ in module.parameters(recurse=False)):
                self._last_weighted = module
            seen = self.seen.setdefault(module, Seen(path, module, 0, None, None))
            seen.calls += 1
            # of an in-place activation only the shape is wanted, so keeping it is no hazard
            seen.output = output.detach() if isinstance(output, Tensor) else output
            seen.after = self._last_weighted

        return hook

    def _root(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self.outputs += 1
        self.output = output

    def select(self, choice: LayerChoice, classes: int) -> Found:
        """The layer table.

        Args:
            choice: None for what follows a nonlinearity; "all" for every leaf module that gives a
                tensor; or patterns of paths as in `fnmatch`, such as "stage*.relu".
            classes: how many the output must have.

        Raises:
            LayerError: a chosen module ran more than once, or nothing can be chosen.
            OutputError: the output is not [sample, class].
        """
        if self.outputs != 1:
            raise LayerError(
                f"the model's forward ran {self.outputs} times for one batch, expected once"
            )
        output = responses.check_output(self.output, classes)
        usable = [s for s in self.seen.values() if _is_response(s.output, output)]
        chosen = self._choose(choice, usable)
        for seen in chosen:
            if seen.calls > 1:
                raise LayerError(
                    f"layer {seen.path!r} ({type(seen.module).__name__}) ran {seen.calls} times in "
                    f"one forward, so its responses would be mixed; give each place a module of its "
                    f"own, or choose layers without it: Recorder(layers=[…patterns of paths…])"
                )
        layers: list[Layer] = []
        offset = 0
        for seen in chosen:
            axis = responses.unit_axis(seen.output, seen.after)
            units = seen.output.shape[axis] if seen.output.ndim > 1 else 1
            layers.append(
                Layer(
                    path=seen.path,
                    kind=type(seen.module).__name__,
                    shape=tuple(seen.output.shape[1:]),
                    unit_axis=axis,
                    units=units,
                    offset=offset,
                    signed=not isinstance(seen.module, NON_NEGATIVE),
                )
            )
            offset += units
        kind = responses.output_kind(output)
        layers.append(
            Layer(
                path=OUTPUT,
                kind="probability",
                shape=tuple(output.shape[1:]),
                unit_axis=1,
                units=output.shape[1] if output.ndim > 1 else 1,
                offset=offset,
                signed=False,
                output=True,
            )
        )
        return Found(
            layers=tuple(layers),
            modules=(*(seen.module for seen in chosen), None),
            output_kind=kind,
        )

    def _choose(self, choice: LayerChoice, usable: list[Seen]) -> list[Seen]:
        # a leaf that gives the model's output stands in the table as the output already
        inner = [s for s in usable if s.output is not None and not self._is_output(s)]
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

    def _is_output(self, seen: Seen) -> bool:
        return (
            isinstance(seen.output, Tensor)
            and isinstance(self.output, Tensor)
            and seen.output.data_ptr() == self.output.data_ptr()
            and seen.output.shape == self.output.shape
        )


def _is_response(value: Any, output: Tensor) -> bool:
    """Whether a module's output is one floating tensor with the batch on its first axis."""
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.ndim >= 1
        and value.shape[0] == output.shape[0]
    )
