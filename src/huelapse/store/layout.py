"""Which arrays a run holds, and how each is chunked, compressed and named. No input or output."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from huelapse.schema import TRUE, ExtraArray, Split

ROOT = "run.zarr"
GROUP_FILE = "zarr.json"

TILE_CLASSES = 128
TILE_UNITS = 512
TILE_BYTES = 2**20
"""The most that one inner tile of an optional array may hold."""
COORDINATE_CHUNK = 1024
"""Snapshots in one chunk of a one-dimensional array; such a chunk is replaced copy-on-write."""

CUBES = (("mean", "float32"), ("m2", "float32"), ("active", "uint32"), ("nonfinite", "uint32"))
"""Statistics per class and unit, and how they are stored."""

NO_COUNT = {"int64": -1, "uint32": 2**32 - 1}
"""Fill of counts by their dtype: no count can be that, so a chunk that is gone is noticed."""

GONE = 2
"""In the array `superseded`: the snapshot was pruned, and its chunks are gone."""

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArraySpec:
    """One array of the run: path inside `run.zarr`, dimensions, shape of one snapshot, dtype."""

    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    fill: int = 0
    """What an integer array holds where nothing was written."""
    static: bool = False
    """Whether it stands once for the split, and not along `snapshot`."""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tile_bytes: int | None = None
    """The most an inner tile may hold; None for the fixed tiles of statistics."""

    @property
    def tile(self) -> tuple[int, ...]:
        """Inner tile: at most 128 classes × 512 units, ignoring layers, and `tile_bytes`."""
        most = {"class": TILE_CLASSES, "predicted_class": TILE_CLASSES, "unit": TILE_UNITS}
        dims = self.dims if self.static else self.dims[1:]
        tile = [min(n, most.get(dim, n)) for n, dim in zip(self.shape, dims, strict=True)]
        if self.tile_bytes is not None:
            size = np.dtype(self.dtype).itemsize
            while math.prod(tile) * size > self.tile_bytes:
                longest = tile.index(max(tile))
                tile[longest] = -(-tile[longest] // 2)
        return tuple(tile)

    @property
    def shard(self) -> tuple[int, ...]:
        """One file, of one snapshot: the shape, rounded up to whole tiles."""
        return tuple(-(-n // t) * t for n, t in zip(self.shape, self.tile, strict=True))

    @property
    def fill_value(self) -> float | int:
        return float("nan") if np.dtype(self.dtype).kind == "f" else self.fill

    def metadata(self, snapshots: int) -> JSON:
        """The array's Zarr v3 metadata when it holds `snapshots` snapshots."""
        floating = np.dtype(self.dtype).kind == "f"
        along = [] if self.static else [1]
        if self.shape:
            chunk = [*along, *self.shard]
            codecs = sharded([*along, *self.tile], self.dtype)
        else:
            chunk = [COORDINATE_CHUNK]
            codecs = compressed(self.dtype)
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [*(snapshots for _ in along), *self.shape],
            "data_type": self.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": "NaN" if floating else self.fill,
            "codecs": codecs,
            "dimension_names": list(self.dims),
            "attributes": dict(self.attributes),
        }


def compressed(dtype: str) -> list[JSON]:
    """Codecs of a chunk: little-endian, lz4 after a byte shuffle, and a checksum."""
    size = np.dtype(dtype).itemsize
    return [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {
            "name": "blosc",
            "configuration": {
                "cname": "lz4",
                "clevel": 5,
                "shuffle": "shuffle" if size > 1 else "noshuffle",
                "typesize": size,
                "blocksize": 0,
            },
        },
        {"name": "crc32c"},
    ]


def sharded(tile: Sequence[int], dtype: str) -> list[JSON]:
    """Codecs of a shard of tiles that are each compressed, with an index at its end."""
    return [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": list(tile),
                "codecs": compressed(dtype),
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": "end",
            },
        }
    ]


