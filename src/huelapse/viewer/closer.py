"""What the page reads when somebody looks closer: of a layer, a confusion cell, single samples."""

import logging
from collections.abc import Iterator

import numpy as np

from huelapse.errors import FormatError, SelectionError
from huelapse.kept import NOBODY, PREDICTIONS
from huelapse.measures import read
from huelapse.measures.preferring import MIN_SAMPLES
from huelapse.moments import Moments
from huelapse.painting import HELD, TIED, on_wire
from huelapse.palette import Palette, level
from huelapse.run import Run
from huelapse.schema import LABELS, TRUE, Split
from huelapse.viewer.predicted import Predicted

logger = logging.getLogger(__name__)

NO_HEAT = 255
"""`heat` of a class that takes part in no comparison, or of a unit without numbers."""
FULL = 100

SAMPLES, UNITS = 48, 12
"""Of a confusion cell, that are sent."""
PAGE = 64
"""Thumbnails that are sent at once."""
NO_PREDICTION, NOT_KEPT = 65535, 65534
"""Classes of samples on the wire: none, as the output was not finite or there is no label; not known,
as nothing was kept at that snapshot."""
CONFUSION_BYTES = 64 * 2**20
"""Up to which the confusion of all snapshots is asked for at once; beyond, one by one."""
AT_ONCE = 2**16
"""Counts of a snapshot, up to which those of all are read together."""
GLANCE_LAYERS, GLANCE_UNITS = 40, 64
"""Of a run, that its small picture shows."""

Arrays = dict[str, np.ndarray]


def heat(run: Run, split: str, grouping: str, index: int, layer: int) -> Arrays:
    """`heat` [class, unit of the layer]: how a unit's response to each class stands between those to
    the classes it responds to least (0) and most (100), squared, so that the few stand out.

    It says nothing of sureness: what is drawn of a unit that is not held must be neutral.
    """
    moments = run.moments(index, grouping, split, _layer(run, layer))
    has = moments.n >= MIN_SAMPLES
    known = has & np.isfinite(moments.mean)
    low = np.where(known, moments.mean, np.inf).min(0)
    high = np.where(known, moments.mean, -np.inf).max(0)
    range_ = np.where(high > low, high - low, 1.0)
    share = np.where(known, (moments.mean - low) / range_, 0.0)
    scaled = np.floor(FULL * share**2 + 0.5)
    lost = ~known | (has & ~np.isfinite(moments.mean)).any(0)
    return {"heat": np.where(lost, NO_HEAT, scaled).astype(np.uint8)}


def _layer(run: Run, index: int) -> slice:
    if index >= len(run.layers):
        raise SelectionError(f"no layer {index}: the run has {len(run.layers)}")
    return run.layers[index].slice


def confusion(run: Run, split: str) -> Arrays:
    """`confusion` [snapshot, class, predicted_class], and `samples` [snapshot, class]: all there are,
    those without a prediction too; `damaged` [snapshot]: 1 where they cannot be read, and are 0."""
    counts, samples, damaged = _confusion(run, split)
    return {"confusion": counts, "samples": samples, "damaged": damaged}


