"""The numbers behind the colors: against direct computation, and on pure noise."""

import numpy as np
import pytest
from scipy import stats

from huelapse.measures import MEASURES, State, doubt, interval, preferring, read
from huelapse.moments import Moments

UNSIGNED = np.zeros(1, bool)


def moments_of(*classes: np.ndarray) -> Moments:
    """One unit; the responses of each class."""
    labels = np.concatenate([np.full(len(c), k) for k, c in enumerate(classes)]).astype(np.int64)
    return Moments.from_samples(np.concatenate(classes)[:, None], labels, len(classes))


def test_sure_is_the_sum_of_welch_tests_with_floored_variances(rng) -> None:
    data = [rng.normal(m, s, n) for m, s, n in ((1.0, 1, 40), (1.3, 0.2, 25), (0.5, 2, 60))]
    reading = read(moments_of(*data), signed=UNSIGNED)
    means = [x.mean() for x in data]
    p = int(np.argmax(means))
    pooled = sum(x.var(ddof=1) * (len(x) - 1) for x in data) / sum(len(x) - 1 for x in data)
    v = [max(x.var(ddof=1), pooled) for x in data]
    doubt = 0.0
    for k in range(3):
        if k == p:
            continue
        a, b = v[p] / len(data[p]), v[k] / len(data[k])
        df = (a + b) ** 2 / (a**2 / (len(data[p]) - 1) + b**2 / (len(data[k]) - 1))
        doubt += stats.t.sf((means[p] - means[k]) / np.sqrt(a + b), df)
    assert reading.preference.preferred[0] == p
    assert reading.preference.sure[0] == pytest.approx(max(0, 1 - doubt), abs=1e-12)


