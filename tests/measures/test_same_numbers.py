"""What is computed quickly equals, bit for bit, what is computed as the formulas stand."""

import numpy as np
import pytest
from plain import Plain, read_plainly

from huelapse.measures import MEASURES, Reading, read, read_by, reading
from huelapse.moments import Moments

MEANS = ("normal", "close", "far", "offset", "tiny", "huge", "even")


def moments(
    rng: np.random.Generator, classes: int, units: int, n: int, means: str, *, odd: bool
) -> Moments:
    """Statistics of units that differ by chance and in truth, some of them in an odd way."""
    count = np.full(classes, n)
    spread = rng.gamma(2.0, 0.5, (classes, units))
    error = np.sqrt(spread / n)
    mean = rng.standard_normal((classes, units)) * error
    some = np.arange(0, units, 2)
    stands_out = rng.uniform(0, 12, len(some))
    mean[rng.integers(0, classes, len(some)), some] += stands_out / np.sqrt(n)
    scale = {"far": 30.0, "close": 0.2, "tiny": 1e-30, "huge": 1e17}.get(means, 1.0)
    mean, m2 = scale * mean, (n - 1) * spread * (scale if means in ("tiny", "huge") else 1.0) ** 2
    mean += {"offset": 1e6, "normal": 1.0}.get(means, 0.0)
    if means == "even":
        mean, m2 = np.round(mean, 1), np.round(m2)
    active = rng.integers(0, n + 1, (classes, units))
    nonfinite = np.zeros((classes, units), np.int64)
    if odd:
        count = rng.integers(0, 2 * n, classes)
        count[0] = n
        nonfinite[:, ::7] = np.minimum(rng.integers(0, 3, nonfinite[:, ::7].shape), count[:, None])
        mean[:, 1::9], m2[:, 1::9] = 0.5, 0.0
        mean[:, 2::9], m2[:, 2::9] = np.float32(0.1), 0.0
        m2[:, 3::9] = 0.0
        mean[-1, 4::31] = np.inf
        m2[-1, 5::31] = np.inf
    has = count[:, None] > nonfinite
    return Moments(
        count=count.astype(np.int64),
        mean=np.where(has, mean.astype(np.float32).astype(np.float64), 0.0),
        m2=np.where(has, m2.astype(np.float32).astype(np.float64), 0.0),
        active=np.minimum(active, count[:, None] - nonfinite),
        nonfinite=nonfinite,
    )


def same(found: Reading, plain: Plain, *, sure: bool = True) -> None:
    """Every array that a picture, a table or a history is made of."""
    preference, selectivity = found.preference, found.selectivity
    pairs = {
        "preferred": preference.preferred,
        "runner_up": preference.runner_up,
        "held": preference.held,
        "suppressed": preference.suppressed,
        "no_data": preference.no_data,
        "value": selectivity.value,
        "bound": selectivity.bound,
        "strength": found.strength,
        "silent": found.silent,
        "not_finite": found.not_finite,
        "always_on": found.always_on,
        "active_samples": found.active_samples,
        "unreliable": found.unreliable,
        **({"sure": preference.sure} if sure else {}),
    }
    for name, values in pairs.items():
        np.testing.assert_array_equal(values, getattr(plain, name), err_msg=name)


@pytest.mark.parametrize("odd", [False, True], ids=["even", "odd"])
@pytest.mark.parametrize("means", MEANS)
@pytest.mark.parametrize(("classes", "units", "n"), [(2, 150, 40), (10, 150, 12), (130, 90, 20)])
def test_a_reading_is_that_of_the_formulas(
    rng, monkeypatch, classes: int, units: int, n: int, means: str, odd: bool
) -> None:
    found = moments(rng, classes, units, n, means, odd=odd)
    monkeypatch.setattr(reading, "AT_ONCE", classes * 40)
    by = list(MEASURES.values())
    for signed in (np.zeros(units, bool), np.arange(units) % 3 == 0, np.ones(units, bool)):
        with np.errstate(all="ignore"):  # of infinite responses
            every = read_by(found, signed=signed, measures=by)
            alone = read_by(found, signed=signed, measures=by, held_alone=True)
            one = read(found, signed=signed)
        for name, own, quick in zip(MEASURES, every, alone, strict=True):
            plain = read_plainly(found, signed, name)
            same(own, plain)
            same(quick, plain, sure=False)
            assert np.isnan(quick.preference.sure).all()
        same(one, read_plainly(found, signed, "margin"))
