"""What the page reads of single samples: how each is read now, and one of them through training."""

import numpy as np

from huelapse.run import Run
from huelapse.viewer.closer import classes_on_wire
from huelapse.viewer.predicted import Predicted

UNITS = 12
"""Units that a sample drives most, that are sent."""
TOP = 8
"""Classes whose probabilities are sent: the true one, and those that were greatest."""
UNKNOWN = 255
"""`right` where nothing is known."""

Arrays = dict[str, np.ndarray]


def samples(run: Run, split: str, history: Predicted, index: int) -> Arrays:
    """Every sample of a probe at one snapshot.

    Returns:
        `label`, `prediction` [sample], and `right` [sample]: the probability
        that the output gives to the true class, in hundredths; `UNKNOWN` where there is none.
    """
    labels = run.labels(split)
    given = _of_class(_of_all(run.probabilities_at(index, split)), labels)
    known = np.isfinite(given)
    right = np.where(known, np.floor(100 * np.where(known, given, 0.0) + 0.5), UNKNOWN)
    return {
        "label": classes_on_wire(labels),
        "prediction": classes_on_wire(history.at(index)),
        "right": right.astype(np.uint8),
    }


def sample(run: Run, split: str, history: Predicted, which: int) -> Arrays:
    """One sample through training.

    Returns:
        `label` [1], `prediction` [snapshot]; `classes` [k] those whose probability was greatest at some
        time, the true one first, and `probability` [snapshot, k]; NaN where nothing was kept.
    """
    steps = run.coordinate("step", split)
    label = int(run.labels(split)[which])
    rows = run.probability_of(which, split)
    whole = _of_all(rows)
    most = np.where(np.isfinite(whole), whole, 0.0).max(0) if len(steps) else np.zeros(0)
    order = [k for k in np.argsort(-most, kind="stable") if k != label][: TOP - 1]
    classes = ([label] if 0 <= label < whole.shape[1] else []) + [int(k) for k in order]
    return {
        "label": classes_on_wire(np.array([label])),
        "prediction": classes_on_wire(history.of(np.array([which]))[:, 0]),
        "classes": np.array(classes, np.uint16),
        "probability": whole[:, classes].astype(np.float32),
    }


def driven(run: Run, split: str, which: int, index: int) -> Arrays:
    """Units that one sample drives far more than samples do on average, most first.

    Returns:
        `unit`, `score` [unit]: (its response - their mean) / their standard deviation, over all samples
        of the probe at this snapshot; units that do not differ at all are left out.
    """
    responses = run.responses_at(index, None, split).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (responses[which] - responses.mean(0)) / responses.std(0)
    score = np.where(np.isfinite(score), score, -np.inf)
    best = np.argsort(-score, kind="stable")[:UNITS]
    best = best[score[best] > 0]
    return {"unit": best.astype(np.uint32), "score": score[best].astype(np.float32)}


def _of_all(probabilities: np.ndarray) -> np.ndarray:
    """[row, output] to [row, class]: a single output is the probability of the second of two."""
    if probabilities.shape[1] != 1:
        return probabilities
    return np.concatenate([1 - probabilities, probabilities], 1)


def _of_class(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of each sample's own class; NaN for none."""
    inside = (labels >= 0) & (labels < probabilities.shape[1])
    own = probabilities[np.arange(len(labels)), np.where(inside, labels, 0)]
    return np.where(inside, own, np.nan)
