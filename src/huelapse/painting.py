"""What a picture of a run shows: each unit's class, level, state and flags, snapshot by snapshot.

Snapshots are painted 16 at a time, with the counts that curves are made of; whole such chunks are kept
in the run's cache, so that a run is painted once.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

import numpy as np
from jaxtyping import Bool

from huelapse.errors import FormatError, SelectionError
from huelapse.measures import MEASURES_VERSION, TUNED, Measure, Reading, find_measure
from huelapse.moments import Moments
from huelapse.palette import LEVELS, level
from huelapse.store.cache import digest
from huelapse.stored import Stored

CHUNK = 16
"""Snapshots that are painted together."""

BIN = 5
"""Levels in one bin of strength: a twentieth, the step of the page's threshold."""

BINS = (LEVELS - 1) // BIN + 1
NO_CLASS = 65535

HELD, TIED, SILENT, NO_DATA, NOT_FINITE, NOT_RECORDED, NOT_DEFINED = range(7)
STATES = 7
"""States in pictures: held is split into tuned and unselective by the page's threshold."""

SUPPRESSED, ALWAYS_ON, UNRELIABLE = 1, 2, 4

MEMORY_BYTES = 256 * 2**20

WORKERS = min(4, os.cpu_count() or 1)
"""Snapshots that are painted at a time: more than there are processors would only take each other's
memory away."""

KIND = "paint"

PICTURE = ("preferred", "level", "state", "flags")
CURVES = ("n", "mean_strength", "magnitude", "bins", "states", "class_bins")

Arrays = dict[str, np.ndarray]