def test_margin_is_two_auc_minus_one_of_two_normals_and_its_bound_one_error_less(rng) -> None:
    a, b = rng.normal(2, 1, 3000), rng.normal(0.5, 1, 3000)
    reading = read(moments_of(a, b), signed=UNSIGNED)
    auc = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
    assert reading.selectivity.value[0] == pytest.approx(2 * auc - 1, abs=0.02)
    d = (a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    low = d - np.sqrt(2 / 3000 + d * d / 12000)
    assert reading.strength[0] == pytest.approx(2 * stats.norm.cdf(low / np.sqrt(2)) - 1, abs=1e-12)


def test_margin_does_not_depend_on_offset_or_scale(rng) -> None:
    data = [rng.normal(m, 1, 50) for m in (0.0, 2.0, 1.0)]
    plain = read(moments_of(*data), signed=np.ones(1, bool))
    moved = read(moments_of(*(1000 + 7 * x for x in data)), signed=np.ones(1, bool))
    assert moved.strength[0] == pytest.approx(plain.strength[0], abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_constant_unit_is_silent_and_never_sure(value: float) -> None:
    reading = read(moments_of(*[np.full(50, value)] * 4), signed=UNSIGNED)
    assert reading.state()[0] == State.SILENT
    assert reading.strength[0] == 0
    assert not reading.preference.held[0]


def test_without_spread_the_margin_is_one_or_nothing() -> None:
    apart = read(moments_of(np.zeros(20), np.ones(20)), signed=UNSIGNED)
    assert (apart.selectivity.value[0], apart.strength[0]) == (1, 1)
    assert apart.state()[0] == State.TUNED


def test_few_samples_hold_nothing_and_none_are_no_data() -> None:
    nine = read(moments_of(np.arange(9) + 100.0, np.arange(200) / 200), signed=UNSIGNED)
    assert nine.preference.preferred[0] == 0
    assert nine.state()[0] == State.TIED
    two = read(moments_of(np.ones(2), np.arange(50.0)), signed=UNSIGNED)
    assert two.state()[0] == State.NO_DATA
    assert two.preference.preferred[0] == -1
    assert np.isnan(two.preference.sure[0])


def test_a_single_active_sample_is_not_a_tuned_unit() -> None:
    one = np.zeros(100)
    one[0] = 5.0
    reading = read(moments_of(one, *[np.zeros(100)] * 9), signed=UNSIGNED)
    assert reading.strength[0] == 0
    assert reading.active_samples[0] == 1


def test_one_bad_response_makes_the_unit_not_finite() -> None:
    bad = np.ones(30)
    bad[3] = np.nan
    reading = read(moments_of(bad, np.zeros(30)), signed=UNSIGNED)
    assert reading.state()[0] == State.NOT_FINITE


def test_suppression_is_found_in_signed_layers_only(rng) -> None:
    data = [rng.normal(0, 1, 100) for _ in range(4)] + [rng.normal(-6, 1, 100)]
    signed = read(moments_of(*data), signed=np.ones(1, bool))
    assert signed.preference.suppressed[0]
    assert signed.preference.preferred[0] == 4
    assert signed.strength[0] > 0.9
    unsigned = read(moments_of(*data), signed=UNSIGNED)
    assert not unsigned.preference.suppressed[0]
    assert unsigned.strength[0] == 0


NOISE = {
    "rectified": lambda rng, shape: np.maximum(rng.standard_normal(shape), 0),
    "signed": lambda rng, shape: rng.standard_normal(shape),
    "lognormal": lambda rng, shape: np.exp(1.5 * rng.standard_normal(shape)),
    "sparse": lambda rng, shape: rng.exponential(size=shape) * (rng.random(shape) < 0.02),
}


@pytest.mark.parametrize("family", NOISE)
@pytest.mark.parametrize(("classes", "n"), [(2, 10), (2, 100), (10, 10), (10, 100), (100, 20)])
def test_pure_noise_is_hardly_ever_tuned(family: str, classes: int, n: int, rng) -> None:
    units = 1500 if classes < 100 else 300
    responses = NOISE[family](rng, (classes * n, units))
    labels = np.repeat(np.arange(classes), n)
    moments = Moments.from_samples(responses, labels, classes)
    reading = read(moments, signed=np.full(units, family == "signed"))
    tuned = (reading.state() == State.TUNED).mean()
    assert tuned <= (0.01 if (classes, n) == (2, 10) else 0.0)
    assert reading.preference.held.mean() <= 0.06


def test_unequal_counts_do_not_color_noise(rng) -> None:
    """Without the pooled floor 10–15 % of noise would be held here."""
    held = 0
    for _ in range(2000):
        held += read(
            moments_of(
                np.maximum(rng.standard_normal(1000), 0), np.maximum(rng.standard_normal(10), 0)
            ),
            signed=UNSIGNED,
        ).preference.held[0]
    assert held / 2000 <= 0.06


def test_intervals_are_students(rng) -> None:
    x = rng.normal(3, 2, 17)
    low, high = interval(moments_of(x, x[:1]))
    expected = stats.t.interval(0.95, 16, x.mean(), x.std(ddof=1) / np.sqrt(17))
    assert (low[0, 0], high[0, 0]) == pytest.approx(expected)
    assert np.isnan(low[1, 0])


def test_every_measure_says_what_it_is() -> None:
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.title
        assert measure.about


def test_a_small_difference_of_a_large_mean_stays_strong_with_many_samples() -> None:
    n = np.array([10**6, 10**6])
    mean = np.array([[1.0], [1.0 + 5e-5]])
    zeros = np.zeros((2, 1), np.int64)
    moments = Moments(n, mean, (n[:, None] - 1) * 1e-5**2, zeros, zeros)
    assert read(moments, signed=np.zeros(1, bool)).strength[0] > 0.99


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_units_that_are_sure_of_nothing_are_told_early_and_never_wrongly(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lower bound spares the sum over the t distribution; sureness is the same without it."""
    rng = np.random.default_rng(classes)
    gap = np.linspace(0, 3, 200)
    for n in (3, 12, 200):
        mean = rng.standard_normal((classes, 200)) / np.sqrt(n)
        mean[rng.integers(0, classes, 200), np.arange(200)] += gap
        moments = Moments(
            count=np.full(classes, n),
            mean=mean,
            m2=rng.random((classes, 200)) * n,
            active=np.full((classes, 200), n),
            nonfinite=np.zeros((classes, 200), np.int64),
        )
        early = preferring.prefer(moments, signed=np.zeros(200, bool)).sure
        with monkeypatch.context() as patched:
            patched.setattr(doubt, "_surely_all", lambda gaps: np.zeros(200, bool))
            whole = preferring.prefer(moments, signed=np.zeros(200, bool)).sure
        assert np.array_equal(early == 0, whole == 0)
        np.testing.assert_allclose(early, whole, rtol=0, atol=1e-13)
        assert 0 < (whole == 0).sum() < 200 or classes < 40
