"""How often pure noise is colored, how often something true is found, how well intervals cover."""

from collections.abc import Callable, Iterator

import harness
import numpy as np
from scipy import special, stats

from huelapse.events import Finder, Found, each
from huelapse.measures import State, interval, read, reliable
from huelapse.moments import Moments
from huelapse.painting import on_wire
from huelapse.schema import Layer

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Student's t with two degrees of freedom, rectified: no variance exists."""
    return np.maximum(rng.standard_t(2, shape), 0)


def bursts(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One response in fifty is thirty times as large."""
    return np.abs(rng.standard_normal(shape)) * np.where(rng.random(shape) < 0.02, 30.0, 1.0)


FAMILIES: dict[str, Draw] = {
    "rectified": lambda rng, shape: np.maximum(rng.standard_normal(shape), 0),
    "signed": lambda rng, shape: rng.standard_normal(shape),
    "lognormal": lambda rng, shape: np.exp(1.5 * rng.standard_normal(shape)),
    "sparse": lambda rng, shape: rng.exponential(size=shape) * (rng.random(shape) < 0.02),
    "rare": lambda rng, shape: (rng.random(shape) < 0.001) * 1.0,
    "heavy": heavy,
    "pareto": lambda rng, shape: rng.pareto(1.5, shape),
    "bursts": bursts,
}

DESIGNS: dict[str, list[int]] = {
    "k2_n10": [10] * 2,
    "k2_n100": [100] * 2,
    "k2_imbalanced": [10, 1000],
    "k10_n10": [10] * 10,
    "k10_n100": [100] * 10,
    "k10_imbalanced": [10] * 5 + [1000] * 5,
    "k100_n20": [20] * 100,
    "k1000_n20": [20] * 1000,
}

AT_ONCE = 4_000_000
"""Responses that are drawn together."""


def parts(units: int, samples: int) -> Iterator[int]:
    width = max(1, AT_ONCE // samples)
    for start in range(0, units, width):
        yield min(width, units - start)


def colored(draw: Draw, counts: list[int], units: int, seed: int) -> tuple[float, float]:
    """Shares of units that noise makes tuned, and gives any color."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    signed_family = draw is FAMILIES["signed"]
    tuned = shown = 0
    for width in parts(units, len(labels)):
        responses = draw(rng, (len(labels), width))
        moments = Moments.from_samples(responses, labels, len(counts))
        reading = read(moments, signed=np.full(width, signed_family))
        tuned += int((reading.state() == State.TUNED).sum())
        shown += int((np.nan_to_num(reading.strength) >= 0.01).sum())
    return tuned / units, shown / units


def correlated(units: int, seed: int) -> float:
    """Share of units in any color where samples come in tens that are alike: not bounded."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(2), 200)
    responses = np.repeat(rng.standard_normal((40, units)), 10, axis=0)
    responses += 0.3 * rng.standard_normal(responses.shape)
    moments = Moments.from_samples(np.maximum(responses, 0), labels, 2)
    reading = read(moments, signed=np.zeros(units, bool))
    return float((np.nan_to_num(reading.strength) >= 0.01).mean())


def found(classes: int, n: int, value: float, units: int, seed: int) -> float:
    """Share of units called tuned whose true margin is `value`: one class above the others."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), n)
    d = 2 * float(special.erfinv(value))
    tuned = 0
    for width in parts(units, len(labels)):
        responses = rng.standard_normal((len(labels), width)) + d * (labels == 0)[:, None]
        moments = Moments.from_samples(responses, labels, classes)
        reading = read(moments, signed=np.zeros(width, bool))
        tuned += int(((reading.state() == State.TUNED) & (reading.preference.preferred == 0)).sum())
    return tuned / units


def smallest_found(classes: int, n: int, units: int) -> float:
    """The true margin of which 80 % of units are called tuned."""
    low, high = 0.3, 0.999
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if found(classes, n, middle, units, 1) >= 0.8 else (middle, high)
    return high


def covered(draw: Draw, mean: float, n: int, units: int, seed: int) -> tuple[float, float, float]:
    """Coverage of 95 % intervals: of all units, of reliable ones, and the share of these."""
    rng = np.random.default_rng(seed)
    responses = draw(rng, (n, units))
    moments = Moments.from_samples(responses, np.zeros(n, np.int64), 2)
    low, high = interval(moments)
    inside = (low[0] <= mean) & (mean <= high[0])
    trusted = reliable(moments, signed=np.zeros(units, bool))[0] & (moments.active[0] > 0)
    of_trusted = inside[trusted].mean() if trusted.any() else float("nan")
    return float(inside.mean()), float(of_trusted), float(trusted.mean())


def happened(stories: Iterator[np.ndarray], labels: np.ndarray, units: int) -> list[Found]:
    """Events of responses [sample, unit] of two classes, snapshot by snapshot."""
    layer = Layer(path="l", kind="ReLU", shape=(units,), unit_axis=1, units=units, offset=0,
                  signed=False)  # fmt: skip
    finder, found = Finder([layer]), list[Found]()
    for responses in stories:
        moments = Moments.from_samples(responses, labels, 2)
        picture = on_wire(read(moments, signed=np.zeros(units, bool)))
        found += each(finder.feed(picture, moments.count))
    return found


def false_switches(units: int, snapshots: int, n: int = 50) -> float:
    """Switches of a unit in 100 snapshots, of two equal classes with fresh noise each time."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), n)
    noise = (np.maximum(rng.standard_normal((2 * n, units)), 0) for _ in range(snapshots))
    found = happened(noise, labels, units)
    return 100 * sum(e.kind == "switched" for e in found) / units / snapshots


def true_switches(n: int, over: int, units: int) -> tuple[float, float]:
    """Share of units found that go from one class to the other, and within 3 snapshots of where the
    means cross. Means go 1.5 σ, four fifths of the noise stay as a probe's samples do."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), n)
    lasting = rng.standard_normal((2 * n, units))

    def story() -> Iterator[np.ndarray]:
        for t in range(20 + over + 20):
            lift = np.clip((t - 20) / over, 0, 1)
            mean = np.where(labels == 0, 1.5 * (1 - lift), 1.5 * lift)[:, None]
            yield mean + 0.8 * lasting + 0.6 * rng.standard_normal(lasting.shape)

    switches = [e for e in happened(story(), labels, units) if e.kind == "switched"]
    near = {e.unit for e in switches if abs(e.snapshot - 20 - over // 2) <= 3}
    return len({e.unit for e in switches}) / units, len(near) / units


def measure(quick: bool) -> harness.Numbers:
    numbers: harness.Numbers = {}
    for name, counts in DESIGNS.items():
        units = 400 if quick else 20_000 if sum(counts) <= 2_000 else 4_000
        if quick and sum(counts) > 3_000:
            continue
        for i, (family, draw) in enumerate(FAMILIES.items()):
            tuned, shown = colored(draw, counts, units, i)
            numbers[f"{name}_{family}_tuned"] = tuned
            numbers[f"{name}_{family}_colored"] = shown
    numbers["correlated_k2_colored"] = correlated(400 if quick else 20_000, 0)

    units = 200 if quick else 4_000
    numbers["power_k10_n200_margin_065"] = found(10, 200, 0.65, units, 0)
    for classes, n in ((2, 20), (2, 100), (10, 50), (10, 200), (10, 1000), (100, 50), (100, 200)):
        if quick and classes * n > 2_000:
            continue
        many = 200 if quick else max(200, min(2_000, 20_000_000 // (classes * n)))
        numbers[f"smallest_found_k{classes}_n{n}"] = smallest_found(classes, n, many)

    numbers["false_switches_per_100"] = false_switches(100 if quick else 5_000, 100)
    for n, over in ((200, 40), (50, 40), (200, 80)):
        every, near = true_switches(n, over, 50 if quick else 1_000)
        numbers |= {
            f"switches_found_n{n}_over{over}": every,
            f"switches_near_n{n}_over{over}": near,
        }

    rectified = float(stats.norm.pdf(0))  # E max(x, 0)
    units = 2_000 if quick else 40_000
    for n in (30, 100, 500):
        every, trusted, share = covered(FAMILIES["rectified"], rectified, n, units, n)
        numbers |= {f"covered_rectified_n{n}": every, f"reliable_rectified_n{n}": share}
        every, trusted, share = covered(FAMILIES["sparse"], 0.02, n, units, n)
        numbers |= {
            f"covered_sparse_n{n}": every,
            f"reliable_sparse_n{n}": share,
        }
    _, trusted, share = covered(FAMILIES["sparse"], 0.02, 2_000, units // 4, 7)
    numbers |= {"covered_reliable_sparse_n2000": trusted, "reliable_sparse_n2000": share}
    return numbers


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
