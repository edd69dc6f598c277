"""The words of a run as plain data: layers, groupings, splits. No arrays, no libraries."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import quote

VERSION = "0.1.0"

FORMAT_VERSION = 1
"""Major version of the disk format; readers refuse a newer one. See docs/format.md."""

TRUE = "true"
PREDICTED = "predicted"

LABELS = "labels"
"""The array of a split that holds its samples' labels, where responses are kept."""

RESERVED = frozenset(
    (
        *("step", "epoch", "wall_time", "segment", "superseded", "seconds", "zarr.json"),
        *("responses", "response_ref", "response_scale", "probabilities", "predictions"),
        *("watched", "first_weights", "thumbnails", LABELS),
    )
)
"""What stands beside groupings in a split, and so cannot be the name of one."""

SPLIT_NAME = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,99}")
METRIC_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
"""What names of splits and of the user's scalars are made of: they name groups and arrays."""

SplitKind = Literal["probe", "evaluation", "window"]
RunState = Literal["recording", "complete", "interrupted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Incomplete:
    """A snapshot that was merged without some of its parts: it counts fewer samples than others."""

    snapshot: int
    """Its index among those that are shown."""
    step: int
    parts: int
    """How many it was merged of."""
    expected: int | None
    """How many there should be; None where nobody could say."""


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
    sample_axis: int = 0
    """Which axis of the module's output holds the samples; `shape` and `unit_axis` are told with
    that axis moved to the front."""

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
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
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
class ExtraArray:
    """An optional array of a split, beside its coordinates and statistics.

    `path` is where it stands below the split, `dims` and `shape` are those of one snapshot, or,
    where it is `static` (written once, when the split is declared), of the whole. `fill` is what
    an integer array holds where nothing was written; floating arrays hold NaN there.
    """

    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    static: bool = False
    fill: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "dims": list(self.dims),
            "shape": list(self.shape),
            "attributes": dict(self.attributes),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ExtraArray":
        known: dict[str, Any] = {n: fields[n] for n in cls.__dataclass_fields__ if n in fields}
        known["dims"] = tuple(known["dims"])
        known["shape"] = tuple(int(n) for n in known["shape"])
        return cls(**known)


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
    extras: tuple[ExtraArray, ...] = ()
    multilabel: bool = False
    """Whether a sample may belong to several classes; there is no confusion then."""

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
            "extras": [extra.as_json() for extra in self.extras],
            "multilabel": self.multilabel,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Split":
        return cls(
            name=fields["name"],
            kind=fields["kind"],
            groupings=tuple(Grouping.from_json(g) for g in fields["groupings"]),
            facts=fields["facts"],
            extras=tuple(ExtraArray.from_json(e) for e in fields.get("extras", ())),
            multilabel=bool(fields.get("multilabel", False)),
        )


def layer_name(path: str) -> str:
    """A layer's path as the name of an array of its own, and after `@` in names of dimensions.

    The path itself, but for what cannot be a file's name: other characters than letters, digits
    and "_.-#()" stand as %XX, and so does a first "_" or ".".
    """
    name = quote(path, safe="#()").replace("~", "%7E")
    if name[:1] in ("_", "."):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return "zarr%2Ejson" if name == "zarr.json" else name


def total_units(layers: Sequence[Layer]) -> int:
    """Units of all layers together."""
    return sum(layer.units for layer in layers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """Which layer feeds which.

    `nodes` are paths of layers, in an order in which every edge goes forward (the output is the
    last), and of junctions between them, where branches merge; `junctions` holds what a junction
    does (`add`, `cat` …), None for a layer; `edges` are pairs of indices (from, to), None where
    they could not be found: then `nodes` are the layers in the order of their first call.
    """

    nodes: tuple[str, ...]
    junctions: tuple[str | None, ...]
    edges: tuple[tuple[int, int], ...] | None

    def as_json(self) -> dict[str, Any]:
        edges = None if self.edges is None else [list(edge) for edge in self.edges]
        return {"nodes": list(self.nodes), "junctions": list(self.junctions), "edges": edges}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Graph":
        edges = fields["edges"]
        return cls(
            nodes=tuple(fields["nodes"]),
            junctions=tuple(fields["junctions"]),
            edges=None if edges is None else tuple((int(a), int(b)) for a, b in edges),
        )
