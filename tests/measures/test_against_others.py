"""Each measure against a plain computation from the responses themselves, on odd data too."""

import numpy as np
import pytest
from scipy import special, stats

from huelapse.errors import MeasureError, OptionError, SelectionError
from huelapse.measures import (
    MEASURES,
    Measure,
    Selectivity,
    State,
    find_measure,
    precision_at_frequencies,
    read,
    register,
)
from huelapse.moments import Moments

K, N, U = 4, 60, 40
NAMES = tuple(MEASURES)


def responses(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """[sample, unit] non-negative responses with class differences, and labels of unequal number."""
    labels = np.repeat(np.arange(K), (N, N // 2, N, 2 * N))
    lift = rng.random((K, U))[labels]
    noise = rng.standard_normal((len(labels), U))
    match kind:
        case "rectified":
            values = np.maximum(noise + 2 * lift - 0.5, 0)
        case "sparse":
            values = rng.exponential(size=noise.shape) * (rng.random(noise.shape) < lift / 4)
        case "large mean":
            values = 1000 + lift + 0.1 * noise
        case "one sample":
            values = np.zeros_like(noise)
            values[rng.integers(0, len(labels), U), np.arange(U)] = 3.0
        case "always on":
            values = 0.5 + np.abs(noise) + (labels == 2)[:, None]
        case _:
            raise AssertionError(kind)
    return values, labels


KINDS = ("rectified", "sparse", "large mean", "one sample", "always on")


@pytest.fixture(params=KINDS)
def data(request, rng) -> tuple[np.ndarray, np.ndarray]:
    return responses(request.param, rng)


def judged(data, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, bound and preferred class of each unit."""
    values, labels = data
    moments = Moments.from_samples(values, labels, K)
    measure = name if isinstance(name, Measure) else find_measure(name)
    reading = read(moments, signed=np.zeros(U, bool), measure=measure)
    return reading.selectivity.value, reading.selectivity.bound, reading.preference.preferred


def of_units(data, compute) -> np.ndarray:
    """compute(responses by class, preferred class) of each unit."""
    values, labels = data
    found = []
    for u in range(U):
        own = [values[labels == k, u] for k in range(K)]
        found.append(compute(own, int(np.argmax([x.mean() for x in own]))))
    return np.array(found)


def others(own: list[np.ndarray], p: int) -> list[np.ndarray]:
    return [x for k, x in enumerate(own) if k != p]


def test_class_selectivity_is_that_of_morcos(data) -> None:
    def value(own, p):
        m_p, m_r = own[p].mean(), np.mean([x.mean() for x in others(own, p)])
        return (m_p - m_r) / (m_p + m_r)

    def bound(own, p):
        se = [x.std(ddof=1) / np.sqrt(len(x)) for x in own]
        of_r = np.sqrt(sum(e**2 for e in others(se, p))) / (K - 1)
        low = max(own[p].mean() - se[p], 0)
        high = np.mean([x.mean() for x in others(own, p)]) + max(of_r, se[p])
        return (low - high) / (low + high)

    found = judged(data, "class_selectivity")
    np.testing.assert_allclose(found[0], of_units(data, value), rtol=1e-7)
    np.testing.assert_allclose(found[1], of_units(data, bound), rtol=1e-6, atol=1e-12)


def test_separability_weighs_the_other_classes_equally(data) -> None:
    def value(own, p):
        rest = others(own, p)
        m_r = np.mean([x.mean() for x in rest])
        v_r = np.mean([x.var(ddof=1) + (x.mean() - m_r) ** 2 for x in rest])
        d = (own[p].mean() - m_r) / np.sqrt((own[p].var(ddof=1) + v_r) / 2)
        return special.erf(d / 2)

    def bound(own, p):
        d = 2 * special.erfinv(value(own, p))
        n_r = (K - 1) ** 2 / sum(1 / len(x) for x in others(own, p))
        n_p = len(own[p])
        return special.erf((d - np.sqrt(1 / n_p + 1 / n_r + d * d / (2 * (n_p + n_r)))) / 2)

    found = judged(data, "separability")
    np.testing.assert_allclose(found[0], of_units(data, value), rtol=1e-6)
    np.testing.assert_allclose(found[1], of_units(data, bound), rtol=1e-5, atol=1e-9)


def test_separability_is_two_auc_minus_one_of_normals(rng) -> None:
    labels = np.repeat(np.arange(2), 4000)
    values = rng.standard_normal((8000, U)) + labels[:, None]
    reading = read(
        Moments.from_samples(values, labels, 2),
        signed=np.ones(U, bool),
        measure=find_measure("separability"),
    )
    auc = [stats.mannwhitneyu(v[4000:], v[:4000]).statistic / 4000**2 for v in values.T]
    np.testing.assert_allclose(reading.selectivity.value, 2 * np.array(auc) - 1, atol=0.02)


def test_variance_explained_is_that_of_one_way_anova(data) -> None:
    def omega(own, _):
        f = stats.f_oneway(*own).statistic if np.ptp(np.concatenate(own)) else 0.0
        total = sum(len(x) for x in own)
        return (K - 1) * (f - 1) / ((K - 1) * (f - 1) + total)

    def eta(own, _):
        everything = np.concatenate(own)
        within = sum(((x - x.mean()) ** 2).sum() for x in own)
        return 1 - within / ((everything - everything.mean()) ** 2).sum()

    np.testing.assert_allclose(
        judged(data, "variance_explained")[0], of_units(data, omega), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        judged(data, "eta_squared")[0], of_units(data, eta), rtol=1e-6, atol=1e-9
    )


def test_their_error_is_how_much_they_vary_from_sample_to_sample(rng) -> None:
    """Over 4,000 repetitions of one experiment, at three sizes of effect."""
    labels = np.repeat(np.arange(5), 40)
    for effect in (0.0, 0.3, 1.0):
        values = rng.standard_normal((200, 4000)) + effect * (labels == 1)[:, None]
        moments = Moments.from_samples(values, labels, 5)
        reading = read(
            moments, signed=np.zeros(4000, bool), measure=find_measure("variance_explained")
        )
        error = reading.selectivity.value - reading.selectivity.bound
        assert np.mean(error) == pytest.approx(reading.selectivity.value.std(), rel=0.15)


def test_shuffled_labels_leave_eta_at_chance_and_omega_at_none(rng) -> None:
    """E[η²] = (C − 1)/(n − 1) under any permutation, whatever the responses (evidence.md §6)."""
    values, labels = responses("rectified", rng)
    eta, omega = [], []
    for _ in range(200):
        shuffled = rng.permutation(labels)
        eta.append(judged((values, shuffled), "eta_squared")[0].mean())
        omega.append(judged((values, shuffled), "variance_explained")[0].mean())
    within = 4 / np.sqrt(200)
    assert np.mean(eta) == pytest.approx((K - 1) / (len(labels) - 1), abs=within * np.std(eta))
    assert np.mean(omega) == pytest.approx(0, abs=within * np.std(omega))


def shares(own: list[np.ndarray]) -> list[float]:
    return [float((x > 0).mean()) for x in own]


def test_rates_are_those_of_active_samples(data) -> None:
    def alarm(own, p):
        return float((np.concatenate(others(own, p)) > 0).mean())

    np.testing.assert_allclose(
        judged(data, "hit_rate")[0], of_units(data, lambda own, p: shares(own)[p])
    )
    np.testing.assert_allclose(judged(data, "false_alarm_rate")[0], of_units(data, alarm))
    np.testing.assert_allclose(
        judged(data, "informedness")[0],
        of_units(data, lambda own, p: shares(own)[p] - alarm(own, p)),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        judged(data, "precision")[0],
        of_units(data, lambda own, p: shares(own)[p] / sum(shares(own))),
    )


def test_precision_at_the_samples_own_frequencies_is_the_share_of_active_samples(data) -> None:
    def value(own, p):
        return (own[p] > 0).sum() / sum((x > 0).sum() for x in own)

    counts = np.bincount(data[1])
    found = judged(data, precision_at_frequencies(counts))
    np.testing.assert_allclose(found[0], of_units(data, value))
    assert (found[1] <= found[0]).all()
    rare = judged(data, precision_at_frequencies([1e-3, 1e-3, 1e-3, 1.0]))
    assert (rare[0][rare[2] != 3] <= found[0][found[2] != 3] + 1e-12).all()


def test_informedness_is_bounded_by_newcombes_limit() -> None:
    """Newcombe (1998), method 10, of 56/70 and 48/80: 0.2, from 0.0524 at 95 %."""
    from huelapse.measures import wilson

    low, _ = wilson(np.array([56.0]), np.array([70.0]), z=1.959964)
    _, high = wilson(np.array([48.0]), np.array([80.0]), z=1.959964)
    assert 0.2 - np.hypot(0.8 - low, high - 0.6)[0] == pytest.approx(0.0524, abs=5e-5)


def test_mutual_information_is_that_of_the_table(data) -> None:
    def value(own, _):
        table = np.array([[(x > 0).sum(), (x <= 0).sum()] for x in own], float)
        table /= table.sum()
        rows, columns = table.sum(1), table.sum(0)
        information = stats.entropy(table.ravel(), np.outer(rows, columns).ravel())
        least = min(stats.entropy(rows), stats.entropy(columns))
        return information / least if least else 0.0

    np.testing.assert_allclose(
        judged(data, "mutual_information")[0], of_units(data, value), atol=1e-12
    )


def test_mutual_information_of_noise_is_bounded_by_nothing(rng) -> None:
    labels = np.repeat(np.arange(10), 50)
    values = (rng.random((500, 3000)) < 0.4) * 1.0
    reading = read(
        Moments.from_samples(values, labels, 10),
        signed=np.zeros(3000, bool),
        measure=find_measure("mutual_information"),
    )
    assert reading.selectivity.bound.mean() < 0 < reading.selectivity.value.mean()
    assert 0.04 < (reading.selectivity.bound > 0).mean() < 0.16  # no more than by one error


@pytest.mark.parametrize("name", NAMES)
def test_bounds_are_no_greater_than_values_and_both_stay_in_range(name: str, data) -> None:
    value, bound, _ = judged(data, name)
    assert (bound <= value + 1e-12).all()
    assert value.max() <= 1 + 1e-12
    assert value.min() >= -1 - 1e-12
    assert np.isfinite(bound).all()


@pytest.mark.parametrize("name", NAMES)
def test_empty_classes_take_no_part(name: str, rng) -> None:
    values, labels = responses("rectified", rng)
    without = read(
        Moments.from_samples(values, labels, K),
        signed=np.zeros(U, bool),
        measure=find_measure(name),
    )
    two_more = read(
        Moments.from_samples(
            np.concatenate([values, 9 * np.ones((2, U))]), np.append(labels, [K, K]), K + 2
        ),
        signed=np.zeros(U, bool),
        measure=find_measure(name),
    )
    np.testing.assert_allclose(two_more.selectivity.value, without.selectivity.value)
    np.testing.assert_allclose(two_more.selectivity.bound, without.selectivity.bound)


@pytest.mark.parametrize("name", NAMES)
def test_silent_units_and_units_without_data_have_no_strength(name: str) -> None:
    silent = Moments.from_samples(np.zeros((40, 1)), np.repeat([0, 1], 20), 2)
    reading = read(silent, signed=np.zeros(1, bool), measure=find_measure(name))
    assert reading.state()[0] == State.SILENT
    assert reading.strength[0] == 0
    empty = read(Moments.empty(3, 1), signed=np.zeros(1, bool), measure=find_measure(name))
    assert empty.state()[0] == State.NO_DATA
    assert np.isnan(empty.selectivity.value[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_factor_changes_nothing(name: str, data) -> None:
    values, labels = data
    plain = judged(data, name)
    scaled = judged((values * 2.0**-20, labels), name)
    np.testing.assert_allclose(scaled[0], plain[0], atol=1e-6)
    np.testing.assert_allclose(scaled[1], plain[1], atol=1e-6)


@pytest.mark.parametrize("name", [n for n in NAMES if not MEASURES[n].non_negative])
@pytest.mark.parametrize("offset", [-100.0, 3.0, 100.0])
def test_signed_units_are_the_same_at_any_offset(name: str, offset: float, rng) -> None:
    """Up to 100 standard deviations, in the float32 that is stored."""
    labels = np.repeat(np.arange(K), N)
    values = rng.standard_normal((K * N, U)) + rng.standard_normal((K, U))[labels]

    def stored(moments: Moments) -> Moments:
        return Moments(
            count=moments.count,
            mean=moments.mean.astype(np.float32).astype(np.float64),
            m2=moments.m2.astype(np.float32).astype(np.float64),
            active=moments.active,
            nonfinite=moments.nonfinite,
        )

    plain, moved = (
        read(
            stored(Moments.from_samples(x, labels, K)),
            signed=np.ones(U, bool),
            measure=find_measure(name),
        )
        for x in (values, values + offset)
    )
    np.testing.assert_array_equal(moved.preference.preferred, plain.preference.preferred)
    np.testing.assert_array_equal(moved.preference.suppressed, plain.preference.suppressed)
    np.testing.assert_allclose(moved.strength, plain.strength, atol=1e-4)


@pytest.mark.parametrize("name", [n for n in NAMES if MEASURES[n].non_negative])
def test_where_a_measure_has_no_meaning_it_says_so(name: str, rng) -> None:
    values, labels = responses("rectified", rng)
    signed = np.arange(U) % 2 == 0
    reading = read(
        Moments.from_samples(values, labels, K), signed=signed, measure=find_measure(name)
    )
    assert (reading.state()[signed] == State.NOT_DEFINED).all()
    assert np.isnan(reading.strength[signed]).all()
    assert np.isnan(reading.selectivity.value[signed]).all()
    assert (reading.state()[~signed] != State.NOT_DEFINED).all()
    assert (reading.preference.preferred[signed] >= 0).all()


# --- users' own --------------------------------------------------------------------------------------


@pytest.fixture
def forgotten():
    yield
    for name in set(MEASURES) - set(NAMES):
        del MEASURES[name]


def spread_of_means(units) -> Selectivity:
    value = np.ptp(units.mean, axis=0)
    return Selectivity(value=value, bound=value / 2)


def own(compute, name: str = "spread_of_means") -> Measure:
    return Measure(name=name, title="Spread", about="how far the means are", compute=compute)


def test_a_registered_measure_is_used_by_its_name(data, forgotten) -> None:
    register(own(spread_of_means))
    value, bound, _ = judged(data, "spread_of_means")
    np.testing.assert_allclose(
        value, of_units(data, lambda own, _: np.ptp([x.mean() for x in own])), rtol=1e-7
    )
    np.testing.assert_allclose(bound, value / 2)


@pytest.mark.parametrize("name", ["margin", "Bad", "a b", "", "x" * 41])
def test_a_name_that_cannot_be_registered_is_refused(name: str, forgotten) -> None:
    with pytest.raises(OptionError, match="measure"):
        register(own(spread_of_means, name))


@pytest.mark.parametrize(
    "compute",
    [
        lambda units: 1.0,
        lambda units: Selectivity(value=np.zeros(3), bound=np.zeros(3)),
    ],
)
def test_what_a_measure_returns_is_looked_at(compute, data, forgotten) -> None:
    measure = register(own(compute))
    with pytest.raises(MeasureError, match="measure 'spread_of_means'"):
        judged(data, measure)


def test_an_unknown_measure_is_told_with_those_there_are() -> None:
    with pytest.raises(SelectionError, match="class_selectivity"):
        find_measure("nothing")


@pytest.mark.parametrize("given", [[], [0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0], np.ones((1, 2))])
def test_impossible_frequencies_are_refused(given) -> None:
    with pytest.raises(OptionError, match="frequencies"):
        precision_at_frequencies(given)
