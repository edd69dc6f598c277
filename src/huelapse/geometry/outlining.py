"""The geometry of a layer at one snapshot in a few numbers, soon enough for somebody who waits.

Of many samples an even choice takes part where the work grows with their number; it is the same at
every snapshot. See `collapse`, `decoded`, `special` and `similarity` for all of them.
"""

import numpy as np
from jaxtyping import Float32

from huelapse.errors import SelectionError
from huelapse.geometry.centres import centres
from huelapse.geometry.decoding import decode
from huelapse.geometry.rotating import rotated
from huelapse.geometry.similarity import aligned, kernel
from huelapse.geometry.within import within_collapse
from huelapse.kept import RESPONSES
from huelapse.run import Run
from huelapse.schema import LABELS, TRUE, Layer

SAMPLES, OF_EACH_CLASS, MOST_SAMPLES = 1000, 10, 4000
"""That decoding and rotations take: so many, or so many of each class if more, up to a limit."""
ALIKE = 400
"""That similarity takes."""
ROTATIONS, DIRECTIONS = 4, 128

STORED: tuple[str, ...] = ("cdnv", "equinorm", "equiangular")
"""Numbers that follow from what every run stores."""
KEPT: tuple[str, ...] = ("within", "nearest_centre", "linear", "chance", "above")
"""Numbers that need kept responses and labels."""
OUTLINE = STORED + KEPT


def keeps(run: Run, split: str) -> bool:
    """Whether there may be all numbers of `OUTLINE` of a split."""
    several = run.split(split).multilabel
    return run.has(RESPONSES, split) and run.has(LABELS, split) and not several


def outline(run: Run, split: str, index: int, layer: Layer) -> dict[str, float]:
    """All of `OUTLINE`, by the true classes; NaN for what was not kept or has no meaning.

    `cdnv`, `equinorm`, `equiangular` as in `Centres`, `within` as `within_collapse`, the others as in
    `Decoded`; `above`: mean strength of the units less that of random directions, both read as signed.
    """
    found = dict.fromkeys(OUTLINE, float("nan"))
    about = centres(run.moments(index, TRUE, split, layer.slice))
    found |= {name: getattr(about, name) for name in STORED}
    responses = _responses(run, split, index, layer) if keeps(run, split) else None
    if responses is None:
        return found
    labels = run.labels(split)
    classes = len(run.grouping(TRUE, split).classes)
    found["within"] = within_collapse(responses, labels)
    most = min(MOST_SAMPLES, max(SAMPLES, OF_EACH_CLASS * classes))
    chosen = evenly(len(labels), most)
    told = decode(responses[chosen], labels[chosen])
    found |= {
        "nearest_centre": told.nearest_centre,
        "linear": told.linear,
        "chance": told.chance,
    }
    control = rotated(
        responses[chosen], labels[chosen], classes, rotations=ROTATIONS, directions=DIRECTIONS
    )
    found["above"] = control.units - float(control.rotated.mean())
    return found


def similar_to(
    run: Run, split: str, index: int, other: int
) -> Float32[np.ndarray, "layer other_layer"]:
    """Unbiased linear CKA of each layer at a snapshot with each layer at another; see `cka`.

    Raises:
        SelectionError: nothing was kept at one of them.
    """
    now, then = (_kernels(run, split, one) for one in (index, other))
    return np.array([[aligned(one, two) for two in then] for one in now], np.float32)


def last_kept(run: Run, split: str) -> int | None:
    """The last snapshot of which responses were kept."""
    if not keeps(run, split):
        return None
    snapshots = range(len(run.coordinate("step", split)))
    return next((index for index in reversed(snapshots) if kept_at(run, split, index)), None)


def kept_at(run: Run, split: str, index: int) -> bool:
    """Whether responses were kept at a snapshot of a split that keeps them."""
    layer = min(run.layers, key=lambda one: one.units)
    return _responses(run, split, index, layer) is not None


def evenly(length: int, most: int) -> np.ndarray:
    """Up to so many of 0 … length - 1, evenly spread."""
    return np.linspace(0, length - 1, min(length, most)).round().astype(np.int64)


def _responses(run: Run, split: str, index: int, layer: Layer) -> np.ndarray | None:
    try:
        return run.responses_at(index, layer.path, split).astype(np.float64)
    except SelectionError:  # not kept at this snapshot
        return None


def _kernels(run: Run, split: str, index: int) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for layer in run.layers:
        responses = _responses(run, split, index, layer)
        if responses is None:
            raise SelectionError(f"no responses were kept at snapshot {index} of split {split!r}")
        found.append(kernel(responses[evenly(len(responses), ALIKE)]))
    return found
