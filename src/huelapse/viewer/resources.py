"""From a run to the arrays the page reads. Everything scientific happens on this side."""

import json
import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from huelapse.errors import SelectionError
from huelapse.events import KINDS, Log
from huelapse.geometry.outlining import keeps
from huelapse.measures import (
    MEASURES,
    TUNED,
    Reading,
    active_interval,
    find_measure,
    interval,
)
from huelapse.moments import Moments
from huelapse.painting import (
    BINS,
    CHUNK,
    HELD,
    NO_CLASS,
    NOT_RECORDED,
    PICTURE,
    STATES,
    Painter,
    class_on_wire,
    on_wire,
)
from huelapse.palette import LEVELS, Choice
from huelapse.run import Run
from huelapse.schema import PREDICTED, TRUE, Split
from huelapse.viewer import (
    alike,
    closer,
    filters,
    growing,
    happened,
    numbers,
    paths,
    pictured,
    single,
    tables,
)
from huelapse.viewer.beside import beside
from huelapse.viewer.encoding import encode
from huelapse.viewer.geometer import EXPORTED, Geometer, similarity
from huelapse.viewer.keeping import Keeper
from huelapse.viewer.leveled import FINEST, MARK, Belongings, LeveledRun, own_classes
from huelapse.viewer.paths import number
from huelapse.viewer.predicted import Predicted

logger = logging.getLogger(__name__)

TITLES = {TRUE: "True label", PREDICTED: "Predicted"}

DAMAGED = {
    **dict.fromkeys(("mean", "low", "high", "active", "active_low", "active_high"), np.nan),
    **dict.fromkeys(("value", "strength", "sure"), np.nan),
    "preferred": NO_CLASS,
    "runner_up": NO_CLASS,
    "state": NOT_RECORDED,
}
"""What a unit's history holds at a snapshot that cannot be read back, other than 0."""

ALL = slice(None)

Arrays = dict[str, np.ndarray]


