"""How one sample goes through the layers: which class's mean each layer's response is most like."""

from collections.abc import Iterator

import numpy as np

from huelapse.kept import RESPONSES
from huelapse.measures.preferring import MIN_SAMPLES
from huelapse.moments import Moments
from huelapse.run import Run
from huelapse.schema import LABELS, TRUE, Layer, Split
from huelapse.viewer.closer import NO_PREDICTION

MOST_NUMBERS = 2 * 10**8
"""Class means that are read for one sample, over all its snapshots."""
FEWEST_SNAPSHOTS, MOST_SNAPSHOTS = 8, 256
"""That are told of, evenly spread, the first and the last among them."""
BLOCK = 4 * 10**6
"""Class means that are held at once."""
FEWEST_UNITS = 3
"""With fewer that vary, a direction says nothing."""

Arrays = dict[str, np.ndarray]


def has_layers(run: Run, split: Split) -> bool:
    """Whether responses were kept of samples that have one class each."""
    kept = run.has(RESPONSES, split.name) and run.has(LABELS, split.name)
    return kept and not split.multilabel and any(g.name == TRUE for g in split.groupings)


def through_layers(run: Run, split: str, which: int) -> Arrays:
    """How each layer responds to one sample, through training, from kept responses.

    A layer's response to the sample is a direction: each unit's response less the mean of all samples,
    in standard deviations over all samples. So is the mean response to a class; the sample's own class
    is taken without the sample. Their cosine says how alike they are: 1 the same direction, 0 none of
    it, -1 the opposite.

    Returns:
        `snapshot` [s], those told of; `alike` [s, layer], the cosine with the sample's true class, NaN
        where it has no label, the class fewer than 3 other samples, the layer fewer than 3 units that
        vary, or nothing was kept; `nearest` [s, layer], the class with the greatest cosine
        (`NO_PREDICTION` for none), and `nearest_alike` [s, layer], that cosine.
    """
    steps, layers = len(run.coordinate("step", split)), run.layers
    classes = len(run.grouping(TRUE, split).classes)
    chosen = _some(steps, MOST_NUMBERS // (classes * run.units))
    label = int(run.labels(split)[which])
    shape = len(chosen), len(layers)
    alike, most = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    nearest = np.full(shape, NO_PREDICTION, np.uint16)
    for i, t in enumerate(chosen.tolist()):
        response = run.response_of(which, t, split)
        if response is None:
            continue
        for units, members in _blocks(layers, classes):
            moments = run.moments(t, TRUE, split, units)
            z, means = _directions(moments, response[units].astype(np.float64), label)
            for place, layer in members:
                own = slice(layer.offset - units.start, layer.offset + layer.units - units.start)
                cosines = _cosines(z[own], means[:, own])
                if 0 <= label < classes:
                    alike[i, place] = cosines[label]
                if not np.isnan(cosines).all():
                    best = int(np.nanargmax(cosines))
                    nearest[i, place], most[i, place] = best, cosines[best]
    return {
        "snapshot": chosen.astype(np.uint32),
        "alike": alike,
        "nearest": nearest,
        "nearest_alike": most,
    }


def _some(snapshots: int, affordable: int) -> np.ndarray:
    number = min(max(affordable, FEWEST_SNAPSHOTS), MOST_SNAPSHOTS)
    if snapshots <= number:
        return np.arange(snapshots)
    return np.linspace(0, snapshots - 1, number).round().astype(int)


def _blocks(
    layers: tuple[Layer, ...], classes: int
) -> Iterator[tuple[slice, list[tuple[int, Layer]]]]:
    """Neighboring layers whose class means are read together."""
    members: list[tuple[int, Layer]] = []
    for place, layer in enumerate(layers):
        if members and classes * (layer.offset + layer.units - members[0][1].offset) > BLOCK:
            yield slice(members[0][1].offset, layer.offset), members
            members = []
        members.append((place, layer))
    if members:
        last = members[-1][1]
        yield slice(members[0][1].offset, last.offset + last.units), members


def _directions(
    moments: Moments, response: np.ndarray, label: int
) -> tuple[np.ndarray, np.ndarray]:
    """The sample's direction [unit] and that of each class [class, unit]; NaN where there is none."""
    n = moments.n.astype(np.float64)
    total = n.sum(0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        grand = np.where(n > 0, n * moments.mean, 0.0).sum(0) / total
        between = np.where(n > 0, n * (moments.mean - grand) ** 2, 0.0).sum(0)
        spread = np.sqrt((np.where(n > 0, moments.m2, 0.0).sum(0) + between) / total)
        spread[~(spread > 0)] = np.nan
        mean = np.where(n >= MIN_SAMPLES, moments.mean, np.nan)
        if 0 <= label < len(n):
            without = (n[label] * moments.mean[label] - response) / (n[label] - 1)
            mean[label] = np.where(n[label] > MIN_SAMPLES, without, np.nan)
        return (response - grand) / spread, (mean - grand) / spread


def _cosines(z: np.ndarray, means: np.ndarray) -> np.ndarray:
    """[class], over the units that vary; NaN for classes that lack any of these."""
    usable = np.isfinite(z)
    if usable.sum() < FEWEST_UNITS:
        return np.full(len(means), np.nan)
    z, means = z[usable], means[:, usable]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = means @ z / (np.linalg.norm(means, axis=1) * np.linalg.norm(z))
    return np.where(np.isfinite(found), found, np.nan)
