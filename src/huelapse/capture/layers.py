"""Which places of a model are recorded, found by running it once on a real batch."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal
from weakref import ReferenceType, ref

from torch import Tensor, nn

from huelapse.capture import responses
from huelapse.capture.responses import OutputKind
from huelapse.capture.watch import (
    ACTIVATIONS,
    NON_NEGATIVE,
    NON_NEGATIVE_FUNCTIONS,
    Place,
    Watch,
    hookable,
)
from huelapse.errors import HuelapseWarning, LayerError
from huelapse.schema import Layer

OUTPUT = "output"
"""Path of the model's own output in the layer table."""

LayerChoice = None | Literal["all"] | Sequence[str]


@dataclass(slots=True)
class Seen:
    """What was given at one place during the trace."""

    place: Place
    module: nn.Module | None
    """None for a function."""
    path: str = ""
    """In the layer table: with the function's name, and with the call where there are several."""
    shape: tuple[int, ...] | None = None
    """Of the output, where that is one floating tensor."""
    given: "ReferenceType[Tensor] | None" = None
    after: nn.Module | None = None

    @property
    def is_activation(self) -> bool:
        return self.module is None or isinstance(self.module, ACTIVATIONS)

    @property
    def signed(self) -> bool:
        if self.module is None:
            return self.place.function not in NON_NEGATIVE_FUNCTIONS
        return not isinstance(self.module, NON_NEGATIVE)

    @property
    def kind(self) -> str:
        return f"F.{self.place.function}" if self.module is None else type(self.module).__name__


@dataclass(frozen=True, slots=True)
class Found:
    """The layer table of a model, with the place of each layer (None for the output)."""

    layers: tuple[Layer, ...]
    places: tuple[Place | None, ...]
    calls: Mapping[tuple[str, str | None], int]
    """How often each module (path, None) or function (path, name) was reached."""
    output_kind: OutputKind


