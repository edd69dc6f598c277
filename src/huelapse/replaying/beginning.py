"""How a run begins that is made of parts: the layer table, the split, what all snapshots share.

Whoever records a part leaves this beside it, so that who commits needs neither the model nor the data.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save

from huelapse.errors import ReplayError
from huelapse.schema import Graph, Layer, Split
from huelapse.store.atomic import sync_directory
from huelapse.store.partial import PARTIAL
from huelapse.store.unfinished import beside

MOST_BYTES = 2**31


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """What a part was recorded of."""

    digest: str
    """Of what was asked."""
    asked: Mapping[str, Any]
    """That, as `Asked.identity`."""
    part: int
    parts: int
    hash: str
    """Of the part's samples."""
    layers: tuple[Layer, ...]
    graph: Graph | None
    responses: tuple[str, ...]
    split: Split
    facts: Mapping[str, Any]
    """Of the model, for the run's provenance."""
    static: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])

    def difference(self, other: "Beginning") -> str | None:
        """Why parts recorded of the two cannot belong to one run."""
        if self.layers != other.layers:
            here, there = ([layer.path for layer in one.layers] for one in (self, other))
            odd = [path for path in here if path not in there] + [p for p in there if p not in here]
            what = ", ".join(odd[:3]) if odd else "the same paths, of other units"
            return f"the model's layers are others than before: {what}"
        if self.responses != other.responses or self.split.groupings != other.split.groupings:
            return "its classes, groupings or responses are others than before"
        if _extras(self) != _extras(other):
            return "the optional arrays are others than before"
        if self.part == other.part and self.hash != other.hash:
            return (
                f"the data give other samples than before (hash {other.hash[:12]}, now "
                f"{self.hash[:12]})"
            )
        return None


def _extras(one: Beginning) -> list[Any]:
    return [extra.as_json() for extra in one.split.extras]


def file_of(run: Path, digest: str, part: int, parts: int) -> Path:
    """Where it stands, or would."""
    return run / PARTIAL / f".replay-{digest}-{part:04d}of{parts:04d}.safetensors"


def is_left(run: Path, digest: str, part: int, parts: int) -> bool:
    """Whether somebody has left it."""
    return file_of(run, digest, part, parts).is_file()


def leave(run: Path, beginning: Beginning) -> Path:
    """Put it beside the parts, unless it is there.

    Returns:
        Where it stands.

    Raises:
        ReplayError: one is there that differs.
        OSError: it cannot be written.
    """
    path = file_of(run, beginning.digest, beginning.part, beginning.parts)
    known = find(run, beginning.digest, beginning.part, beginning.parts)
    if known is not None:
        difference = beginning.difference(known)
        if difference is not None:
            raise ReplayError(f"{difference}. Replay into another run, or under another split")
        return path
    told = {
        **{name: getattr(beginning, name) for name in ("digest", "part", "parts", "hash")},
        "asked": dict(beginning.asked),
        "layers": [layer.as_json() for layer in beginning.layers],
        "graph": beginning.graph.as_json() if beginning.graph is not None else None,
        "responses": list(beginning.responses),
        "split": beginning.split.as_json(),
        "facts": dict(beginning.facts),
    }
    content = save(
        {name: np.ascontiguousarray(value) for name, value in beginning.static.items()},
        {"beginning": json.dumps(told)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = beside(path)
    try:
        with begun.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        begun.replace(path)
    except BaseException:
        with suppress(OSError):
            begun.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return path


def find(run: Path, digest: str, part: int, parts: int) -> Beginning | None:
    """What the parts of a replay were recorded of; None where nobody has left it, or what is there is
    damaged."""
    from safetensors import safe_open

    path = file_of(run, digest, part, parts)
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size > MOST_BYTES:
            return None
        with safe_open(path, "np") as file:
            told: Any = json.loads((file.metadata() or {})["beginning"])
            static = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = Beginning(
            digest=str(told["digest"]),
            asked=dict(told["asked"]),
            part=int(told["part"]),
            parts=int(told["parts"]),
            hash=str(told["hash"]),
            layers=tuple(Layer.from_json(one) for one in told["layers"]),
            graph=None if told["graph"] is None else Graph.from_json(told["graph"]),
            responses=tuple(str(one) for one in told["responses"]),
            split=Split.from_json(told["split"]),
            facts=dict(told["facts"]),
            static=static,
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if (found.digest, found.part, found.parts) == (digest, part, parts) else None


def of_all_parts(run: Path, digest: str, parts: int) -> Beginning | None:
    """Of the whole: its samples are those of all parts; None while one is missing.

    Raises:
        ReplayError: parts were recorded of other things.
    """
    found = [find(run, digest, part, parts) for part in range(parts)]
    own = [one for one in found if one is not None]
    if len(own) < parts:
        return None
    for one in own[1:]:
        difference = one.difference(own[0])
        if difference is not None:
            raise ReplayError(f"parts do not belong together: {difference}")
    samples = sum(int(one.split.facts.get("samples", 0)) for one in own)
    joined = own[0].hash if parts == 1 else "+".join(one.hash[:16] for one in own)
    facts = {**own[0].split.facts, "samples": samples, "hash": joined}
    return replace(own[0], split=replace(own[0].split, facts=facts))


def left_in(run: Path) -> list[tuple[str, int]]:
    """Digest and number of parts of each replay that has left something."""
    found: set[tuple[str, int]] = set()
    for path in (run / PARTIAL).glob(".replay-*of*.safetensors"):
        digest, _, numbers = path.name.removeprefix(".replay-").partition("-")
        parts = numbers.removesuffix(".safetensors").partition("of")[2]
        if parts.isdigit() and 0 < int(parts) < 10_000:
            found.add((digest, int(parts)))
    return sorted(found)
