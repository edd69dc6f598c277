"""What a forward goes through: modules, activations, junctions, and additions among those."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils.weak import TensorWeakRef

from huelapse.capture.layers import OUTPUT, Keys
from huelapse.capture.sources import INPUT, Source
from huelapse.capture.watch import Place

ADD = "add"

_OPERATIONS = {"radd": ADD, "iadd": ADD, "concat": "cat", "concatenate": "cat", "multiply": "mul"}


@dataclass(slots=True)
class Node:
    """Something that gives a tensor: a leaf module, an activation function, or a junction.

    A junction is where an operation merges what comes from different nodes; it has no weights.
    """

    place: Place
    kind: str
    """Class of the module, `F.relu`, or name of the junction's operation."""
    before: tuple[int, ...]
    """Indices of the nodes whose tensors it is given, all less than its own; or INPUT."""
    part: Keys = ()
    """Which of several tensors that a module gives, as in `layers.Seen`."""
    junction: bool = False
    activation: bool = False
    path: str = ""
    """As in the layer table: `relu#1` where a module or function runs several times."""


@dataclass(slots=True)
class Addition:
    """Of what comes from two different nodes; and what becomes of the tensor it gives."""

    node: int
    shape: tuple[int, ...]
    given: TensorWeakRef | None
    version: int | None
    end: int
    """Its node, or that of the leaf module that ends with the addition and gives its tensor."""
    giver: Place | None = None
    consumer: Place | None = None
    position: int = 0
    straight: set[int] = field(default_factory=set[int])
    """Nodes that were given exactly its tensor."""
    is_output: bool = False


class Nodes:
    """The nodes of one forward, in order, so that all that feeds one stands before it."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str | None]] = Counter()
        self.every: list[Node] = []
        self.output: tuple[int, ...] = ()
        """Where the model's output comes from."""
        self.additions: dict[int, Addition] = {}
        """By the node that its tensor comes from."""
        self._from_input: list[bool] = []
        self._branches: list[int] = []

    def __len__(self) -> int:
        return len(self.every)

    def count(self, path: str, function: str | None) -> Place:
        """A module, or a function in it, has been reached once more."""
        place = Place(path, self.calls[path, function], function)
        self.calls[path, function] += 1
        return place

    def append(self, node: Node) -> int:
        index = len(self.every)
        from_input = [source for source in node.before if self.from_input(source)]
        passes = node.junction and len(from_input) == 1
        self._branches.append(self.branch(from_input[0]) if passes else index)
        self._from_input.append(bool(from_input))
        self.every.append(node)
        return index

    def junction(
        self, kind: str, path: str, before: tuple[int, ...], place: Place | None = None
    ) -> Source:
        """The source of what an operation in the module at `path` makes: new, if it merges."""
        if len(before) < 2:
            return before[0] if before else None
        return self.append(Node(place or self.count(path, kind), kind, before, junction=True))

    def from_input(self, source: Source) -> bool:
        return source is not None and (source == INPUT or self._from_input[source])

    def branch(self, source: int) -> int:
        """The node itself, or what a junction with something constant, as with positions, is of."""
        return INPUT if source == INPUT else self._branches[source]

    def name(self) -> None:
        """Gives all nodes their paths, as `layers.Tracer.name` does."""
        modules = {node.place.path for node in self.every if node.place.function is None}
        for node in self.every:
            place = node.place
            path = place.path
            if place.function is not None:
                path = f"{path}.{place.function}".lstrip(".")
                path = f"{path}()" if path in modules else path
            elif path == OUTPUT:
                path = f"{path}()"
            several = self.calls[place.path, place.function] > 1
            path = f"{path}#{place.call}" if several else path
            node.path = path + "".join(f"[{key}]" for key in node.part)

    def joins(self) -> list[tuple[Addition, bool]]:
        """In order, each with whether its tensor goes straight and only into an activation.

        Without those that give the model's output, or go straight and only into another addition.
        """
        after: defaultdict[int, set[int]] = defaultdict(set)
        for i, node in enumerate(self.every):
            for source in node.before:
                after[source].add(i)
        for source in self.output:
            after[source].add(len(self.every))
        added = {one.node: one for one in self.additions.values()}
        found: list[tuple[Addition, bool]] = []
        for one in added.values():
            within = one.end == one.node or after[one.node] == {one.end}
            only = within and len(after[one.end]) == 1
            followers = [i for i in after[one.end] & one.straight if only]
            if not one.is_output and not any(i in added for i in followers):
                found.append((one, any(self.every[i].activation for i in followers)))
        return found


def is_addition(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call that a `TorchFunctionMode` sees adds two tensors of responses: of one shape.

    It is those calls that the `call` of a join's `Place` counts, in one module and forward. Biases,
    positions and masks, which broadcast, are none, so that the count stays the same where such are
    made in a first forward or in training alone.
    """
    if operation(func) != ADD:
        return False
    added = operands(args, kwargs)
    return (
        len(added) == 2
        and added[0].shape == added[1].shape
        and added[0].ndim > 0
        and all(tensor.is_floating_point() for tensor in added)
    )


def operands(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Tensors that an addition adds."""
    given = [*args[:2], *(kwargs[name] for name in ("input", "other") if name in kwargs)]
    return [value for value in given if isinstance(value, Tensor)]


def operation(func: Any) -> str:
    """`add` for `add`, `add_`, `__iadd__` and aten's `add.Tensor` alike."""
    name: str = getattr(func, "__name__", type(func).__name__).partition(".")[0].strip("_")
    return _OPERATIONS.get(name, name)