class Painter:
    """Paints the snapshots of one committed state of a run. May be used by several threads."""

    def __init__(
        self, run: Stored, before: "Painter | None" = None, *, past_damage: bool = False
    ) -> None:
        """
        Args:
            run: what to paint.
            before: a painter of an earlier state of the same run, whose snapshots are still true.
            past_damage: leave a snapshot that cannot be read back without a picture, instead of
                refusing the chunk it is in; `damaged` tells which these are.
        """
        self.run = run
        self.past_damage = past_damage
        self._lock = Lock()
        self._damaged: dict[str, str] = {}
        self._painted: OrderedDict[str, Arrays] = OrderedDict()
        self._curves: dict[str, Arrays] = {}
        self._tails: dict[tuple[str, str, str], dict[str, Arrays]] = {}
        if before is not None:
            with before._lock:
                self._painted.update(before._painted)
                self._curves.update(before._curves)
                self._tails.update(before._tails)
                self._damaged.update(before._damaged)

    def chunks(self, split: str) -> int:
        """How many chunks there are; the last may be a part of one."""
        return -(-len(self.run.coordinate("step", split)) // CHUNK)

    def chunk(self, split: str, grouping: str, measure: str, chunk: int) -> Arrays:
        """A chunk's pictures and curves, along `snapshot`.

        Returns:
            `preferred` uint16 (`NO_CLASS` for none), `level`, `state`, `flags` uint8 [snapshot, unit];
            `n` uint32 [snapshot, class]; `mean_strength` and `magnitude` (root mean square of the
            responses) float32 [snapshot, layer]; and, uint32, held
            units by level: `bins` [snapshot, layer, bin], `class_bins` [snapshot, class, bin]; all
            units: `states` [snapshot, layer, state].

        Raises:
            SelectionError: there is no such split, grouping, measure or chunk.
            FormatError: a part of the run is missing or damaged, unless that is passed over: then
                the units of such a snapshot are in state `NOT_RECORDED`, `n` is 0 and means are NaN.
        """
        return self.chunk_by(split, grouping, [measure], chunk)[0]

    def chunk_by(
        self, split: str, grouping: str, measures: Sequence[str], chunk: int
    ) -> list[Arrays]:
        """The same by several measures: what none has painted yet is read once for all of them."""
        by = [find_measure(measure) for measure in measures]
        self.run.grouping(grouping, split)
        total = len(self.run.coordinate("step", split))
        own = range(chunk * CHUNK, min((chunk + 1) * CHUNK, total))
        if not own:
            raise SelectionError(f"no chunk {chunk}: the run has {total} snapshots")
        there = {one.name: self._found(split, grouping, one, own) for one in by}
        found = {name: arrays for name, arrays in there.items() if arrays is not None}
        missing = [one for one in by if one.name not in found]
        if missing:
            found |= self._paint(split, grouping, missing, own)
        for one in by:
            new = one in missing
            self._keep(split, grouping, one, own, found[one.name], new=new)
        return [found[one.name] for one in by]

    def _found(self, split: str, grouping: str, measure: Measure, own: range) -> Arrays | None:
        """Pictures of snapshots, if they are painted already."""
        key = self._key(split, grouping, measure.name, own)
        with self._lock:
            if key in self._painted:
                return self._painted[key]
        # what a user's own function said may be something else tomorrow
        found = None if measure.own else self.run.cache.find(KIND, key)
        fits = found is not None and self._fits(found, len(own), split, grouping)
        return found if fits else None

    def _keep(
        self, split: str, grouping: str, measure: Measure, own: range, found: Arrays, *, new: bool
    ) -> None:
        """Keep pictures in memory, as the last that were asked for; new ones of a whole chunk in the
        cache too."""
        key = self._key(split, grouping, measure.name, own)
        whole = not (found["state"] == NOT_RECORDED).any()  # what is damaged may be mended
        if new and len(own) == CHUNK and whole and not measure.own:
            self.run.cache.keep(KIND, key, found)
        with self._lock:
            self._painted[key] = found
            self._painted.move_to_end(key)
            if len(own) == CHUNK:  # another commit makes another key of a part of one
                self._curves[key] = {name: found[name] for name in CURVES}
            size = sum(array.nbytes for array in found.values())
            while len(self._painted) > max(1, MEMORY_BYTES // max(size, 1)):
                self._painted.popitem(last=False)

    def curves(self, split: str, grouping: str, measure: str, chunk: int) -> Arrays:
        """The curves of a chunk alone; those of whole chunks stay in memory."""
        total = len(self.run.coordinate("step", split))
        own = range(chunk * CHUNK, min((chunk + 1) * CHUNK, total))
        key = self._key(split, grouping, measure, own)
        with self._lock:
            if key in self._curves:
                return self._curves[key]
        return self.chunk(split, grouping, measure, chunk)

    def damaged(self, split: str, grouping: str, measure: str) -> dict[int, str]:
        """Which of the snapshots that were painted so far cannot be read back, and why."""
        if not self._damaged:
            return {}
        total = len(self.run.coordinate("step", split))
        keys = {t: self._key(split, grouping, measure, range(t, t + 1)) for t in range(total)}
        return {t: self._damaged[key] for t, key in keys.items() if key in self._damaged}

    def keys(self, split: str, grouping: str, measure: str) -> list[str]:
        """Names, in the cache, of all whole chunks of this state of the run."""
        whole = len(self.run.coordinate("step", split)) // CHUNK
        chunks = (range(c * CHUNK, (c + 1) * CHUNK) for c in range(whole))
        return [self._key(split, grouping, measure, own) for own in chunks]

    def _key(self, split: str, grouping: str, measure: str, own: range) -> str:
        told = self.run.identity(split, slice(own.start, own.stop))
        rule = self.run.rule(grouping, split)
        return digest(KIND, MEASURES_VERSION, split, grouping, measure, told, *rule)

    def _fits(self, found: Arrays, snapshots: int, split: str, grouping: str) -> bool:
        classes = len(self.run.grouping(grouping, split).classes)
        units, layers = self.run.units, len(self.run.layers)
        expected = {
            **dict.fromkeys(PICTURE, (units,)),
            "n": (classes,),
            "mean_strength": (layers,),
            "magnitude": (layers,),
            "bins": (layers, BINS),
            "states": (layers, STATES),
            "class_bins": (classes, BINS),
        }
        return {name: array.shape for name, array in found.items()} == {
            name: (snapshots, *shape) for name, shape in expected.items()
        }

    def _paint(
        self, split: str, grouping: str, measures: Sequence[Measure], own: range
    ) -> dict[str, Arrays]:
        """Pictures by name of the measure."""
        before = {one.name: self._tails.get((split, grouping, one.name), {}) for one in measures}
        keys = {
            (one.name, t): self._key(split, grouping, one.name, range(t, t + 1))
            for one in measures
            for t in own
        }

        def one(index: int) -> dict[str, Arrays]:
            found = {
                name: before[name][key]
                for name in before
                if (key := keys[name, index]) in before[name]
            }
            missing = [measure for measure in measures if measure.name not in found]
            if not missing:
                return found
            try:
                painted = self._snapshot(split, grouping, missing, index, stopped)
            except FormatError as error:
                if not self.past_damage:
                    raise
                for measure in missing:
                    self._damaged[keys[measure.name, index]] = str(error)
                painted = [self._blank(split, grouping) for _ in missing]
            names = (measure.name for measure in missing)
            return found | dict(zip(names, painted, strict=True))

        stopped = Event()
        with ThreadPoolExecutor(max_workers=min(WORKERS, len(own))) as pool:
            try:
                snapshots = list(pool.map(one, own))
            except BaseException:  # Ctrl-C too
                stopped.set()  # or the pool would go on to the end of what is under way
                raise
        found: dict[str, Arrays] = {}
        for name in before:
            parts = [snapshot[name] for snapshot in snapshots]
            if len(own) < CHUNK:  # the last: it grows by a snapshot, and is asked for again
                with self._lock:
                    tail = {keys[name, t]: part for t, part in zip(own, parts, strict=True)}
                    self._tails[split, grouping, name] = tail
            found[name] = {what: np.stack([part[what] for part in parts]) for what in parts[0]}
        return found

    def _snapshot(
        self, split: str, grouping: str, measures: Sequence[Measure], index: int, stopped: Event
    ) -> list[Arrays]:
        """One snapshot by some measures; its statistics are read once, some units at a time."""
        run, count = self.run, np.zeros(0, np.int64)
        pictures: list[list[Arrays]] = [[] for _ in measures]
        squares: list[Arrays] = []
        for own, moments in run.blocks(index, grouping, split):
            if stopped.is_set():
                raise CancelledError
            signed, count = run.signed[own], moments.count
            readings = run.judged_by(
                moments, grouping, split, signed=signed, measures=measures, held_alone=True
            )
            squares.append(_squares(moments))
            for picture, reading in zip(pictures, readings, strict=True):
                picture.append({**on_wire(reading), "strength": reading.strength})
        whole = _joined(squares)
        magnitude = self._magnitude(whole["squares"], whole["samples"])
        found: list[Arrays] = []
        for parts in pictures:
            picture = _joined(parts)
            strength = picture.pop("strength")
            counted = self._counted(picture, strength, count)
            found.append({**picture, **counted, "magnitude": magnitude})
        return found

    def _blank(self, split: str, grouping: str) -> Arrays:
        """Of a snapshot that cannot be read back: no number, and no unit with a class."""
        units, layers = self.run.units, self.run.layers
        classes = len(self.run.grouping(grouping, split).classes)
        picture = {
            "preferred": np.full(units, NO_CLASS, np.uint16),
            "level": np.zeros(units, np.uint8),
            "state": np.full(units, NOT_RECORDED, np.uint8),
            "flags": np.zeros(units, np.uint8),
        }
        unknown = np.full(units, np.nan)
        counted = self._counted(picture, unknown, np.zeros(classes, np.int64))
        return picture | counted | {"magnitude": np.full(len(layers), np.nan, np.float32)}

    def _counted(self, picture: Arrays, strength: np.ndarray, count: np.ndarray) -> Arrays:
        layers, classes = self.run.layers, len(count)
        mean = np.full(len(layers), np.nan, np.float32)
        bins = np.zeros((len(layers), BINS), np.uint32)
        states = np.zeros((len(layers), STATES), np.uint32)
        held, binned = picture["state"] == HELD, picture["level"] // BIN
        for i, layer in enumerate(layers):
            own = layer.slice
            known = strength[own][np.isfinite(strength[own])]
            if len(known):
                mean[i] = known.mean()
            bins[i] = np.bincount(binned[own][held[own]], minlength=BINS)
            states[i] = np.bincount(picture["state"][own], minlength=STATES)
        at = picture["preferred"][held].astype(np.int64) * BINS + binned[held]
        of_classes = np.bincount(at, minlength=classes * BINS).reshape(classes, BINS)
        return {
            "n": count.astype(np.uint32),
            "mean_strength": mean,
            "bins": bins,
            "states": states,
            "class_bins": of_classes.astype(np.uint32),
        }

    def _magnitude(self, squares: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Root mean square of all responses of each layer; NaN where it has none that are finite."""
        found = np.full(len(self.run.layers), np.nan, np.float32)
        for i, layer in enumerate(self.run.layers):
            own, seen = squares[layer.slice], samples[layer.slice]
            if seen.any():
                found[i] = np.sqrt(own[seen > 0].sum() / seen.sum())
        return found


def _joined(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}


def _squares(moments: Moments) -> Arrays:
    """Of each unit the sum of its squared responses, and how many samples these are."""
    n = moments.n if moments.nonfinite.any() else moments.count[:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.square(moments.mean)
        squares *= n
        squares += moments.m2
    samples = np.broadcast_to(n.sum(0), squares.shape[1])
    return {"squares": squares.sum(0), "samples": samples}


def tuned(
    state: np.ndarray, level: np.ndarray, threshold: float = TUNED
) -> Bool[np.ndarray, "*any"]:
    """Which units of pictures are tuned: held, at a level of at least 100 · threshold."""
    return (state == HELD) & (level >= 100 * threshold - 1e-9)


def on_wire(reading: Reading) -> Arrays:
    """A reading as pictures hold it: `preferred`, `level`, `state`, `flags` per unit."""
    preference = reading.preference
    state = np.where(preference.held, HELD, TIED)
    state = np.where(reading.not_defined, NOT_DEFINED, state)
    state = np.where(reading.silent, SILENT, state)
    state = np.where(preference.no_data, NO_DATA, state)
    state = np.where(reading.not_finite, NOT_FINITE, state)
    levels = np.where(state == HELD, level(reading.strength), 0)
    flags = (
        SUPPRESSED * preference.suppressed
        + ALWAYS_ON * reading.always_on
        + UNRELIABLE * reading.unreliable
    )
    return {
        "preferred": class_on_wire(preference.preferred),
        "level": levels.astype(np.uint8),
        "state": state.astype(np.uint8),
        "flags": flags.astype(np.uint8),
    }


def class_on_wire(indices: Any) -> np.ndarray:
    """Classes as uint16, `NO_CLASS` where there is none."""
    return np.where(indices < 0, NO_CLASS, indices).astype(np.uint16)