class Resources:
    """The resources of one committed state of one run, each as bytes."""

    def __init__(
        self,
        run: Run,
        before: "Resources | None" = None,
        *,
        colors: Choice | None = None,
        other: Callable[[str], Run | None] = lambda id_: None,
        exporting: bool = False,
        addressed: bool = False,
    ) -> None:
        """
        Args:
            run: what to serve.
            before: an earlier state of the same run, whose painted snapshots are still true.
            colors: of its classes; by default those of the run's facts, or else the standard ones.
            other: the run of an id, to compare with; itself too. None where there is no such run.
            exporting: nothing is begun in the background; what is asked for is waited for.
            addressed: whether this state can be asked for by its version.
        """
        self._addressed = addressed
        settled = before is not None and before.belongings.settled
        self.belongings = before.belongings if before and settled else Belongings(run, colors)
        known = self.belongings.by_classes
        self.run = LeveledRun(run, known) if known else run
        self.colors = colors
        self._other, self._exporting = other, exporting
        self.painter = Painter(
            self.run, before.painter if before is not None else None, past_damage=True
        )
        self.keeper = before.keeper if before is not None else Keeper()
        self.geometer = before.geometer if before is not None else Geometer()
        self._kept: dict[str, bytes] = {}
        self._logs: dict[tuple[str, str, str], Log] = dict(before._logs) if before else {}
        self._predictions: dict[str, Predicted] = {}
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
            case ["live.json"]:
                return json.dumps(growing.pulse(self.run)).encode(), "application/json"
            case [split, grouping, "compare", other, other_split, name] if name.endswith(".json"):
                found = self._beside(split, grouping, other, other_split, name)
                return json.dumps(found, allow_nan=False).encode(), "application/json"
            case ["palette.st"]:
                arrays = self._palette()
            case ["glance.st"]:
                return self._keep(path, self._glance)
            case [split, *rest] if (found := pictured.asked(self.run, split, rest)) is not None:
                arrays = found
            case [split, "scalars.st"]:
                arrays = self._scalars(self.run.split(split))
            case [split, "confusion.st"]:
                arrays = closer.confusion(self.run, split)
            case [split, "alike.st"]:
                return self._keep(path, lambda: tables.alike(self.run, split), slow=True)
            case [split, "confusion", index] if index.endswith(".st"):
                arrays = closer.confusion_at(self.run, split, self._at(split, index))
            case [split, "geometry.st"]:
                self.run.grouping(TRUE, split)
                at_least = EXPORTED if self._exporting else 0
                arrays = self.geometer.geometry(self.run, split, at_least=at_least)
            case [split, "similarity", index] if index.endswith(".st"):
                at = self._at(split, index)
                return self._keep(path, lambda: similarity(self.run, split, at), slow=True)
            case [split, "thumbnails", page] if page.endswith(".st"):
                arrays = closer.thumbnails(self.run, split, number(page.removesuffix(".st")))
            case [split, "samples", index] if index.endswith(".st"):
                arrays = single.samples(
                    self.run, split, self._predicted(split), self._at(split, index)
                )
            case [split, "sample", which] if which.endswith(".st"):
                arrays = single.sample(
                    self.run, split, self._predicted(split), self._sample(split, which)
                )
            # a grouping of one's own may be called "sample"
            case [split, "sample", which, "layers.st"] if which.isdigit():
                arrays = alike.through_layers(self.run, split, self._sample(split, which))
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
                arrays = self._chunk(split, grouping, measure, number(chunk.removesuffix(".st")))
            case [split, grouping, measure, "maps", index] if index.endswith(".st"):
                arrays = self._cell_maps(split, grouping, measure, self._at(split, index))
            case [split, grouping, measure, "summary.st"]:
                return self._keep(path, lambda: self._summary(split, grouping, measure))
            case [split, grouping, measure, "classes.st"]:
                return self._keep(path, lambda: self._classes(split, grouping, measure))
            case [split, grouping, measure, "summary", some] if some.endswith(".st"):
                with self._making:  # both are asked for together, and are painted once
                    arrays = self._summary(split, grouping, measure, self._range(split, some))
            case [split, grouping, measure, "classes", some] if some.endswith(".st"):
                with self._making:
                    arrays = self._classes(split, grouping, measure, self._range(split, some))
            case [split, grouping, measure, "damaged.json"]:
                content = self._damaged(split, grouping, measure)
                return json.dumps(content).encode(), "application/json"
            case [split, grouping, measure, "events.st"]:
                arrays = happened.events(self._log(split, grouping, measure))
            case [split, "true", measure, "floor", index] if index.endswith(".st"):
                return self._keep(path, lambda: self._floor(split, measure, index), slow=True)
            case [split, grouping, measure, "unit", unit] if unit.endswith(".st"):
                arrays = self._unit(split, grouping, measure, number(unit.removesuffix(".st")))
            case [split, grouping, measure, "table", index, layer] if layer.endswith(".st"):
                arrays = self._table(split, grouping, measure, index, layer)
            case [split, grouping, "heat", index, layer] if layer.endswith(".st"):
                at = self._at(split, index), number(layer.removesuffix(".st"))
                arrays = closer.heat(self.run, split, grouping, *at)
            case [split, "first_weights.st"]:
                return self._keep(path, lambda: filters.film(self.run, split))
            case _:
                raise SelectionError(f"no resource {path!r}")
        return encode(arrays), "application/octet-stream"

    def _keep(
        self, path: str, make: Callable[[], Arrays], *, slow: bool = False
    ) -> tuple[bytes, str]:
        # summary and classes are asked for together, and count the same; a floor takes far longer
        with self._permuting if slow else self._making:
            if path not in self._kept:
                self._kept[path] = encode(make())
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
            **({"addressed": True} if self._addressed else {}),
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
            "segments": list(run.segments),
            "splits": [self._split(split) for split in run.splits],
        }

    def _split(self, split: Split) -> dict[str, Any]:
        pictures = pictured.described(self.run, split.name)
        return {
            "name": split.name,
            "kind": split.kind,
            "samples": split.facts.get("samples"),
            "mode": split.facts.get("mode"),
            "weights": split.facts.get("weights"),
            "multilabel": split.multilabel,
            "snapshots": len(self.run.coordinate("step", split.name)),
            "hidden": self.run.hidden(split.name),
            "metrics": self.run.metrics(split.name),
            "incomplete": [
                {"snapshot": one.snapshot, "parts": one.parts, "expected": one.expected}
                for one in self.run.incomplete(split.name)
            ],
            "resources": [
                *closer.confusion_name(self.run, split),
                *(["alike"] if tables.has_alike(self.run, split) else []),
                *("heat", "units", "table", "compare"),
                *(["geometry"] if any(g.name == TRUE for g in split.groupings) else []),
                *(["similarity"] if keeps(self.run, split.name) else []),
                *(["floor", "cell_units"] if self.run.has("responses", split.name) else []),
                *(["through_layers"] if alike.has_layers(self.run, split) else []),
                *(["samples"] if closer.has_samples(self.run, split.name) else []),
                *(["thumbnails"] if self.run.has("thumbnails", split.name) else []),
                *pictures,
                *(["cell_maps", "unit_maps"] if "maps" in pictures else []),
            ],
            **pictures,
            "groupings": [
                {
                    "name": g.name,
                    "title": TITLES.get(g.name, g.name),
                    "classes": list(g.classes),
                    **tables.told(g, self.belongings),
                }
                for g in split.groupings
            ],
        }

    def _palette(self) -> Arrays:
        return tables.palettes(self.run, self.belongings)

    def _glance(self) -> Arrays:
        """The run as a small picture: its first split and grouping at the last snapshot."""
        split = next((s for s in self.run.splits if len(self.run.coordinate("step", s.name))), None)
        if split is None:
            raise SelectionError("the run has no snapshot yet")
        grouping = split.groupings[0]
        table = self.belongings.palette(grouping.classes)
        index = len(self.run.coordinate("step", split.name)) - 1
        return closer.glance(self.run, split.name, grouping.name, index, table)

    def _scalars(self, split: Split) -> Arrays:
        run, name = self.run, split.name
        arrays = {
            coordinate: run.coordinate(coordinate, name).astype(np.float64)
            for coordinate in ("step", "epoch", "wall_time", "segment")
        }
        if (given_up := run.superseded(name)).any():
            arrays["superseded"] = given_up.astype(np.float64)
        if not split.multilabel:
            arrays["accuracy"] = closer.accuracy(run, name)
        for metric in run.metrics(name):
            arrays[f"metric.{metric}"] = run.coordinate(f"metric.{metric}", name)
        return arrays

    def _beside(
        self, split: str, grouping: str, other: str, other_split: str, name: str
    ) -> dict[str, Any]:
        run = self._other(other)
        if run is None:
            raise SelectionError(f"no run {other!r} to compare with")
        if run.place == self.run.place:  # the same state of it
            run = self.run
        return beside(self.run, run, split, grouping, other_split, name.removesuffix(".json"))

    # --- colors ----------------------------------------------------------------------------------

    def _chunk(self, split: str, grouping: str, measure: str, chunk: int) -> Arrays:
        painted = self.painter.chunk(split, grouping, measure, chunk)
        return {name: painted[name] for name in PICTURE}

    def _cell_maps(self, split: str, grouping: str, measure: str, index: int) -> Arrays:
        """Where each unit responds to the class its cell shows; to all samples where it shows none, or
        the classes are not those of the maps."""
        chunk, row = divmod(index, CHUNK)
        painted = self.painter.chunk(split, grouping, measure, chunk)
        held = (painted["state"][row] == HELD) & (grouping == TRUE)
        cls = np.where(held, painted["preferred"][row].astype(np.int64), -1)
        return pictured.cell_maps(self.run, split, index, cls)

    def _summary(self, split: str, grouping: str, measure: str, part: slice = ALL) -> Arrays:
        layers, classes = len(self.run.layers), len(self.run.grouping(grouping, split).classes)
        empty: Arrays = {
            "n": np.zeros((0, classes), np.uint32),
            "mean_strength": np.zeros((0, layers), np.float32),
            "magnitude": np.zeros((0, layers), np.float32),
            "bins": np.zeros((0, layers, BINS), np.uint32),
            "states": np.zeros((0, layers, STATES), np.uint32),
        }
        found = self._curves(split, grouping, measure, empty, part)
        damaged = np.zeros(len(found["n"]), np.uint8)
        start = part.start or 0
        for t in self.painter.damaged(split, grouping, measure):
            if start <= t < start + len(damaged):
                damaged[t - start] = 1
        return {**found, "damaged": damaged}

    def _classes(self, split: str, grouping: str, measure: str, part: slice = ALL) -> Arrays:
        classes = len(self.run.grouping(grouping, split).classes)
        empty: Arrays = {"class_bins": np.zeros((0, classes, BINS), np.uint32)}
        return {"bins": self._curves(split, grouping, measure, empty, part)["class_bins"]}

    def _curves(
        self, split: str, grouping: str, measure: str, empty: Arrays, part: slice
    ) -> Arrays:
        """Curves of some snapshots, those named in `empty`."""
        find_measure(measure)
        start, stop, _ = part.indices(len(self.run.coordinate("step", split)))
        first = start // CHUNK
        parts = [
            self.painter.curves(split, grouping, measure, chunk)
            for chunk in range(first, -(-stop // CHUNK))
        ]
        own = slice(start - first * CHUNK, stop - first * CHUNK)
        return {
            name: np.concatenate([none, *(p[name] for p in parts)])[own]
            for name, none in empty.items()
        }

    def _damaged(self, split: str, grouping: str, measure: str) -> dict[str, str]:
        """Why snapshots cannot be read back, by their number; without the place on this disk."""
        self.get(f"{split}/{grouping}/{measure}/summary.st")  # looks at all of them
        place, name = self.run.place, self.run.name
        found = self.painter.damaged(split, grouping, measure)
        return {str(t): why.replace(place, name) for t, why in found.items()}

    def _log(self, split: str, grouping: str, measure: str) -> Log:
        find_measure(measure)
        self.run.grouping(grouping, split)
        if grouping.endswith(MARK + FINEST):
            raise SelectionError("events are told by classes, or by superclasses, not across them")
        key = (split, grouping, measure)
        with self._logging:
            self._logs[key] = Log(self.painter, *key, before=self._logs.get(key))
            return self._logs[key]

    def _floor(self, split: str, measure: str, index: str) -> Arrays:
        find_measure(measure)
        return happened.floor(self.run, split, measure, self._at(split, index))

    def _range(self, split: str, some: str) -> slice:
        """Which snapshots a path names, as in "16-32.st": the second number is not in it."""
        first, _, end = some.removesuffix(".st").partition("-")
        start, stop = number(first), number(end)
        total = len(self.run.coordinate("step", split))
        if not start < stop <= total:
            raise SelectionError(f"no snapshots {start} to {stop}: the run has {total}")
        return slice(start, stop)

    def _table(self, split: str, grouping: str, measure: str, index: str, layer: str) -> Arrays:
        which, layers = number(layer.removesuffix(".st")), self.run.layers
        if which >= len(layers):
            raise SelectionError(f"no layer {which}: the run has {len(layers)}")
        find_measure(measure)
        self.run.grouping(grouping, split)
        at = self._at(split, index)
        return numbers.table(self.run, split, grouping, measure, at, layers[which])

    def _at(self, split: str, index: str) -> int:
        return paths.snapshot(self.run, split, index)

    def _predicted(self, split: str) -> Predicted:
        if split not in self._predictions:
            self._predictions[split] = Predicted(self.run, split)
        return self._predictions[split]

    def _sample(self, split: str, which: str) -> int:
        """Which sample of a probe a path names."""
        sample, samples = number(which.removesuffix(".st")), len(self.run.labels(split))
        if sample >= samples:
            raise SelectionError(f"no sample {sample}: there are {samples}")
        return sample

    def _cell(self, split: str, index: str, true: str, predicted: str) -> tuple[int, int, int]:
        """Snapshot, true and predicted class of a confusion cell."""
        classes = len(self.run.grouping(TRUE, split).classes)
        row, column = number(true), number(predicted)
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
        for snapshots, moments in closer.history(self.run, unit, grouping, split):
            signs = np.full(len(snapshots), signed)
            reading = self.run.judged(moments, grouping, split, signed=signs, measure=measured_by)
            parts.append(
                (snapshots, _traced(own_classes(self.run, moments, grouping, split), reading))
            )
        if not self._exporting:
            self.keeper.unit_was_asked(self.run, split, grouping.partition(MARK)[0])
        total, found = len(self.run.coordinate("step", split)), dict[str, np.ndarray]()
        for snapshots, traced in parts:
            for name, values in traced.items():
                if name not in found:
                    shape = (total, *values.shape[1:])
                    found[name] = np.full(shape, DAMAGED.get(name, 0), values.dtype)
                found[name][snapshots] = values
        return found


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
