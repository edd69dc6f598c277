"""Which places of a model a forward reaches, and what they give, found by running it once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn

from huelapse.capture.responses import OutputKind
from huelapse.capture.watch import (
    ACTIVATIONS,
    NON_NEGATIVE,
    NON_NEGATIVE_FUNCTIONS,
    Place,
    PlaceKey,
    Watch,
    hookable,
)
from huelapse.schema import Graph, Layer

OUTPUT = "output"
"""Path of the model's own output in the layer table."""

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
"""Modules whose own output follows a nonlinearity."""

FIRST_PART = (*RECURRENT, nn.MultiheadAttention)
"""Modules whose first part is the output, and the others states or weights of attention."""

Keys = tuple[str | int, ...]
"""Where a tensor stands in what a module gives: () for itself, (0,) or ("hidden",) for a part."""


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
    part: Keys = ()
    sample_axis: int = 0
    joins: str = ""
    """What joins branches here (`add`), where it is not what a module or function gives."""

    @property
    def is_activation(self) -> bool:
        if self.joins:
            return False
        return self.module is None or isinstance(self.module, (*ACTIVATIONS, *RECURRENT))

    @property
    def signed(self) -> bool:
        if self.module is None:
            return self.place.function not in NON_NEGATIVE_FUNCTIONS
        return not isinstance(self.module, NON_NEGATIVE)

    @property
    def kind(self) -> str:
        if self.joins:
            return self.joins
        return f"F.{self.place.function}" if self.module is None else type(self.module).__name__


@dataclass(frozen=True, slots=True)
class Found:
    """The layer table of a model, with the place of each layer (None for the output)."""

    layers: tuple[Layer, ...]
    places: tuple[Place | None, ...]
    calls: Mapping[PlaceKey, int]
    """How often each place was reached."""
    output_kind: OutputKind
    parts: tuple[Keys, ...]
    """For each layer, where its tensor stands in what its module gives."""
    graph: Graph | None = None
    """Which layer feeds which."""


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
        self.left_alone = tuple(f"{path}." for path in fused(model)) if gently else ()
        """Beginnings of the paths of what is not looked into."""
        if gently:
            named = [(path, m) for path, m in named if not f"{path}.".startswith(self.left_alone)]
        self._owners = {path: m for path, m in named if _has_weights(m)}
        whole = tuple(f"{path}." for path, m in named if isinstance(m, FIRST_PART))
        leaves = [
            (path, module)
            for path, module in named[1:]
            if isinstance(module, FIRST_PART)
            or not (path.startswith(whole) or any(True for _ in module.children()))
        ]
        self._weighted = [m for _, m in named if _has_weights(m) and not isinstance(m, ACTIVATIONS)]
        self._watch = Watch(model, self._reached, modules=leaves, functions=not gently, owner=self)

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
        parts = list(tensors_in(output))
        if isinstance(module, FIRST_PART):
            parts = parts[:1]
        for keys, tensor in parts or [((), None)]:
            seen = Seen(place, module, part=keys)
            if tensor is not None:
                seen.shape, seen.given = tuple(tensor.shape), ref(tensor)
                # a function may work on weights of the module it stands in, which has not ended yet
                owner = self._owners.get(place.path) if module is None else None
                seen.after = self._last_weighted.get(tensor.ndim, owner)
            self.seen.append(seen)

    def calls(self) -> Counter[PlaceKey]:
        """How often each place was reached."""
        return Counter(place.key for place in {s.place for s in self.seen})

    def name(self) -> None:
        """Paths of the layer table: `relu#1` where a module or function runs several times,
        `pair[0]` for a part of what one gives."""
        calls = self.calls()
        modules = {s.place.path for s in self.seen if s.module is not None}
        for seen in self.seen:
            place = seen.place
            path = place.path
            if place.function is not None:
                path = f"{path}.{place.function}".lstrip(".")
                path = f"{path}()" if path in modules else path  # a module has that name already
            elif path == OUTPUT:
                path = f"{path}()"
            several = calls[place.key] > 1
            seen.path = f"{path}#{place.call}" if several else path
            if seen.part and not isinstance(seen.module, FIRST_PART):
                seen.path += "".join(f"[{key}]" for key in seen.part)


def fused(model: nn.Module) -> list[str]:
    """Paths of modules with a fused path that hooks turn off, and which then give other results."""
    named: list[tuple[str, nn.Module]] = list(model.named_modules())
    return [path for path, module in named if isinstance(module, nn.TransformerEncoderLayer)]


def fused_now(model: nn.Module) -> list[str]:
    """Those of them that would take that path if they were called now."""
    if not torch.backends.mha.get_fastpath_enabled() or torch.is_autocast_enabled():
        return []
    modules = [(path, model.get_submodule(path)) for path in fused(model)]
    return [
        path
        for path, module in modules
        if not module.training
        and not (torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters()))
    ]


def _has_weights(module: nn.Module) -> bool:
    """Whether a module has weights of its own, parametrized ones included."""
    children = dict(module.named_children())
    return "parametrizations" in children or any(True for _ in module.parameters(recurse=False))


def tensors_in(output: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Tensor]]:
    """Floating tensors with axes in what a module gave, with where they stand in it."""
    if isinstance(output, Tensor):
        if output.is_floating_point() and output.ndim:
            yield keys, output
    elif isinstance(output, Mapping):
        named: Any = output.items()
        for name, member in named:
            if isinstance(name, str | int):
                yield from tensors_in(member, (*keys, name))
    elif isinstance(output, tuple | list):
        members: Any = output
        for i, member in enumerate(members):
            yield from tensors_in(member, (*keys, i))


def part_of(output: Any, keys: Keys) -> Any:
    """The tensor at `keys` in what a module gave; None where there is nothing."""
    for key in keys:
        try:
            output = output[key]
        except (KeyError, IndexError, TypeError):
            return None
    return output
