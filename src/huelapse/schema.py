"""The words of a run as plain data: layers, groupings, splits. No arrays, no libraries."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

VERSION = "0.1.0"

FORMAT_VERSION = 1
"""Major version of the disk format; readers refuse a newer one. See docs/format.md."""

TRUE = "true"
PREDICTED = "predicted"

SplitKind = Literal["probe", "evaluation"]
RunState = Literal["recording", "complete", "interrupted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A recorded place in the model.

    `path` is its dotted module name (`output` for the model's own output), `kind` the
    module's class, `shape` the output's shape without the batch, `unit_axis` which axis of the
    whole tensor holds the units, `offset` the index of its first unit among all units of the run,
    and `signed` whether its responses may be negative (a ReLU's may not).
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    unit_axis: int
    units: int
    offset: int
    signed: bool
    output: bool = False

    @property
    def stage(self) -> str:
        """The path without its last part: what belongs together in a deep model."""
        return self.path.rpartition(".")[0]

    @property
    def slice(self) -> slice:
        """Where this layer's units stand among all units of the run."""
        return slice(self.offset, self.offset + self.units)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "shape": list(self.shape), "stage": self.stage}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Layer":
        known: dict[str, Any] = {name: fields[name] for name in cls.__dataclass_fields__}
        known["shape"] = tuple(int(n) for n in known["shape"])
        return cls(**known)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """A rule from samples to classes, with the names of its classes in order of their index."""

    name: str
    classes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "classes": list(self.classes)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Grouping":
        return cls(name=fields["name"], classes=tuple(fields["classes"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A stream of samples and what a snapshot of it sums up.

    A `probe` forwards the same samples at every snapshot; an `evaluation` is the user's own loop.
    `facts` is provenance for people: module mode, hash of the probe's samples, and so on.
    """

    name: str
    kind: SplitKind
    groupings: tuple[Grouping, ...]
    facts: Mapping[str, Any]

    def grouping(self, name: str) -> Grouping:
        for grouping in self.groupings:
            if grouping.name == name:
                return grouping
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "groupings": [grouping.as_json() for grouping in self.groupings],
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Split":
        return cls(
            name=fields["name"],
            kind=fields["kind"],
            groupings=tuple(Grouping.from_json(g) for g in fields["groupings"]),
            facts=fields["facts"],
        )


def total_units(layers: Sequence[Layer]) -> int:
    """Units of all layers together."""
    return sum(layer.units for layer in layers)
