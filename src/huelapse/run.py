"""A recorded run: open it, select, derive. Needs no torch.

run = huelapse.open("runs/fashion")
run.steps                                  # [0, 1, 2, 4, …]
run.strength(step=200, layer="fc2")        # [unit]
"""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.errors import HierarchyError
from huelapse.hierarchy import Hierarchy
from huelapse.measures import (
    DEFAULT,
    PERMUTATIONS,
    TUNED,
    Leveled,
    Measure,
    Reading,
    Selectivity,
    find_measure,
    halves,
    permuted_bounds,
    read,
    read_levels,
)
from huelapse.painting import Painter
from huelapse.schema import TRUE
from huelapse.store import StoreReader
from huelapse.stored import Stored

if TYPE_CHECKING:
    from huelapse.curves import Curves
    from huelapse.events import Events
    from huelapse.export.frame import DataFrame
    from huelapse.export.labelled import Dataset, DataTree
    from huelapse.plot import Plot

AT_MOST = 512
"""Units of a layer that its noise floor is taken from."""


def open_run(path: str | Path, *, superseded: bool = False) -> "Run":
    """Open a run for reading, also while it is being written.

    Args:
        path: of the run's directory (or its `run.zarr`), or of a pack (`run.hue.zip`); or its
            address, `s3://bucket/key/run` or `http(s)://host/path/run` (docs/elsewhere.md).
        superseded: show also snapshots of steps that a resumed training made again.

    Raises:
        NotARunError: there is no run.
        FormatError: it was written by a newer huelapse, or is damaged.
        PlaceError: it is on another machine that can't be reached, or refuses.
    """
    return Run(StoreReader(path, superseded=superseded))


