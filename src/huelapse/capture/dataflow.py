"""Following tensors from place to place through one forward: how the layer graph's nodes arise."""

# pyright: reportPrivateUsage=false
# what keeps the mode from seeing our own calls has no public name

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import TensorWeakRef

from huelapse.capture import layers, responses
from huelapse.capture.layers import FIRST_PART
from huelapse.capture.nodes import ADD, Addition, Node, Nodes, is_addition, operands, operation
from huelapse.capture.sources import Source, Sources, tensors_in, version
from huelapse.capture.watch import ACTIVATIONS, FUNCTIONS, Place, forward_proper, hookable


@dataclass(slots=True)
class _Frame:
    """A module that is running."""

    path: str
    module: nn.Module
    leaf: bool = False
    opaque: bool = False
    """Whether it is torch's own: a node for what it is given and gives, whatever happens inside."""
    known: bool = True
    """False for what computes weights: that is no place of the model's responses."""
    first: int = 0
    """How many nodes there were when it began."""
    versions: list[int | None] = field(default_factory=list[int | None])
    straight: list[Addition] = field(default_factory=list[Addition])
    """Those whose tensor it was given."""


class Dataflow:
    """While entered, follows what a forward of a model does with tensors, and keeps none of them.

    Hooks see leaf modules, a `TorchFunctionMode` sees what happens between and inside them. The
    names and counts of places are those of `watch.Watch`.
    """

    def __init__(self, model: nn.Module, nodes: Nodes) -> None:
        """
        Args:
            model: whose forward.
            nodes: where those go that the forward reaches, in order.
        """
        self.nodes = nodes
        self._model = model
        self._sources = Sources(model)
        self._frames = [_Frame("", model)]
        self._mode = _Mode(self)
        self._handles: list[Any] = []
        self._own_forward: Any = model.__dict__.get("forward")
        self._depth = 0

    @property
    def lost(self) -> str | None:
        """Says why edges are not to be trusted, where they are not."""
        return self._sources.lost

    def __enter__(self) -> "Dataflow":
        try:
            for path, module in hookable(self._model)[1:]:
                self._attach(path, module)
            # not a hook: the forward may be called by its name, to go around the user's hooks
            self._model.__dict__["forward"] = self._told(self._model.forward)
            self._mode.__enter__()
        except BaseException:
            self._detach()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        try:
            self._mode.__exit__(None, None, None)
        finally:
            self._detach()

    def _attach(self, path: str, module: nn.Module) -> None:
        known = "parametrizations" not in path.split(".")
        children = {name for name, _ in module.named_children()} - {"parametrizations"}
        own: Any = type(module).forward
        whole = own is nn.MultiheadAttention.forward  # its part out_proj is never called
        leaf = known and (whole or not children)
        opaque = leaf and str(getattr(own, "__module__", "")).startswith("torch.nn.")

        def begin(called: nn.Module, args: Any, kwargs: Any) -> None:
            if called is module and forward_proper():
                with torch._C.DisableTorchFunction():
                    self._begin(_Frame(path, module, leaf, opaque, known), args, kwargs)

        def end(called: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if called is module and forward_proper() and self._frames[-1].module is module:
                with torch._C.DisableTorchFunction():
                    self._end(self._frames[-1], tensors_in((args, kwargs)), output)

        def leave(called: nn.Module, *_: Any) -> None:
            if not forward_proper() or called is not module:
                return
            if any(frame.module is module for frame in self._frames):
                while self._frames.pop().module is not module:
                    pass

        keep = self._handles.append
        keep(module.register_forward_pre_hook(begin, with_kwargs=True))
        keep(module.register_forward_hook(end, with_kwargs=True))
        keep(module.register_forward_hook(leave, always_call=True))

    def _detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._model.__dict__.pop("forward", None)
        if self._own_forward is not None:
            self._model.__dict__["forward"] = self._own_forward

    def _told(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The model's forward, telling what it is given."""

        @wraps(forward)
        def told(*args: Any, **kwargs: Any) -> Any:
            if self._depth == 0:
                with torch._C.DisableTorchFunction():
                    self._sources.begin((args, kwargs))
            self._depth += 1
            try:
                return forward(*args, **kwargs)
            finally:
                self._depth -= 1

        return told

    def finish(self, output: Any) -> None:
        """The forward has given `output`."""
        with torch._C.DisableTorchFunction():
            logits = responses.logits_of(output)
            found = tensors_in(logits if isinstance(logits, Tensor) else output)
            self.nodes.output = self._distinct(found)
            one = self._exactly(logits)
            if one is not None:
                one.is_output = True

    # --- modules ---------------------------------------------------------------------------------

    def _begin(self, frame: _Frame, args: tuple[Any, ...], kwargs: Any) -> None:
        frame.first = len(self.nodes)
        frame.versions = [version(tensor) for tensor in tensors_in((args, kwargs))]
        for i, value in enumerate(args if frame.leaf else ()):
            one = self._exactly(value)
            if one is not None:
                frame.straight.append(one)
                if one.consumer is None and not isinstance(frame.module, nn.MultiheadAttention):
                    one.consumer = Place(frame.path, self.nodes.calls[frame.path, None])
                    one.position = i
        self._frames.append(frame)

    def _end(self, frame: _Frame, inputs: list[Tensor], output: Any) -> None:
        place = self.nodes.count(frame.path, None)
        one = self._exactly(output)
        inner = one is not None and one.node >= frame.first
        if one is not None and inner and one.giver is None:
            one.giver = place
        if frame.leaf:
            self._leaf(frame, place, inputs, output, one if inner else None)
            return
        for tensor in tensors_in(output):
            if not self._sources.knows(tensor):  # from an operation that nobody has seen
                kind = type(frame.module).__name__
                self._sources.give(tensor, self._merged(kind, inputs))

    def _leaf(
        self, frame: _Frame, place: Place, inputs: list[Tensor], output: Any, one: Addition | None
    ) -> None:
        given = tensors_in(output)
        parts = [(keys, [tensor]) for keys, tensor in layers.tensors_in(output)]
        if isinstance(frame.module, FIRST_PART) or not parts:
            parts = [((), given)]
        before: list[tuple[int, ...]] = []
        for _, tensors in parts:
            seen = not frame.opaque and all(self._sources.knows(tensor) for tensor in tensors)
            before.append(self._distinct(tensors if seen else inputs))
        kind, activation = type(frame.module).__name__, isinstance(frame.module, ACTIVATIONS)
        nodes = [
            self.nodes.append(Node(place, kind, sources, keys, activation=activation))
            for (keys, _), sources in zip(parts, before, strict=True)
        ]
        changed = [t for t, old in zip(inputs, frame.versions, strict=False) if version(t) != old]
        if getattr(frame.module, "inplace", False):
            changed += [tensor for tensor in given if tensor.is_inference()]
        self._rewrite(changed, nodes[0])
        for tensor in given:
            self._sources.give(tensor, nodes[0])
        for node, (_, tensors) in zip(nodes, parts, strict=True):
            for tensor in tensors:
                self._sources.give(tensor, node)
        for other in frame.straight:
            other.straight.update(nodes)
        if one is not None:  # a module that ends with an addition
            one.end = nodes[0]
            self.nodes.additions[one.end] = one

    # --- operations ------------------------------------------------------------------------------

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs what a forward calls on tensors, and notes where its result comes from."""
        if self._frames[-1].opaque or not forward_proper():
            return func(*args, **kwargs)
        inputs = tensors_in((args, [value for name, value in kwargs.items() if name != "out"]))
        versions = [version(tensor) for tensor in inputs]
        straight = [one for tensor in inputs if (one := self._exactly(tensor)) is not None]
        output = func(*args, **kwargs)
        given = tensors_in(output)
        changed = [t for t, old in zip(inputs, versions, strict=True) if version(t) != old]
        if inputs and inputs[0].is_inference() and _changes_first(func, kwargs, inputs, output):
            changed = inputs[:1]
        if not given and not changed:
            return output
        if operation(func) == "broadcast_tensors":  # gives each of its inputs, merges none
            for tensor, source in zip(given, map(self._sources.of, inputs), strict=True):
                self._sources.give(tensor, source)
            return output
        first = len(self.nodes)
        source = self._result(func, args, kwargs, inputs)
        new = len(self.nodes) > first
        # before the sum is given its source: it may be the very tensor it is added to
        joins = new and is_addition(func, args, kwargs) and self._joins(args, kwargs)
        for one in straight if new else ():
            one.straight.add(first)
        self._rewrite(changed, source)
        for tensor in given:
            self._sources.give(tensor, source)
        if joins:
            [tensor] = given
            self.nodes.additions[first] = Addition(
                first, tuple(tensor.shape), TensorWeakRef(tensor), version(tensor), end=first
            )
        return output

    def _result(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: list[Tensor]
    ) -> Source:
        frame = self._frames[-1]
        name = operation(func)
        function = FUNCTIONS.get(func)
        if function is not None and not isinstance(frame.module, ACTIVATIONS):
            place = self.nodes.count(frame.path, function)
            if frame.known:
                before = self._distinct(inputs)
                return self.nodes.append(Node(place, f"F.{function}", before, activation=True))
        if name == ADD:
            own = ADD if is_addition(func, args, kwargs) else "broadcast_add"
            return self._merged(ADD, inputs, self.nodes.count(frame.path, own))
        if name.endswith("_like") or name.startswith("new_"):
            return None  # only the shape counts
        if name.endswith("_as") or name == "to":
            inputs = inputs[:1]
        elif name == "copy" and len(inputs) > 1:  # copy_
            inputs = inputs[1:2]
        return self._merged(name, inputs)

    def _joins(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether what is added comes from the input on two different branches."""
        sources = [self._sources.of(tensor) for tensor in operands(args, kwargs)]
        branches = {
            self.nodes.branch(s) for s in sources if s is not None and self.nodes.from_input(s)
        }
        return len(branches) == 2

    def _exactly(self, value: Any) -> Addition | None:
        """The addition whose tensor this is, unchanged."""
        if not isinstance(value, Tensor) or not self.nodes.additions:
            return None
        source = self._sources.given(value)
        one = None if source is None else self.nodes.additions.get(source)
        if one is None or one.given is None or one.given() is not value:
            return None
        return one if one.version == version(value) else None

    def _distinct(self, tensors: list[Tensor]) -> tuple[int, ...]:
        """Where tensors come from; indices and masks count only where nothing else does."""
        values = [t for t in tensors if t.is_floating_point() or t.is_complex()]
        for group in (values, tensors):
            sources = {s for tensor in group if (s := self._sources.of(tensor)) is not None}
            if sources:
                return tuple(sorted(sources))
        return ()

    def _merged(self, kind: str, tensors: list[Tensor], place: Place | None = None) -> Source:
        before = self._distinct(tensors)
        return self.nodes.junction(kind, self._frames[-1].path, before, place)

    def _rewrite(self, changed: list[Tensor], source: Source) -> None:
        """Tensors were changed in place."""

        def merge(old: Source, new: Source) -> Source:
            if old is None or new is None or old == new:
                return new if old is None else old
            node = self.nodes.every[new] if new >= 0 else None
            if node is not None and node.junction and old in node.before:
                return new
            both = (min(old, new), max(old, new))
            return self.nodes.junction("setitem", self._frames[-1].path, both)

        for tensor in changed:
            one = self._exactly(tensor)
            if one is not None:  # an inference tensor has no version to tell it
                one.given = None
            self._sources.rewrite(tensor, source, merge)


def _changes_first(func: Any, kwargs: Mapping[str, Any], inputs: list[Tensor], output: Any) -> bool:
    """Whether a function changes its first tensor, told by its name."""
    name: str = getattr(func, "__name__", "").partition(".")[0]
    by_name = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    return by_name or bool(kwargs.get("inplace")) or (func in FUNCTIONS and output is inputs[0])


class _Mode(TorchFunctionMode):
    def __init__(self, flow: Dataflow) -> None:
        super().__init__()
        self._flow = flow

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._flow.run(func, args, kwargs or {})
