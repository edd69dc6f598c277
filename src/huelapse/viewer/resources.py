"""From a run to the arrays the page reads. Everything scientific happens on this side."""

import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from safetensors.numpy import save

from huelapse.errors import FormatError, SelectionError
from huelapse.measures import MEASURES, TUNED, Reading, interval, read
from huelapse.palette import LEVELS, level, palette
from huelapse.run import Run, find_measure
from huelapse.schema import PREDICTED, TRUE, Split

logger = logging.getLogger(__name__)

CHUNK = 16
"""Snapshots in one paint resource."""

BIN = 5
"""Levels in one bin of strength: a twentieth, the step of the page's threshold."""

BINS = (LEVELS - 1) // BIN + 1
NO_CLASS = 65535

HELD, TIED, SILENT, NO_DATA, NOT_FINITE, NOT_RECORDED = range(6)
"""States on the wire: held is split into tuned and unselective by the page's threshold."""

SUPPRESSED, ALWAYS_ON = 1, 2
TITLES = {TRUE: "True label", PREDICTED: "Predicted"}
CACHED_BYTES = 256 * 2**20

Arrays = dict[str, np.ndarray]


class Resources:
    """The resources of one committed state of one run, each as bytes."""

    def __init__(self, run: Run, before: "Resources | None" = None) -> None:
        """
        Args:
            run: what to serve.
            before: an earlier state of the same run, whose painted snapshots are still true.
        """
        self.run = run
        self._painted: OrderedDict[tuple[str, str, str, int], Arrays] = OrderedDict()
        if before is not None:
            with before._lock:
                self._painted.update(before._painted)
        self._kept: dict[str, bytes] = {}
        self._lock = Lock()
        self._making = Lock()

    def get(self, path: str) -> tuple[bytes, str]:
        """Content and media type of a resource, by its path below the run.

        Raises:
            SelectionError: there is no such resource.
        """
        match path.split("/"):
            case ["manifest.json"]:
                return json.dumps(self.manifest(), allow_nan=False).encode(), "application/json"
            case ["palette.st"]:
                arrays = self._palette()
            case [split, "scalars.st"]:
                arrays = self._scalars(self.run.split(split))
            case [split, "confusion.st"]:
                arrays = {"confusion": self.run.confusion(split).astype(np.uint32)}
            case [split, grouping, measure, "paint", chunk] if chunk.endswith(".st"):
                arrays = self._chunk(split, grouping, measure, _number(chunk.removesuffix(".st")))
            case [split, grouping, measure, "summary.st"]:
                return self._keep(path, lambda: self._summary(split, grouping, measure))
            case [split, grouping, measure, "classes.st"]:
                return self._keep(path, lambda: self._classes(split, grouping, measure))
            case [split, grouping, measure, "unit", unit] if unit.endswith(".st"):
                arrays = self._unit(split, grouping, measure, _number(unit.removesuffix(".st")))
            case _:
                raise SelectionError(f"no resource {path!r}")
        return _encode(arrays), "application/octet-stream"

    def _keep(self, path: str, make: Callable[[], Arrays]) -> tuple[bytes, str]:
        with self._making:  # summary and classes are asked for together, and count the same
            if path not in self._kept:
                self._kept[path] = _encode(make())
            return self._kept[path], "application/octet-stream"

    # --- small and named -------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        run = self.run
        facts: dict[str, Any] = run.facts["facts"] or {}
        return {
            "format": 1,
            "name": run.name,
            "created": facts.get("created", ""),
            "state": run.status,
            "version": run.version,
            "model": {"name": facts.get("model", ""), "parameters": facts.get("parameters", 0)},
            "versions": {"huelapse": facts.get("huelapse", ""), **facts.get("versions", {})},
            "levels": LEVELS,
            "chunk": CHUNK,
            "threshold": TUNED,
            "measures": [
                {"name": m.name, "title": m.title, "about": m.about} for m in MEASURES.values()
            ],
            "layers": [layer.as_json() for layer in run.layers],
            "splits": [self._split(split) for split in run.splits],
        }

    def _split(self, split: Split) -> dict[str, Any]:
        confusion = not split.multilabel and any(g.name == TRUE for g in split.groupings)
        return {
            "name": split.name,
            "kind": split.kind,
            "samples": split.facts.get("samples"),
            "mode": split.facts.get("mode"),
            "weights": split.facts.get("weights"),
            "multilabel": split.multilabel,
            "snapshots": len(self.run.coordinate("step", split.name)),
            "metrics": self.run.metrics(split.name),
            "resources": ["confusion"] if confusion else [],
            "groupings": [
                {"name": g.name, "title": TITLES.get(g.name, g.name), "classes": list(g.classes)}
                for g in split.groupings
            ],
        }

    def _palette(self) -> Arrays:
        """One palette per number of classes: few classes take the hues that are farthest apart."""
        arrays: Arrays = {}
        for classes in sorted({len(g.classes) for s in self.run.splits for g in s.groupings}):
            colors = palette(classes)
            arrays |= {f"dark.{classes}": colors.dark, f"light.{classes}": colors.light}
        return arrays

    def _scalars(self, split: Split) -> Arrays:
        run, name = self.run, split.name
        arrays = {
            coordinate: run.coordinate(coordinate, name).astype(np.float64)
            for coordinate in ("step", "epoch", "wall_time")
        }
        if not split.multilabel:
            try:
                arrays["accuracy"] = run.accuracy(name)
            except FormatError as error:  # the rest can still be seen
                logger.warning("the accuracy is not known: %s", error)
                arrays["accuracy"] = np.full(len(arrays["step"]), np.nan)
        for metric in run.metrics(name):
            arrays[f"metric.{metric}"] = run.coordinate(f"metric.{metric}", name)
        return arrays

    # --- colors ----------------------------------------------------------------------------------

    def _chunk(self, split: str, grouping: str, measure: str, chunk: int) -> Arrays:
        total = self._snapshots(split, grouping, measure)
        indices = range(chunk * CHUNK, min((chunk + 1) * CHUNK, total))
        if not indices:
            raise SelectionError(f"no chunk {chunk}: the run has {total} snapshots")
        parts = [self._paint(split, grouping, measure, index) for index in indices]
        return {
            name: np.stack([part[name] for part in parts])
            for name in ("preferred", "level", "state", "flags")
        }

    def _snapshots(self, split: str, grouping: str, measure: str) -> int:
        find_measure(measure)
        self.run.grouping(grouping, split)
        return len(self.run.coordinate("step", split))

    def _paint(self, split: str, grouping: str, measure: str, index: int) -> Arrays:
        """Arrays over units of one snapshot: what the page reads, and what summaries count."""
        key = (split, grouping, measure, index)
        with self._lock:
            if key in self._painted:
                self._painted.move_to_end(key)
                return self._painted[key]
        painted = self._painted_now(split, grouping, measure, index)
        with self._lock:
            self._painted[key] = painted
            size = sum(array.nbytes for array in painted.values())
            while len(self._painted) > max(1, CACHED_BYTES // max(size, 1)):
                self._painted.popitem(last=False)
        return painted

    def _painted_now(self, split: str, grouping: str, measure: str, index: int) -> Arrays:
        moments = self.run.moments(index, grouping, split)
        reading = read(moments, signed=self.run.signed, measure=find_measure(measure))
        return {
            **on_wire(reading),
            "strength": reading.strength,
            "count": moments.count,
        }

    def _summary(self, split: str, grouping: str, measure: str) -> Arrays:
        total = self._snapshots(split, grouping, measure)
        layers = self.run.layers
        classes = len(self.run.grouping(grouping, split).classes)
        n = np.zeros((total, classes), np.uint32)
        mean = np.full((total, len(layers)), np.nan, np.float32)
        bins = np.zeros((total, len(layers), BINS), np.uint32)
        states = np.zeros((total, len(layers), 6), np.uint32)
        for t in range(total):
            paint = self._paint(split, grouping, measure, t)
            n[t] = paint["count"]
            held = paint["state"] == HELD
            for i, layer in enumerate(layers):
                own = layer.slice
                strength = paint["strength"][own]
                if np.isfinite(strength).any():
                    mean[t, i] = np.nanmean(strength)
                bins[t, i] = np.bincount(paint["level"][own][held[own]] // BIN, minlength=BINS)
                states[t, i] = np.bincount(paint["state"][own], minlength=6)
        return {"n": n, "mean_strength": mean, "bins": bins, "states": states}

    def _classes(self, split: str, grouping: str, measure: str) -> Arrays:
        total = self._snapshots(split, grouping, measure)
        classes = len(self.run.grouping(grouping, split).classes)
        bins = np.zeros((total, classes, BINS), np.uint32)
        for t in range(total):
            paint = self._paint(split, grouping, measure, t)
            held = paint["state"] == HELD
            np.add.at(
                bins[t],
                (paint["preferred"][held].astype(np.int64), paint["level"][held] // BIN),
                1,
            )
        return {"bins": bins}

    # --- one unit --------------------------------------------------------------------------------

    def _unit(self, split: str, grouping: str, measure: str, unit: int) -> Arrays:
        self._snapshots(split, grouping, measure)
        if not 0 <= unit < self.run.units:
            raise SelectionError(f"no unit {unit}: the run has {self.run.units}")
        signed = self.run.signed[unit : unit + 1]
        rows: list[dict[str, Any]] = []
        for moments in self.run.history(unit, grouping, split):
            reading = read(moments, signed=signed, measure=find_measure(measure))
            low, high = interval(moments)
            n = moments.n[:, 0]
            wire = on_wire(reading)
            rows.append(
                {
                    "n": n.astype(np.uint32),
                    "mean": np.where(n > 0, moments.mean[:, 0], np.nan).astype(np.float32),
                    "low": low[:, 0].astype(np.float32),
                    "high": high[:, 0].astype(np.float32),
                    "active": np.divide(
                        moments.active[:, 0], n, out=np.full(len(n), np.nan), where=n > 0
                    ).astype(np.float32),
                    "preferred": wire["preferred"][0],
                    "runner_up": _class(reading.preference.runner_up)[0],
                    "state": wire["state"][0],
                    "level": wire["level"][0],
                    "flags": wire["flags"][0],
                    "value": np.float32(reading.selectivity.value[0]),
                    "strength": np.float32(reading.strength[0]),
                    "sure": np.float32(reading.preference.sure[0]),
                    "active_samples": np.uint32(reading.active_samples[0]),
                }
            )
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


def on_wire(reading: Reading) -> Arrays:
    """A reading as the page gets it: `preferred`, `level`, `state`, `flags` per unit."""
    preference = reading.preference
    state = np.where(preference.held, HELD, TIED)
    state = np.where(reading.silent, SILENT, state)
    state = np.where(preference.no_data, NO_DATA, state)
    state = np.where(reading.not_finite, NOT_FINITE, state)
    levels = np.where(state == HELD, level(reading.strength), 0)
    flags = SUPPRESSED * preference.suppressed + ALWAYS_ON * reading.always_on
    return {
        "preferred": _class(preference.preferred),
        "level": levels.astype(np.uint8),
        "state": state.astype(np.uint8),
        "flags": flags.astype(np.uint8),
    }


def _class(indices: np.ndarray) -> np.ndarray:
    return np.where(indices < 0, NO_CLASS, indices).astype(np.uint16)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise SelectionError(f"{text[:20]!r} is not a number")
    return int(text)


def _encode(arrays: Arrays) -> bytes:
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