class Run(Stored):
    """One committed state of a run. `refreshed()` gives a later one while it is being recorded.

    Methods that read statistics take `step` (default: the last snapshot), `layer` (a path; default:
    all units, layers in call order), `grouping` (default: "true"), `split` (default: the first)
    and `response` ("mean" or "peak"; default: the first of `response_names`). Those that judge take
    `measure`: a name of `huelapse.measures.MEASURES`, or a `Measure`; default: "margin".
    """

    def __init__(self, reader: StoreReader) -> None:
        super().__init__(reader)
        self.reading = lru_cache(maxsize=64)(self._read)

    def refreshed(self) -> "Run":
        """This run, or its newer state where a snapshot was committed since it was opened."""
        reader = self._reader.refreshed()
        return self if reader is self._reader else Run(reader)

    @cached_property
    def painter(self) -> Painter:
        """What events, curves and pictures are made of: painted once for all of them."""
        return Painter(self)

    # --- judged --------------------------------------------------------------------------------

    def _read(
        self,
        index: int,
        grouping: str = TRUE,
        split: str | None = None,
        measure: str | Measure = DEFAULT,
        response: str | None = None,
    ) -> Reading:
        moments = self.moments(index, grouping, split, response=response)
        return read(moments, signed=self.signed, measure=find_measure(measure))

    def tuning(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> Float64[np.ndarray, "class unit"]:
        """Mean response per class and unit; NaN where no sample of the class was seen."""
        moments = self.moments(
            self.index(step, split), grouping, split, self._slice(layer), response
        )
        return np.where(moments.n > 0, moments.mean, np.nan)

    def preferred(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
        measure: str | Measure = DEFAULT,
    ) -> Int64[np.ndarray, " unit"]:
        """Class with the greatest tuning (for suppressed units: the least); -1 without data."""
        reading = self._reading(step, grouping, split, response, measure)
        return reading.preference.preferred[self._slice(layer)]

    def sure(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> Float64[np.ndarray, " unit"]:
        """Probability that the preferred class really is the greatest; NaN without data."""
        return self._reading(step, grouping, split, response).preference.sure[self._slice(layer)]

    def strength(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
        measure: str | Measure = DEFAULT,
    ) -> Float64[np.ndarray, " unit"]:
        """What color shows: the measure's lower one-standard-error bound, 0 where not held.

        NaN where nothing is known: no data, responses that were not finite, or a measure that is not
        defined for the layer.
        """
        return self._reading(step, grouping, split, response, measure).strength[self._slice(layer)]

    def selectivity(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
        measure: str | Measure = DEFAULT,
    ) -> Selectivity:
        """The measure itself, whether or not the preference is held: `value` and `bound` [unit]."""
        found = self._reading(step, grouping, split, response, measure).selectivity
        units = self._slice(layer)
        return Selectivity(value=found.value[units], bound=found.bound[units])

    def state(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        threshold: float = TUNED,
        response: str | None = None,
        measure: str | Measure = DEFAULT,
    ) -> Int64[np.ndarray, " unit"]:
        """`huelapse.State` of each unit."""
        reading = self._reading(step, grouping, split, response, measure)
        return reading.state(threshold)[self._slice(layer)]

    def _reading(
        self,
        step: int | None,
        grouping: str,
        split: str | None,
        response: str | None,
        measure: str | Measure = DEFAULT,
    ) -> Reading:
        return self.reading(self.index(step, split), grouping, split, measure, response)

    def events(
        self, split: str | None = None, grouping: str = TRUE, measure: str = DEFAULT
    ) -> "Events":
        """What happened to units, and when: tuned, switched, lost, died, revived; half-tuned layers.

        Each is told once three snapshots confirm it, and then stays; `expected_false` says how many
        noise alone would give at most. See docs/measures.md for the rules.
        """
        from huelapse.events import events_of

        return events_of(self.painter, split, grouping, measure)

    def curves(
        self,
        split: str | None = None,
        grouping: str = TRUE,
        measure: str = DEFAULT,
        threshold: float = TUNED,
    ) -> "Curves":
        """Mean strength, shares tuned, silent and of each class, and magnitude, of each layer."""
        from huelapse.curves import curves_of

        return curves_of(self.painter, split, grouping, measure, threshold)

    def finest(
        self,
        hierarchy: Hierarchy,
        step: int | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
        measure: str | Measure = DEFAULT,
    ) -> Leveled:
        """What each unit is tuned to at the finest level of superclasses that holds.

        Args:
            hierarchy: of the grouping's classes, which it may name in any order.

        Raises:
            HierarchyError: it is of other classes.
        """
        classes = self.grouping(grouping, split).classes
        if sorted(hierarchy.classes) != sorted(classes):
            raise HierarchyError(
                f"the hierarchy is of {len(hierarchy.classes)} classes that are not the "
                f"{len(classes)} of {grouping!r}; make it of Run.grouping({grouping!r}).classes"
            )
        moments = self.moments(self.index(step, split), grouping, split, response=response)
        return read_levels(
            moments, hierarchy.ordered(classes), signed=self.signed, measure=find_measure(measure)
        )

    def noise_floor(
        self,
        step: int | None = None,
        layer: str | None = None,
        split: str | None = None,
        measure: str | Measure = DEFAULT,
        permutations: int = PERMUTATIONS,
        units: int = AT_MOST,
    ) -> dict[str, float]:
        """What strength reads in each layer where labels are permuted: the 95th percentile.

        Over permutations of the kept responses' labels, and up to `units` of the layer's units,
        evenly spaced, of the bound before the held rule: a strength below it is nothing to speak of
        even if held. NaN where the measure is not defined, or every unit is silent.

        Args:
            layer: of this one alone; default: of each.
            permutations, units: more of either take longer and make it surer.

        Raises:
            SelectionError: responses were not kept.
        """
        index = self.index(step, split)
        return self.noise_floor_at(index, layer, split, measure, permutations, units)

    def noise_floor_at(
        self,
        index: int,
        layer: str | None = None,
        split: str | None = None,
        measure: str | Measure = DEFAULT,
        permutations: int = PERMUTATIONS,
        units: int = AT_MOST,
    ) -> dict[str, float]:
        """The same at the `index`-th snapshot: a step that was made again has several."""
        labels, classes = self.labels(split), len(self.grouping(TRUE, split).classes)
        floors: dict[str, float] = {}
        for own in self.layers if layer is None else (self.layer(layer),):
            responses = self.responses_at(index, own.path, split)
            some = np.linspace(0, own.units - 1, min(own.units, units)).astype(np.int64)
            bounds = permuted_bounds(
                responses[:, some].astype(np.float64),
                labels,
                classes,
                signed=np.full(len(some), own.signed),
                measure=find_measure(measure),
                permutations=permutations,
            )
            known = bounds[~np.isnan(bounds)]
            floors[own.path] = float(np.percentile(known, 95)) if len(known) else float("nan")
        return floors

    def halves(
        self,
        step: int | None = None,
        layer: str | None = None,
        split: str | None = None,
        measure: str | Measure = DEFAULT,
    ) -> Float64[np.ndarray, " unit"]:
        """The measure with classes chosen in one half of the samples and measured in the other.

        See `huelapse.measures.halves`; it needs kept responses.

        Raises:
            SelectionError: responses were not kept.
        """
        return halves(
            self.responses(step, layer, split).astype(np.float64),
            self.labels(split),
            len(self.grouping(TRUE, split).classes),
            signed=self.signed[self._slice(layer)],
            measure=find_measure(measure),
        )

    @property
    def plot(self) -> "Plot":
        """Pictures without a browser, of Matplotlib: `run.plot.kymograph("fc2")`; docs/pictures.md.

        Raises:
            MissingExtraError: Matplotlib is not installed.
        """
        from huelapse.plot import Plot

        return Plot(self.painter)

    # --- for other libraries -------------------------------------------------------------------

    def to_xarray(
        self,
        split: str | None = None,
        grouping: str | None = None,
        layer: str | None = None,
        response: str | None = None,
    ) -> "DataTree | Dataset":
        """The run as labelled arrays of xarray, read from disk when they are used.

        Without arguments a DataTree; with any of them the Dataset of one node of it, the others
        taking their defaults. Its nodes:

        - `units/{split}`: the user's metrics and `seconds`, along `snapshot`;
        - `units/{split}/{grouping}`: `count` (snapshot, class); `mean`, `m2`, `active`, `nonfinite`
          (snapshot, class, unit) of all units; `confusion` in "true". Beside `unit` stand `layer`,
          its path, and `index_in_layer`;
        - `layers/{split}/{grouping}/{layer}`: the same for one layer, its `unit` counted from 0. In
          a path a "/" and what else a file's name cannot hold stand as %XX (docs/format.md);
        - `…/peak` below each of these where a run has a second response.

        `class` holds class names. `snapshot` has `step` as an index, and `epoch`, `wall_time`:
        `ds.sel(step=200, **{"class": "cat"})`. Means are NaN where there is no data, as everywhere
        but in `moments`, where they are 0; all others equal those of `moments` bit for bit. A mean is
        float32 as stored, a count int64.

        Raises:
            MissingExtraError: xarray is not installed.
            SelectionError: there is no such split, grouping, layer or response.
            FormatError: when values are read: a part is missing or damaged.
        """
        from huelapse.export import labelled
        from huelapse.export.rows import select

        if split is grouping is layer is response is None:
            return labelled.tree(self, self._reader)
        chosen = select(
            self, split=split, grouping=TRUE if grouping is None else grouping, response=response
        )
        return labelled.dataset(self, self._reader, chosen, layer)

    def to_dataframe(
        self,
        layer: str | None = None,
        split: str | None = None,
        grouping: str = TRUE,
        step: int | None = None,
        response: str | None = None,
        *,
        per: str = "class",
    ) -> "DataFrame":
        """The run as a tidy pandas DataFrame: a row per snapshot, layer, unit, and class.

        It is whole in memory, some 70 bytes a row; `huelapse export` streams.

        Args:
            layer, split, grouping, response: as everywhere.
            step: of one snapshot; here the default is all of them.
            per: "class", or "unit" for what is derived: a row per snapshot, layer and unit.

        Returns:
            Columns split, grouping, step, epoch, layer, unit (index in the layer), and

            - per class: class, count (samples), nonfinite (responses that enter nothing else), mean,
              sd (from n - 1), active_share (responses > 0 of those that were finite);
            - per unit: preferred and runner_up (classes), suppressed, sure, margin, strength, and
              state: "tuned", "unselective", "tied", "silent", "no_data" or "not_finite".

            NaN where there is no data. Text is categorical, in the run's order.

        Raises:
            MissingExtraError: pandas is not installed.
            SelectionError: there is no such split, grouping, layer, step or response.
            ExportError: `per` is neither.
            FormatError: a part is missing or damaged.
        """
        from huelapse.export.frame import frame
        from huelapse.export.rows import select

        chosen = select(
            self, per=per, split=split, grouping=grouping, layer=layer, step=step, response=response
        )
        return frame(self, chosen)
