"""From a run to the arrays the page reads. Everything scientific happens on this side."""

import json
import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from safetensors.numpy import save

from huelapse.errors import FormatError, SelectionError
from huelapse.events import KINDS, Log
from huelapse.measures import (
    MEASURES,
    TUNED,
    Reading,
    active_interval,
    find_measure,
    interval,
    read,
)
from huelapse.moments import Moments
from huelapse.painting import BINS, CHUNK, PICTURE, STATES, Painter, class_on_wire, on_wire
from huelapse.palette import LEVELS, Choice, palette, palette_for
from huelapse.run import Run
from huelapse.schema import PREDICTED, TRUE, Split
from huelapse.viewer import closer, happened, numbers, single
from huelapse.viewer.keeping import Keeper

logger = logging.getLogger(__name__)

TITLES = {TRUE: "True label", PREDICTED: "Predicted"}

PREDICTIONS_BYTES = 64 * 2**20
"""Of the predictions of a split, that are kept in memory."""

Arrays = dict[str, np.ndarray]


class Resources:
    """The resources of one committed state of one run, each as bytes."""

    def __init__(
        self, run: Run, before: "Resources | None" = None, *, colors: Choice | None = None
    ) -> None:
        """
        Args:
            run: what to serve.
            before: an earlier state of the same run, whose painted snapshots are still true.
            colors: of its classes; by default those of the run's facts, or else the standard ones.
        """
        self.run = run
        self.colors = colors
        self.painter = Painter(run, before.painter if before is not None else None)
        self.keeper = before.keeper if before is not None else Keeper()
        self._kept: dict[str, bytes] = {}
        self._logs: dict[tuple[str, str, str], Log] = dict(before._logs) if before else {}
        self._predictions: dict[str, np.ndarray] = {}
        self._making = Lock()
        self._logging = Lock()
        self._permuting = Lock()

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
            case ["glance.st"]:
                return self._keep(path, self._glance)
            case [split, "scalars.st"]:
                arrays = self._scalars(self.run.split(split))
            case [split, "confusion.st"]:
                arrays = closer.confusion(self.run, split)
            case [split, "confusion", index] if index.endswith(".st"):
                arrays = closer.confusion_at(self.run, split, self._at(split, index))
            case [split, "thumbnails", page] if page.endswith(".st"):
                arrays = closer.thumbnails(self.run, split, _number(page.removesuffix(".st")))
            case [split, "samples", index] if index.endswith(".st"):
                arrays = single.samples(
                    self.run, split, self._predicted(split), self._at(split, index)
                )
            case [split, "sample", which] if which.endswith(".st"):
                arrays = single.sample(
                    self.run, split, self._predicted(split), self._sample(split, which)
                )
            # a grouping of one's own may be called "sample"
            case [split, "sample", which, index] if which.isdigit():
                at = self._sample(split, which), self._at(split, index)
                arrays = single.driven(self.run, split, *at)
            case [split, "cell", index, true, predicted, "samples.st"]:
                cell = self._cell(split, index, true, predicted)
                arrays = closer.cell_samples(self.run, split, self._predicted(split), *cell)
            case [split, "cell", index, true, predicted, "units.st"]:
                cell = self._cell(split, index, true, predicted)
                arrays = closer.cell_units(self.run, split, self._predicted(split), *cell)
            case [split, grouping, measure, "paint", chunk] if chunk.endswith(".st"):
                arrays = self._chunk(split, grouping, measure, _number(chunk.removesuffix(".st")))
            case [split, grouping, measure, "summary.st"]:
                return self._keep(path, lambda: self._summary(split, grouping, measure))
            case [split, grouping, measure, "classes.st"]:
                return self._keep(path, lambda: self._classes(split, grouping, measure))
            case [split, grouping, measure, "events.st"]:
                arrays = happened.events(self._log(split, grouping, measure))
            case [split, "true", measure, "floor", index] if index.endswith(".st"):
                return self._keep(path, lambda: self._floor(split, measure, index), slow=True)
            case [split, grouping, measure, "unit", unit] if unit.endswith(".st"):
                arrays = self._unit(split, grouping, measure, _number(unit.removesuffix(".st")))
            case [split, grouping, measure, "table", index, layer] if layer.endswith(".st"):
                arrays = self._table(split, grouping, measure, index, layer)
            case [split, grouping, "heat", index, layer] if layer.endswith(".st"):
                at = self._at(split, index), _number(layer.removesuffix(".st"))
                arrays = closer.heat(self.run, split, grouping, *at)
            case _:
                raise SelectionError(f"no resource {path!r}")
        return _encode(arrays), "application/octet-stream"

    def _keep(
        self, path: str, make: Callable[[], Arrays], *, slow: bool = False
    ) -> tuple[bytes, str]:
        # summary and classes are asked for together, and count the same; a floor takes far longer
        with self._permuting if slow else self._making:
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
                {
                    "name": m.name,
                    "title": m.title,
                    "about": m.about,
                    "non_negative": m.non_negative,
                }
                for m in MEASURES.values()
                if m.colors
            ],
            "event_kinds": list(KINDS),
            "layers": [layer.as_json() for layer in run.layers],
            "splits": [self._split(split) for split in run.splits],
        }

    def _split(self, split: Split) -> dict[str, Any]:
        return {
            "name": split.name,
            "kind": split.kind,
            "samples": split.facts.get("samples"),
            "mode": split.facts.get("mode"),
            "weights": split.facts.get("weights"),
            "multilabel": split.multilabel,
            "snapshots": len(self.run.coordinate("step", split.name)),
            "metrics": self.run.metrics(split.name),
            "incomplete": [
                {"snapshot": one.snapshot, "parts": one.parts, "expected": one.expected}
                for one in self.run.incomplete(split.name)
            ],
            "resources": [
                *closer.confusion_name(self.run, split),
                *("heat", "units", "table"),
                *(["floor", "cell_units"] if self.run.has("responses", split.name) else []),
                *(["samples"] if closer.has_samples(self.run, split.name) else []),
                *(["thumbnails"] if self.run.has("thumbnails", split.name) else []),
            ],
            "groupings": [
                {"name": g.name, "title": TITLES.get(g.name, g.name), "classes": list(g.classes)}
                for g in split.groupings
            ],
        }

    def _palette(self) -> Arrays:
        """One palette per number of classes, and those of groupings that have colors of their own."""
        arrays: Arrays = {}
        facts: dict[str, Any] | None = self.run.facts["facts"]
        for split in self.run.splits:
            for grouping in split.groupings:
                classes = len(grouping.classes)
                usual, own = palette(classes), palette_for(grouping.classes, facts, self.colors)
                tables = [(usual, f".{classes}")]
                if not np.array_equal(own.dark, usual.dark):
                    tables.append((own, f"/{split.name}/{grouping.name}"))
                for colors, name in tables:
                    arrays |= {f"dark{name}": colors.dark, f"light{name}": colors.light}
        return arrays

    def _glance(self) -> Arrays:
        """The run as a small picture: its first split and grouping at the last snapshot."""
        split = next((s for s in self.run.splits if len(self.run.coordinate("step", s.name))), None)
        if split is None:
            raise SelectionError("the run has no snapshot yet")
        facts: dict[str, Any] | None = self.run.facts["facts"]
        grouping = split.groupings[0]
        table = palette_for(grouping.classes, facts, self.colors)
        index = len(self.run.coordinate("step", split.name)) - 1
        return closer.glance(self.run, split.name, grouping.name, index, table)

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
        painted = self.painter.chunk(split, grouping, measure, chunk)
        return {name: painted[name] for name in PICTURE}

    def _summary(self, split: str, grouping: str, measure: str) -> Arrays:
        layers, classes = len(self.run.layers), len(self.run.grouping(grouping, split).classes)
        empty: Arrays = {
            "n": np.zeros((0, classes), np.uint32),
            "mean_strength": np.zeros((0, layers), np.float32),
            "magnitude": np.zeros((0, layers), np.float32),
            "bins": np.zeros((0, layers, BINS), np.uint32),
            "states": np.zeros((0, layers, STATES), np.uint32),
        }
        return self._curves(split, grouping, measure, empty)

    def _classes(self, split: str, grouping: str, measure: str) -> Arrays:
        classes = len(self.run.grouping(grouping, split).classes)
        empty: Arrays = {"class_bins": np.zeros((0, classes, BINS), np.uint32)}
        return {"bins": self._curves(split, grouping, measure, empty)["class_bins"]}

    def _curves(self, split: str, grouping: str, measure: str, empty: Arrays) -> Arrays:
        """Curves of all snapshots, those named in `empty`."""
        find_measure(measure)
        parts = [
            self.painter.curves(split, grouping, measure, chunk)
            for chunk in range(self.painter.chunks(split))
        ]
        return {
            name: np.concatenate([none, *(p[name] for p in parts)]) for name, none in empty.items()
        }

    def _log(self, split: str, grouping: str, measure: str) -> Log:
        find_measure(measure)
        self.run.grouping(grouping, split)
        key = (split, grouping, measure)
        with self._logging:
            self._logs[key] = Log(self.painter, *key, before=self._logs.get(key))
            return self._logs[key]

    def _floor(self, split: str, measure: str, index: str) -> Arrays:
        find_measure(measure)
        return happened.floor(self.run, split, measure, self._at(split, index))

    def _table(self, split: str, grouping: str, measure: str, index: str, layer: str) -> Arrays:
        number, layers = _number(layer.removesuffix(".st")), self.run.layers
        if number >= len(layers):
            raise SelectionError(f"no layer {number}: the run has {len(layers)}")
        find_measure(measure)
        self.run.grouping(grouping, split)
        at = self._at(split, index)
        return numbers.table(self.run, split, grouping, measure, at, layers[number])

    def _at(self, split: str, index: str) -> int:
        """Which snapshot a path names."""
        at, total = _number(index.removesuffix(".st")), len(self.run.coordinate("step", split))
        if at >= total:
            raise SelectionError(f"no snapshot {at}: the run has {total}")
        return at

    def _predicted(self, split: str) -> np.ndarray:
        """What each sample was predicted as [snapshot, sample]; read once, if it is small."""
        found = self._predictions.get(split)
        if found is None:
            found = self.run.predictions_through_time(split)
            if found.nbytes <= PREDICTIONS_BYTES:
                self._predictions[split] = found
        return found

    def _sample(self, split: str, which: str) -> int:
        """Which sample of a probe a path names."""
        number, samples = _number(which.removesuffix(".st")), len(self.run.labels(split))
        if number >= samples:
            raise SelectionError(f"no sample {number}: there are {samples}")
        return number

    def _cell(self, split: str, index: str, true: str, predicted: str) -> tuple[int, int, int]:
        """Snapshot, true and predicted class of a confusion cell."""
        classes = len(self.run.grouping(TRUE, split).classes)
        row, column = _number(true), _number(predicted)
        if max(row, column) >= classes:
            raise SelectionError(f"no class {max(row, column)}: there are {classes}")
        return self._at(split, index), row, column

    # --- one unit --------------------------------------------------------------------------------

    def _unit(self, split: str, grouping: str, measure: str, unit: int) -> Arrays:
        measured_by = find_measure(measure)
        self.run.grouping(grouping, split)
        if not 0 <= unit < self.run.units:
            raise SelectionError(f"no unit {unit}: the run has {self.run.units}")
        signed = self.run.signed[unit]
        parts: list[tuple[np.ndarray, Arrays]] = []
        for snapshots, moments in self.run.through_time(unit, grouping, split):
            signs = np.full(len(snapshots), signed)
            parts.append(
                (snapshots, _traced(moments, read(moments, signed=signs, measure=measured_by)))
            )
        self.keeper.unit_was_asked(self.run, split, grouping)
        if not parts:
            return {}
        order = np.concatenate([snapshots for snapshots, _ in parts]).argsort()
        return {
            name: np.concatenate([part[name] for _, part in parts])[order] for name in parts[0][1]
        }


def _traced(moments: Moments, reading: Reading) -> Arrays:
    """What the inspector shows of a unit, along `snapshot`; `moments` has a snapshot in each column."""
    low, high = interval(moments)
    fewest, most = active_interval(moments)
    n = moments.n.T
    responded = np.full(n.shape, np.nan)
    np.divide(moments.active.T, n, out=responded, where=n > 0)
    return {
        "n": n.astype(np.uint32),
        "mean": np.where(n > 0, moments.mean.T, np.nan).astype(np.float32),
        "low": low.T.astype(np.float32),
        "high": high.T.astype(np.float32),
        "active": responded.astype(np.float32),
        "active_low": fewest.T.astype(np.float32),
        "active_high": most.T.astype(np.float32),
        "runner_up": class_on_wire(reading.preference.runner_up),
        "value": reading.selectivity.value.astype(np.float32),
        "strength": reading.strength.astype(np.float32),
        "sure": reading.preference.sure.astype(np.float32),
        "active_samples": reading.active_samples.astype(np.uint32),
        **on_wire(reading),
    }


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise SelectionError(f"{text[:20]!r} is not a number")
    return int(text)


def _encode(arrays: Arrays) -> bytes:
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
