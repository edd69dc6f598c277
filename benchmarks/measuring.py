"""What judging costs: preference, sureness, a measure and states of many units and classes at once."""

import time

import harness
import numpy as np

from huelapse.measures import MEASURES, read, read_by
from huelapse.moments import Moments


def moments(classes: int, units: int, n: int = 50) -> Moments:
    """Statistics of rectified responses in which each unit prefers a class."""
    rng = np.random.default_rng(0)
    mean = rng.random((classes, units))
    mean[rng.integers(0, classes, units), np.arange(units)] += 1.5
    return Moments(
        count=np.full(classes, n),
        mean=mean,
        m2=(n - 1) * (0.2 + rng.random((classes, units))),
        active=rng.integers(1, n, (classes, units)),
        nonfinite=np.zeros((classes, units), np.int64),
    )


def mostly_noise(classes: int, units: int, n: int = 50) -> Moments:
    """The same where a fifth of the units prefers a class, and means of the others differ by chance."""
    rng = np.random.default_rng(1)
    found = moments(classes, units, n)
    found.mean[:] = 0.8 + rng.standard_normal((classes, units)) * np.sqrt(0.5 / n)
    some = np.arange(0, units, 5)
    found.mean[rng.integers(0, classes, len(some)), some] += 1.5
    return found


def reading_once(found: Moments) -> float:
    """Seconds to read every byte of the statistics once, from memory."""
    started = time.process_time()
    for array in (found.mean, found.m2, found.active, found.nonfinite):
        array.sum()
    return time.process_time() - started


def seconds(found: Moments, name: str, *, signed: bool) -> float:
    units = found.mean.shape[1]
    started = time.process_time()
    read(found, signed=np.full(units, signed), measure=MEASURES[name]).state()
    return time.process_time() - started


def painted(found: Moments, names: tuple[str, ...] = ("margin",)) -> float:
    """What pictures need: not how sure a preference is, but whether it is held; by some measures."""
    signed, by = np.zeros(found.mean.shape[1], bool), [MEASURES[name] for name in names]
    started = time.process_time()
    read_by(found, signed=signed, measures=by, held_alone=True)
    return time.process_time() - started


def measure(quick: bool) -> harness.Numbers:
    units = 1_000 if quick else 27_000
    numbers: harness.Numbers = {"units": float(units)}
    for classes in (10, 1000):
        found = moments(classes, units)
        seconds(moments(classes, 100), "margin", signed=False)  # imports
        once = min(reading_once(found) for _ in range(3))
        numbers[f"k{classes}_mb"] = 4 * found.mean.nbytes / 1e6
        for name in MEASURES if classes == 10 else ("margin", "class_selectivity"):
            took = min(seconds(found, name, signed=False) for _ in range(1 if classes > 10 else 3))
            numbers[f"k{classes}_{name}_seconds"] = took
            numbers[f"k{classes}_{name}_of_reading"] = took / once
        numbers[f"k{classes}_margin_painted_seconds"] = painted(found)
        numbers[f"k{classes}_all_painted_seconds"] = painted(found, tuple(MEASURES))
        found = mostly_noise(classes, units)
        numbers[f"k{classes}_noise_margin_painted_seconds"] = painted(found)
        took = seconds(found, "margin", signed=False)
        numbers[f"k{classes}_noise_margin_seconds"] = took
        numbers[f"k{classes}_noise_margin_of_reading"] = took / once
        took = seconds(found, "margin", signed=True)
        numbers[f"k{classes}_noise_margin_signed_of_reading"] = took / once
    return numbers


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
