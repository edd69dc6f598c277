"""The geometry of a run's layers, snapshot by snapshot."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64

from huelapse.errors import SelectionError
from huelapse.geometry.centres import Centres, centres
from huelapse.geometry.decoding import Decoded, decode
from huelapse.geometry.rotating import Control, rotated
from huelapse.geometry.similarity import cka
from huelapse.geometry.within import within_collapse
from huelapse.measures import DEFAULT, find_measure
from huelapse.run import Run
from huelapse.schema import TRUE

Steps = Iterable[int] | None


def collapse(
    run: Run, layer: str, split: str | None = None, grouping: str = TRUE, steps: Steps = None
) -> dict[str, Float64[np.ndarray, " snapshot"]]:
    """Neural collapse of a layer through training: `step`, and each number of `Centres`.

    `within` (tr(Σ_W Σ_B⁺)/C) is added where responses were kept and the grouping is "true", NaN at
    snapshots without them.

    Args:
        steps: of which snapshots; default: all.

    Raises:
        SelectionError: there is no such layer, split, grouping or step.
    """
    units = run.layer(layer).slice
    taken = _taken(run, split, steps)
    found = [centres(run.moments(index, grouping, split, units)) for index in taken]
    numbers = {
        name: np.array([getattr(one, name) for one in found], np.float64)
        for name in Centres.__dataclass_fields__
    }
    numbers["step"] = run.coordinate("step", split)[taken].astype(np.float64)
    if grouping == TRUE and run.has("responses", split):
        labels = run.labels(split)
        within = np.full(len(taken), np.nan)
        for i, index in enumerate(taken):
            try:
                within[i] = within_collapse(_responses(run, index, layer, split), labels)
            except SelectionError:  # not kept at this snapshot
                continue
        numbers["within"] = within
    return numbers


def decoded(run: Run, layer: str, split: str | None = None, steps: Steps = None) -> list[Decoded]:
    """What a layer tells of the class, at each snapshot; see `decode`.

    Raises:
        SelectionError: responses were not kept; or there is no such layer, split or step.
    """
    labels = run.labels(split)
    return [
        decode(_responses(run, index, layer, split), labels) for index in _taken(run, split, steps)
    ]


def similarity(
    run: Run, layer: str, split: str | None = None, steps: Steps = None
) -> Float64[np.ndarray, "snapshot other"]:
    """Unbiased linear CKA of a layer between snapshots: how far its space has moved.

    Raises:
        SelectionError: responses were not kept; or there is no such layer, split or step.
    """
    kept = [_responses(run, index, layer, split) for index in _taken(run, split, steps)]
    found = np.eye(len(kept))
    for i, a in enumerate(kept):
        found[i, i] = cka(a, a)
        for j in range(i):
            found[i, j] = found[j, i] = cka(a, kept[j])
    return found


def special(
    run: Run, layer: str, step: int | None = None, split: str | None = None, measure: str = DEFAULT
) -> Control:
    """A layer's units against random directions of its space; see `rotated`.

    Raises:
        SelectionError: responses were not kept; or there is no such layer, split, step or measure.
    """
    return rotated(
        _responses(run, run.index(step, split), layer, split),
        run.labels(split),
        len(run.grouping(TRUE, split).classes),
        measure=find_measure(measure),
    )


def _taken(run: Run, split: str | None, steps: Steps) -> list[int]:
    """Snapshots by index: of all of them some may have the same step."""
    if steps is None:
        return list(range(len(run.coordinate("step", split))))
    return [run.index(int(step), split) for step in steps]


def _responses(run: Run, index: int, layer: str, split: str | None) -> np.ndarray:
    return run.responses_at(index, layer, split).astype(np.float64)