class Tracer:
    """Watches one forward: which places were reached, in which order, and what they gave.

    Keeps no activation, only shapes and weak references.
    """

    def __init__(self, model: nn.Module, *, gently: bool = False) -> None:
        """
        Args:
            model: whose forward.
            gently: leave alone what hooks would change the results of: the fused path of
                nn.TransformerEncoderLayer.
        """
        self.model = model
        self.seen: list[Seen] = []
        self._last_weighted: dict[int, nn.Module] = {}
        self._handles: list[Any] = []
        named: list[tuple[str, nn.Module]] = [
            (path, module)
            for path, module in hookable(model)
            if "parametrizations" not in path.split(".")  # those give weights, not responses
        ]
        if gently:
            inside = tuple(f"{path}." for path in fused(model))
            named = [(path, m) for path, m in named if not f"{path}.".startswith(inside)]
        self._owners = {path: m for path, m in named if _has_weights(m)}
        leaves = [
            (path, module) for path, module in named[1:] if not any(True for _ in module.children())
        ]
        self._weighted = [m for _, m in named if _has_weights(m) and not isinstance(m, ACTIVATIONS)]
        self._watch = Watch(model, self._reached, modules=leaves, functions=not gently)

    def __enter__(self) -> "Tracer":
        self._handles = [m.register_forward_hook(self._has_run) for m in self._weighted]
        self._watch.__enter__()
        self._watch.begin()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watch.__exit__(*error)
        for handle in self._handles:
            handle.remove()

    def _has_run(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor):  # by axes: a gate on [B, C] says nothing of [B, C, H, W]
            self._last_weighted[first.ndim] = module

    def _reached(self, place: Place, module: nn.Module | None, output: Any) -> None:
        seen = Seen(place, module)
        if isinstance(output, Tensor) and output.is_floating_point() and output.ndim:
            seen.shape, seen.given = tuple(output.shape), ref(output)
            # a function may work on weights of the module it stands in, which has not ended yet
            owner = self._owners.get(place.path) if module is None else None
            seen.after = self._last_weighted.get(output.ndim, owner)
        self.seen.append(seen)

    def _name(self) -> None:
        """Paths of the layer table: `relu#1` where a module or function runs several times."""
        calls = Counter((s.place.path, s.place.function) for s in self.seen)
        modules = {s.place.path for s in self.seen if s.module is not None}
        for seen in self.seen:
            place = seen.place
            path = place.path
            if place.function is not None:
                path = f"{path}.{place.function}".lstrip(".")
                path = f"{path}()" if path in modules else path  # a module has that name already
            elif path == OUTPUT:
                path = f"{path}()"
            several = calls[place.path, place.function] > 1
            seen.path = f"{path}#{place.call}" if several else path

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
            LayerError: a pattern matches nothing that ran.
            OutputError: the output is not [sample, class].
        """
        result = responses.check_output(output, classes)
        samples = result.shape[0]
        self._name()
        # a leaf that gives the model's output stands in the table as the output already
        given = responses.logits_of(output)
        ran = [s for s in self.seen if s.given is None or s.given() is not given]
        chosen = self._choose(choice, [s for s in ran if s.shape and s.shape[0] == samples])
        if choice is None:
            self._mention_left_out(ran, samples)
        layers: list[Layer] = []
        offset = 0
        for seen in chosen:
            shape = seen.shape or ()
            axis = responses.unit_axis(len(shape), seen.after)
            units = shape[axis] if len(shape) > 1 else 1
            layers.append(
                Layer(
                    path=seen.path,
                    kind=seen.kind,
                    shape=shape[1:],
                    unit_axis=axis,
                    units=units,
                    offset=offset,
                    signed=seen.signed,
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
            places=(*(seen.place for seen in chosen), None),
            calls=Counter((s.place.path, s.place.function) for s in self.seen),
            output_kind=output_kind or responses.output_kind(result, self._made_by(given)),
        )

    def _made_by(self, output: Any) -> str | None:
        """Name of the activation that gave the output itself, if one did."""
        for seen in reversed(self.seen):
            if seen.given is not None and seen.given() is output:
                return seen.place.function or type(seen.module).__name__
        return None

    def _mention_left_out(self, ran: list[Seen], samples: int) -> None:
        left_out = [
            f"{s.path} {list(s.shape)}"
            for s in ran
            if s.is_activation and s.shape and s.shape[0] != samples
        ]
        if left_out:
            warnings.warn(
                f"not recorded, since their first axis is not the batch of {samples} samples: "
                f"{', '.join(left_out)}; units are read from outputs [sample, …]",
                HuelapseWarning,
                stacklevel=2,
            )

    def _choose(self, choice: LayerChoice, inner: list[Seen]) -> list[Seen]:
        leaves = [s for s in inner if s.module is not None]
        if choice == "all":
            return leaves
        if choice is not None:
            patterns = [choice] if isinstance(choice, str) else list(choice)
            for pattern in patterns:
                if not any(fnmatchcase(s.path, pattern) for s in inner):
                    raise LayerError(
                        f"no layer matches {pattern!r}; layers that ran: "
                        f"{', '.join(s.path for s in inner) or 'none'}"
                    )
            return [s for s in inner if any(fnmatchcase(s.path, p) for p in patterns)]
        activations = [s for s in inner if s.is_activation]
        if not activations and leaves:
            warnings.warn(
                f"no activation (nn.ReLU, F.gelu …) ran in {type(self.model).__name__}, so the "
                f"outputs of all {len(leaves)} leaf modules are recorded; "
                f"choose others with Recorder(layers=[…])",
                HuelapseWarning,
                stacklevel=2,
            )
            return leaves
        return activations


def fused(model: nn.Module) -> list[str]:
    """Paths of modules with a fused path that hooks turn off, and which then give other results."""
    named: list[tuple[str, nn.Module]] = list(model.named_modules())
    return [path for path, module in named if isinstance(module, nn.TransformerEncoderLayer)]


def _has_weights(module: nn.Module) -> bool:
    """Whether a module has weights of its own, parametrized ones included."""
    children = dict(module.named_children())
    return "parametrizations" in children or any(True for _ in module.parameters(recurse=False))