def _confusion(run: Run, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of all snapshots, as `confusion` gives them: as far as they can be read, and of many
    classes one by one."""
    classes = len(run.grouping(TRUE, split).classes)
    if classes**2 <= AT_ONCE:
        try:
            found, of_classes = run.confusion(split), run.samples(split)
            whole = np.zeros(len(found), np.uint8)
            return found.astype(np.uint32), of_classes.astype(np.uint32), whole
        except FormatError:  # some of them may be whole
            pass
    total = len(run.coordinate("step", split))
    counts = np.zeros((total, classes, classes), np.uint32)
    samples, damaged = np.zeros((total, classes), np.uint32), np.ones(total, np.uint8)
    for index, *own in _readable(run, split):
        (counts[index], samples[index]), damaged[index] = own, 0
    return counts, samples, damaged


def _readable(run: Run, split: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Index, confusion and samples of each snapshot that can be read back, one by one."""
    for index in range(len(run.coordinate("step", split))):
        try:
            found = run.confusion_at(index, split), run.samples_at(index, split)
        except FormatError as error:  # the others can still be seen
            logger.warning("snapshot %d: %s", index, error)
            continue
        yield index, *found


def accuracy(run: Run, split: str) -> np.ndarray:
    """Share of samples read rightly [snapshot]; NaN where that cannot be read back."""
    if len(run.grouping(TRUE, split).classes) ** 2 <= AT_ONCE:
        try:
            return run.accuracy(split)
        except FormatError:  # the rest can still be seen
            pass
    share = np.full(len(run.coordinate("step", split)), np.nan)
    for index, counts, samples in _readable(run, split):
        if samples.sum() > 0:
            share[index] = np.trace(counts) / samples.sum()
    return share


def history(run: Run, unit: int, grouping: str, split: str) -> list[tuple[np.ndarray, Moments]]:
    """As `Run.through_time`, without the snapshots that cannot be read back.

    Raises:
        FormatError: none of them can.
    """
    try:
        return run.through_time(unit, grouping, split)
    except FormatError:
        found: list[tuple[np.ndarray, Moments]] = []
        for index in range(len(run.coordinate("step", split))):
            try:
                moments = run.moments(index, grouping, split, slice(unit, unit + 1))
            except FormatError:
                continue
            found.append((np.array([index]), moments))
        if not found:
            raise
        return found


def confusion_at(run: Run, split: str, index: int) -> Arrays:
    """The same of one snapshot, without the first dimension."""
    counts, samples = run.confusion_at(index, split), run.samples_at(index, split)
    return {"confusion": counts.astype(np.uint32), "samples": samples.astype(np.uint32)}


def confusion_name(run: Run, split: Split) -> list[str]:
    """Which resource a split's confusion is: that of all snapshots, that of each, or none."""
    if split.multilabel or all(grouping.name != TRUE for grouping in split.groupings):
        return []
    classes = len(run.grouping(TRUE, split.name).classes)
    size = 4 * len(run.coordinate("step", split.name)) * classes**2
    return ["confusion" if size <= CONFUSION_BYTES else "confusion_at"]


def has_samples(run: Run, split: str) -> bool:
    """Whether it is known how each sample was predicted."""
    return run.has(PREDICTIONS, split) and run.has(LABELS, split)


def cell_samples(
    run: Run, split: str, history: Predicted, index: int, true: int, predicted: int
) -> Arrays:
    """Samples of one confusion cell: how many, the first of them, and what each was predicted as
    through training.

    Returns:
        `total` [1], `sample` [sample], `prediction` [sample, snapshot].
    """
    inside = (run.labels(split) == true) & (history.at(index) == predicted)
    chosen = np.flatnonzero(inside)[:SAMPLES]
    return {
        "total": np.array([inside.sum()], np.uint32),
        "sample": chosen.astype(np.uint32),
        "prediction": classes_on_wire(history.of(chosen).T),
    }


def classes_on_wire(classes: np.ndarray) -> np.ndarray:
    """Classes of samples: `NO_PREDICTION` for none, `NOT_KEPT` where nobody knows."""
    told = np.where(classes == -1, NO_PREDICTION, classes)
    return np.where(classes == NOBODY, NOT_KEPT, told).astype(np.uint16)


def cell_units(
    run: Run, split: str, history: Predicted, index: int, true: int, predicted: int
) -> Arrays:
    """Units that surely respond more to the samples of a cell than to others of the same true class,
    by the margin between these two, strongest first.

    Returns:
        `n` [2], samples of the cell and the others; `unit`, `level` [unit].

    Raises:
        SelectionError: nothing was kept at this snapshot.
    """
    if (history.at(index) == NOBODY).all():
        raise SelectionError(f"no responses were kept at snapshot {index} of split {split!r}")
    moments = run.cell_at(index, true, predicted, split=split)
    reading = read(moments, signed=run.signed)
    preference = reading.preference
    found = np.flatnonzero(preference.held & (preference.preferred == 0) & (reading.strength > 0))
    best = found[np.argsort(-reading.strength[found], kind="stable")][:UNITS]
    return {
        "n": moments.count.astype(np.uint32),
        "unit": best.astype(np.uint32),
        "level": level(reading.strength[best]).astype(np.uint8),
    }


def glance(run: Run, split: str, grouping: str, index: int, table: Palette) -> Arrays:
    """A whole run as a small picture: its units at one snapshot, layer by layer, by class and strength.

    Of many layers and units some are left out, evenly.

    Returns:
        `units` [layer]: how many follow of each; `dark`, `light` [unit, rgba]: their colors, a layer
        after the other, clear where a unit has none.
    """
    layers = run.layers
    chosen = [layers[i] for i in _spread(len(layers), GLANCE_LAYERS)]
    shown: dict[str, list[np.ndarray]] = {"dark": [], "light": []}
    units: list[int] = []
    for layer in chosen:
        signed = np.full(layer.units, layer.signed)
        moments = run.moments(index, grouping, split, layer.slice)
        wire = on_wire(read(moments, signed=signed))
        held = wire["state"] == HELD
        # as the page orders them: by class, strongest first, then what has none
        order = np.lexsort((-wire["level"].astype(int), wire["preferred"], ~held))
        order = order[_spread(layer.units, GLANCE_UNITS)]
        units.append(len(order))
        k = np.where(held, wire["preferred"], 0)[order]
        level_ = np.where(held, wire["level"], 0)[order]
        for theme, colors in (("dark", table.dark), ("light", table.light)):
            rgba = colors[k, level_].copy()
            rgba[wire["state"][order] > TIED] = 0
            shown[theme].append(rgba)
    return {
        "units": np.array(units, np.uint32),
        **{theme: np.concatenate(rows) for theme, rows in shown.items()},
    }


def _spread(length: int, most: int) -> np.ndarray:
    """Up to so many of 0 … length - 1, evenly."""
    if length <= most:
        return np.arange(length)
    return np.linspace(0, length - 1, most).round().astype(int)


def thumbnails(run: Run, split: str, page: int) -> Arrays:
    """`pictures` [sample, y, x, rgb] of so many samples from `page` times as many on."""
    every = run.thumbnails(split)
    pictures = every[page * PAGE : (page + 1) * PAGE]
    if not len(pictures):
        raise SelectionError(f"no page {page} of thumbnails: there are {-(-len(every) // PAGE)}")
    return {"pictures": pictures}
