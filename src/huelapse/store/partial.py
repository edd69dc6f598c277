"""What one rank or worker has recorded of one moment of a split: a file in the run's `partial/`.

A file is written beside and renamed, without a lock and without a look at the root: no rank waits for
another, and no two write the same file, as each part has a name of its own. How parts become a
snapshot is `huelapse.store.merging`'s.
"""

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np
from jaxtyping import Int64

from huelapse.errors import PartialError
from huelapse.moments import Moments
from huelapse.schema import METRIC_NAME, TRUE, ExtraArray, Grouping
from huelapse.store.atomic import sync_directory
from huelapse.store.unfinished import beside

PARTIAL = "partial"
"""Where parts wait, in the run's directory."""
SUFFIX = ".npz"
VERSION = 1

MEMBERS = {"count": "<i8", "mean": "<f8", "m2": "<f8", "active": "<u4", "nonfinite": "<u4"}
"""Arrays of moments, and how they are stored: what is merged must not have been rounded."""
GREATEST = 2**32 - 2
"""The most that a count of a class and unit can be, on disk."""
BLOCK_BYTES = 8 * 2**20
"""What is read of an array at once."""
HEADER = "header"
IDS = ("<u8", "<i8")
NAME = 200
"""Letters that the name of a part may have."""


def file_name(split: str, step: int, part: str) -> str:
    """Of the file of a part."""
    key = json.dumps([split, step, part]).encode()
    said = f"{split[:60]}-{step}-{part[:40]}"
    safe = quote(said, safe="").replace("%", "_").replace("~", "_").lstrip(".")
    return f"{safe}-{hashlib.sha256(key).hexdigest()[:12]}{SUFFIX}"


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a part says of itself.

    `step`, `epoch`, `wall_time` and `seconds` are as in a `Snapshot`, `metrics` means over the part's
    own `samples`.
    """

    split: str
    step: int
    part: str
    """Which one it is among those of its moment: "rank-3", or a key of its content."""
    expected: int | None
    """How many parts the moment has; None where nobody can say."""
    layers: tuple[tuple[str, int], ...]
    """Path and number of units of each layer of the run, in order."""
    groupings: tuple[Grouping, ...]
    """Of the split, all of them."""
    samples: int
    """Samples in the statistics, those of no class too."""
    wall_time: float
    epoch: float = math.nan
    seconds: float = math.nan
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    run: str = ""
    """The run's id; "" where it is not known."""
    held: int = 0
    """Samples one by one, beside them."""
    segment: int | None = None
    """Index of the run's segment it was recorded in; None where it is of no recording: a replay."""
    extras: tuple[ExtraArray, ...] = ()
    """Optional arrays it holds as they are to be stored; only what is the whole moment can have any."""

    def __post_init__(self) -> None:
        """
        Raises:
            PartialError: a value that cannot be.
        """
        least_of = {"step": 0, "samples": 0, "expected": 1, "segment": 0, "held": 0}
        for name, least in least_of.items():
            value: Any = getattr(self, name)
            if value is None and name in ("expected", "segment"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
                raise PartialError(f"{name} is {value!r}, expected an integer from {least} on")
        if not math.isfinite(self.wall_time):
            raise PartialError(f"wall_time is {self.wall_time}, expected seconds since 1970")
        for name in ("split", "part"):
            value = getattr(self, name)
            if not isinstance(value, str) or not 0 < len(value) <= NAME:
                raise PartialError(f"{name} is {value!r:.99}, expected 1 to {NAME} letters")
        if self.extras and self.expected != 1:
            raise PartialError("it holds optional arrays, and is but a part of its moment")
        for extra in self.extras:
            known = np.dtype(extra.dtype).kind in "fiub" and min(extra.shape, default=0) >= 0
            if extra.static or not extra.shape or not known:
                raise PartialError(f"{extra.path!r:.99} is no optional array of a snapshot")
        for metric in self.metrics:
            if not METRIC_NAME.fullmatch(metric):
                raise PartialError(f"{metric!r:.99} cannot be the name of a scalar")

    @property
    def units(self) -> int:
        return sum(units for _, units in self.layers)

    @property
    def file_name(self) -> str:
        """The same for the same part of the same moment, so that writing it again replaces it."""
        return file_name(self.split, self.step, self.part)

    def as_json(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in About.__dataclass_fields__}
        return {
            **own,
            "layers": [list(layer) for layer in self.layers],
            "groupings": [grouping.as_json() for grouping in self.groupings],
            "metrics": dict(self.metrics),
            "extras": [extra.as_json() for extra in self.extras],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "About":
        names = About.__dataclass_fields__
        given = {"held": 0, "extras": (), **fields}  # parts of before there were any
        known: dict[str, Any] = {name: given[name] for name in names}
        known["layers"] = tuple((str(path), _size(units)) for path, units in fields["layers"])
        known["groupings"] = tuple(Grouping.from_json(one) for one in fields["groupings"])
        known["extras"] = tuple(ExtraArray.from_json(one) for one in fields["extras"])
        known["metrics"] = {str(name): float(v) for name, v in fields["metrics"].items()}
        for name in ("epoch", "wall_time", "seconds"):
            known[name] = float(fields[name])
        known["run"] = str(fields["run"])
        return cls(**known)


@dataclass(frozen=True, kw_only=True, slots=True)
class Apart:
    """Samples that are in no statistics yet, as another part may have them too."""

    ids: Int64[np.ndarray, " held"]
    responses: tuple[np.ndarray, ...]
    """[held, unit] float32, of each response."""
    rows: Mapping[str, np.ndarray]
    """Grouping → [held] int64 class, -1 for none; with several classes [held, class] uint8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Partial(About):
    """One part of a snapshot: exact statistics of some of its samples."""

    moments: Mapping[str, Moments]
    """Grouping → moments of the first response the run records."""
    peaks: Mapping[str, Moments] = field(default_factory=dict[str, Moments])
    """The same of the second, where both are recorded."""
    confusion: Int64[np.ndarray, "class predicted_class"] | None = None
    ids: np.ndarray | None = None
    """[sample] int64 or uint64, a number for each sample in the statistics, the same in every part: by
    it those that a sampler has padded with are found out."""
    values: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    """Path below the split → value of each of the `extras`."""
    apart: Apart | None = None
    """The `held` samples, each of which counts unless another part has it too."""


def write_partial(run: Path, partial: Partial) -> Path:
    """Put a part into the run's directory, durably and as a whole. One that is there is replaced.

    Args:
        run: the run's directory; made if it is not there.
        partial: what was recorded.

    Raises:
        PartialError: its arrays do not fit each other, or hold what cannot be.
        OSError: it cannot be written; what was there is untouched.
    """
    arrays = _arrays_of(partial)
    directory = run / PARTIAL
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / partial.file_name
    begun = beside(path)
    try:
        with begun.open("xb") as file:
            _write(file, partial, arrays)
            file.flush()
            os.fsync(file.fileno())
        begun.replace(path)
    except BaseException:
        with suppress(OSError):
            begun.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    return path


def _write(file: IO[bytes], partial: Partial, arrays: Mapping[str, tuple[np.ndarray, str]]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        hashes: dict[str, str] = {}
        for name, (array, dtype) in arrays.items():
            hashed = hashlib.sha256()
            with archive.open(_entry(name), "w", force_zip64=array.nbytes > 2**30) as member:
                member.write(_array_header(dtype, array.shape))
                for block in _blocks(array, dtype):
                    hashed.update(block)
                    member.write(block)
            hashes[name] = hashed.hexdigest()
        header: dict[str, Any] = {
            "huelapse_partial": VERSION,
            **partial.as_json(),
            "confusion": partial.confusion is not None,
            "peaks": bool(partial.peaks),
            "ids": arrays["ids"][1] if "ids" in arrays else None,
            "several": _several(partial),
            "sha256": hashes,
        }
        header["hash"] = digest_of(header)
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with archive.open(_entry(HEADER), "w") as member:
            member.write(_array_header("|u1", text.shape) + text.tobytes())


def _several(partial: Partial) -> list[str]:
    """Groupings in which a sample kept apart may have several classes."""
    rows = partial.apart.rows if partial.apart is not None else {}
    return [name for name, row in rows.items() if row.ndim > 1]


def _entry(name: str) -> zipfile.ZipInfo:
    """Stored as it is; the same content gives the same bytes."""
    return zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))


def _array_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    told = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, told)
    return buffer.getvalue()


def _blocks(array: np.ndarray, dtype: str) -> Iterator[bytes]:
    size = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
    for first in range(0, len(array), size):
        yield array[first : first + size].astype(dtype, copy=False).tobytes()


def digest_of(header: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in header.items() if name != "hash"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _arrays_of(partial: Partial) -> dict[str, tuple[np.ndarray, str]]:
    """Name of the array in the file → values, and as what they are stored.

    Raises:
        PartialError: they do not fit what is said of them.
    """
    arrays: dict[str, tuple[np.ndarray, str]] = {}
    names = [grouping.name for grouping in partial.groupings]
    for r, groupings in enumerate((partial.moments, partial.peaks)):
        if sorted(groupings) != sorted(names) and (groupings or not r):
            raise PartialError(
                f"statistics are of groupings {sorted(groupings)}, expected {sorted(names)}"
            )
        for i, name in enumerate(names if groupings else ()):
            arrays |= {
                f"{i}.{r}.{member}": (getattr(groupings[name], member), dtype)
                for member, dtype in MEMBERS.items()
            }
    if partial.confusion is not None:
        arrays["confusion"] = (partial.confusion, "<i8")
    if partial.ids is not None:
        dtype = partial.ids.dtype.newbyteorder("<").str
        if dtype not in IDS:
            raise PartialError(f"ids are {partial.ids.dtype}, expected int64 or uint64")
        arrays["ids"] = (partial.ids, dtype)
    if sorted(partial.values) != sorted(extra.path for extra in partial.extras):
        raise PartialError(f"optional arrays are {sorted(partial.values)}, others are declared")
    for i, extra in enumerate(partial.extras):
        arrays[f"extra.{i}"] = (partial.values[extra.path], _stored(extra))
    if partial.apart is not None:
        apart = partial.apart
        arrays["apart.ids"] = (apart.ids, "<i8")
        arrays |= {f"apart.{r}": (values, "<f4") for r, values in enumerate(apart.responses)}
        for i, name in enumerate(names):
            row = apart.rows[name]
            arrays[f"apart.row.{i}"] = (row, "|u1" if row.ndim > 1 else "<i8")
    expected = arrays_expected(partial, arrays, IDS[0], _several(partial))
    for name, (array, _) in arrays.items():
        if array.shape != expected[name][1]:
            raise PartialError(f"{name} has shape {array.shape}, expected {expected[name][1]}")
    for moments in (*partial.moments.values(), *partial.peaks.values()):
        for first in range(0, len(moments.count), step := rows_at_once(partial.units)):
            check_possible(_rows_of(moments, slice(first, first + step)))
    return arrays


def rows_at_once(units: int) -> int:
    """Classes of which a block of moments is made."""
    return max(1, BLOCK_BYTES // max(1, 8 * units))


def _rows_of(moments: Moments, rows: slice) -> Moments:
    return Moments(**{name: getattr(moments, name)[rows] for name in MEMBERS})


def arrays_expected(
    about: About, names: Iterable[str], ids: str | None, several: Collection[str] = ()
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name → dtype and shape of each array that a file with these holds."""
    arrays: dict[str, tuple[str, tuple[int, ...]]] = {}
    for i, grouping in enumerate(about.groupings):
        shape = (len(grouping.classes), about.units)
        for r, name in ((r, name) for r in range(2) for name in MEMBERS):
            wanted = shape[:1] if name == "count" else shape
            arrays[f"{i}.{r}.{name}"] = (MEMBERS[name], wanted)
        if about.held and grouping.name in several:
            arrays[f"apart.row.{i}"] = ("|u1", (about.held, shape[0]))
        elif about.held:
            arrays[f"apart.row.{i}"] = ("<i8", (about.held,))
        if grouping.name == TRUE:
            arrays["confusion"] = ("<i8", (shape[0], shape[0]))
    if ids is not None:
        arrays["ids"] = (ids, (about.samples,))
    for i, extra in enumerate(about.extras):
        arrays[f"extra.{i}"] = (_stored(extra), extra.shape)
    if about.held:
        arrays["apart.ids"] = ("<i8", (about.held,))
        arrays |= {f"apart.{r}": ("<f4", (about.held, about.units)) for r in range(2)}
    missing = [name for name in names if name not in arrays]
    if missing:
        raise PartialError(f"it holds {missing[0]!r:.99}, which belongs to nothing it names")
    return {name: arrays[name] for name in names}


def check_possible(moments: Moments) -> None:
    """
    Raises:
        PartialError: numbers that no samples have.
    """
    n = moments.n
    rules = {
        "a count is negative": (moments.count < 0).any() or (moments.nonfinite < 0).any(),
        "more responses are not finite than samples were forwarded": (n < 0).any(),
        "more responses are active than are finite": (moments.active > n).any(),
        "a count is not one": (moments.active < 0).any(),
        f"a count is over {GREATEST:,}": (moments.active > GREATEST).any()
        or (moments.nonfinite > GREATEST).any(),
        "a mean is not finite": not np.isfinite(moments.mean).all(),
        "a sum of squares is negative, or no number": not (moments.m2 >= 0).all(),
        "there is a mean of no samples": ((n == 0) & (moments.mean != 0)).any(),
        "there are squares of no samples": ((n == 0) & (moments.m2 != 0)).any(),
    }
    for what, is_so in rules.items():
        if is_so:
            raise PartialError(f"it holds what cannot be: {what}")


def _stored(extra: ExtraArray) -> str:
    dtype = np.dtype(extra.dtype)
    return dtype.str if dtype.itemsize == 1 else dtype.newbyteorder("<").str


def _size(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**40:
        raise PartialError(f"{value!r:.99} is no number of units")
    return value
