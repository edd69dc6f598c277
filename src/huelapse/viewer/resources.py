"""From a run to the arrays the page reads. Everything scientific happens on this side."""

import json
import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from huelapse.errors import SelectionError
from huelapse.events import Log
from huelapse.measures import find_measure
from huelapse.painting import Painter
from huelapse.palette import Choice
from huelapse.run import Run
from huelapse.schema import TRUE, Split
from huelapse.viewer import (
    alike,
    closer,
    filters,
    growing,
    happened,
    histories,
    numbers,
    painted,
    paths,
    pictured,
    single,
    tables,
)
from huelapse.viewer.beside import beside
from huelapse.viewer.encoding import encode
from huelapse.viewer.geometer import EXPORTED, Geometer, similarity
from huelapse.viewer.keeping import Keeper
from huelapse.viewer.leveled import FINEST, MARK, Belongings, LeveledRun
from huelapse.viewer.manifest import manifest
from huelapse.viewer.paths import number
from huelapse.viewer.predicted import Predicted

logger = logging.getLogger(__name__)

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
        self._tables = numbers.Tables()
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
                which = number(chunk.removesuffix(".st"))
                arrays = painted.picture(self.painter, split, grouping, measure, which)
            case [split, grouping, measure, "maps", index] if index.endswith(".st"):
                at = self._at(split, index)
                arrays = painted.cell_maps(self.run, self.painter, split, grouping, measure, at)
            case [split, grouping, measure, "summary.st"]:
                return self._keep(
                    path, lambda: painted.summary(self.painter, split, grouping, measure)
                )
            case [split, grouping, measure, "classes.st"]:
                return self._keep(
                    path, lambda: painted.classes(self.painter, split, grouping, measure)
                )
            case [split, grouping, measure, "summary", some] if some.endswith(".st"):
                with self._making:  # both are asked for together, and are painted once
                    part = self._range(split, some)
                    arrays = painted.summary(self.painter, split, grouping, measure, part)
            case [split, grouping, measure, "classes", some] if some.endswith(".st"):
                with self._making:
                    part = self._range(split, some)
                    arrays = painted.classes(self.painter, split, grouping, measure, part)
            case [split, grouping, measure, "damaged.json"]:
                content = self._damaged(split, grouping, measure)
                return json.dumps(content).encode(), "application/json"
            case [split, grouping, measure, "events.st"]:
                arrays = happened.events(self._log(split, grouping, measure))
            case [split, "true", measure, "floor", index] if index.endswith(".st"):
                return self._keep(path, lambda: self._floor(split, measure, index), slow=True)
            case [split, grouping, measure, "unit", unit] if unit.endswith(".st"):
                which = number(unit.removesuffix(".st"))
                arrays = histories.of_unit(self.run, split, grouping, measure, which)
                if not self._exporting:
                    self.keeper.unit_was_asked(self.run, split, grouping.partition(MARK)[0])
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
        """What the page is told first."""
        return manifest(self.run, self.belongings, addressed=self._addressed)

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
        make = self._tables.table if self._exporting else numbers.table
        return make(self.run, split, grouping, measure, at, layers[which])

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