def coordinates(split: str, metrics: Sequence[str]) -> list[ArraySpec]:
    """The one-dimensional arrays of a split; user metrics stand beside them as `metric.NAME`."""
    named = [
        ("step", "int64"),
        ("epoch", "float64"),
        ("wall_time", "float64"),
        ("segment", "int32"),
        ("superseded", "uint8"),
        ("seconds", "float64"),
        *((f"metric.{name}", "float64") for name in metrics),
    ]
    return [
        ArraySpec(
            path=f"{split}/{name}",
            dims=("snapshot",),
            shape=(),
            dtype=dtype,
            fill=-1 if name == "step" else 0,  # no step is -1: a chunk that is gone is noticed
        )
        for name, dtype in named
    ]


def statistics(split: Split, units: int, responses: Sequence[str] = ("mean",)) -> list[ArraySpec]:
    """The statistics of every grouping of a split, and the confusion counts.

    Those of the first response stand in the grouping itself, those of others in `{response}` in it.
    """
    specs: list[ArraySpec] = []
    for grouping in split.groupings:
        base, classes = f"{split.name}/{grouping.name}", len(grouping.classes)
        cube = ("snapshot", "class", "unit")
        specs.append(
            ArraySpec(
                path=f"{base}/count",
                dims=("snapshot", "class"),
                shape=(classes,),
                dtype="int64",
                fill=NO_COUNT["int64"],
            )
        )
        for response in responses:
            home = home_of(base, response, responses)
            specs.extend(
                ArraySpec(
                    path=f"{home}/{name}",
                    dims=cube,
                    shape=(classes, units),
                    dtype=dtype,
                    fill=NO_COUNT.get(dtype, 0),
                )
                for name, dtype in CUBES
            )
        if grouping.name == TRUE and not split.multilabel:
            specs.append(
                ArraySpec(
                    path=f"{base}/confusion",
                    dims=("snapshot", "class", "predicted_class"),
                    shape=(classes, classes),
                    dtype="uint32",
                    fill=NO_COUNT["uint32"],
                )
            )
    return specs


def home_of(grouping: str, response: str, responses: Sequence[str]) -> str:
    """The group that holds the statistics of a response, of those a run has."""
    return grouping if response == responses[0] else f"{grouping}/{response}"


def optional(split: str, extra: ExtraArray) -> ArraySpec:
    """An optional array of a split."""
    return ArraySpec(
        path=f"{split}/{extra.path}",
        dims=extra.dims if extra.static else ("snapshot", *extra.dims),
        shape=extra.shape,
        dtype=extra.dtype,
        fill=extra.fill,
        static=extra.static,
        attributes=extra.attributes,
        tile_bytes=TILE_BYTES,
    )


def groups_of(split: Split, responses: Sequence[str]) -> dict[str, JSON]:
    """Path below the split → attributes, of every group in it."""
    groups: dict[str, JSON] = {}
    for grouping in split.groupings:
        groups[grouping.name] = grouping.as_json()
        for response in responses[1:]:
            groups[f"{grouping.name}/{response}"] = {"response": response}
    for extra in split.extras:
        above = extra.path.split("/")[:-1]
        for depth in range(1, len(above) + 1):
            groups.setdefault("/".join(above[:depth]), {})
    return dict(sorted(groups.items()))  # a group before those in it


def group(attributes: JSON, members: dict[str, JSON] | None = None) -> JSON:
    """A group's metadata, with the consolidated metadata of its members where given."""
    metadata: JSON = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    if members is not None:
        metadata["consolidated_metadata"] = {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(sorted(members.items())),
        }
    return metadata


def encoded(metadata: JSON) -> bytes:
    """Metadata as it is written."""
    return json.dumps(metadata, indent=1, allow_nan=False).encode()


def digest(root: JSON) -> str:
    """SHA-256 of a root's metadata without its own `hash`: JSON with sorted keys, no spaces."""
    attributes = {name: value for name, value in root["attributes"].items() if name != "hash"}
    plain = {**root, "attributes": attributes}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
