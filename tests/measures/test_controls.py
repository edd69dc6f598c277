"""Noise floors and halves, on noise and on responses with something in them."""

import numpy as np
import pytest

from huelapse.measures import find_measure, halves, permuted_bounds, read
from huelapse.moments import Moments

K, N = 10, 40
LABELS = np.repeat(np.arange(K), N)


def tuned(rng, units: int, lift: float) -> np.ndarray:
    favourite = rng.integers(0, K, units)
    noise = rng.standard_normal((len(LABELS), units))
    return np.maximum(noise + lift * (LABELS[:, None] == favourite), 0)


def test_a_permutation_reads_what_plain_moments_of_permuted_labels_read(rng) -> None:
    responses = tuned(rng, 30, 2.0) + 100
    responses[3, 4] = np.nan
    signed = np.arange(30) % 2 == 0
    found = permuted_bounds(responses, LABELS, K, signed=signed, permutations=3, seed=5)
    again = np.random.default_rng(5)
    for bounds in found:
        moments = Moments.from_samples(responses, again.permutation(LABELS), K)
        reading = read(moments, signed=signed)
        np.testing.assert_allclose(bounds, reading.selectivity.bound, atol=1e-9)


def test_the_floor_is_above_noise_and_far_below_what_is_tuned(rng) -> None:
    signed = np.zeros(200, bool)
    responses = tuned(rng, 200, 3.0)
    floor = np.percentile(permuted_bounds(responses, LABELS, K, signed=signed), 95)
    noise = read(
        Moments.from_samples(responses, rng.permutation(LABELS), K), signed=signed
    ).selectivity.bound
    assert (noise > floor).mean() == pytest.approx(0.05, abs=0.04)
    real = read(Moments.from_samples(responses, LABELS, K), signed=signed).selectivity.bound
    assert (real > floor).mean() > 0.99


def test_silent_units_have_no_floor_and_unlabelled_samples_no_part(rng) -> None:
    responses = tuned(rng, 5, 1.0)
    responses[:, 2] = 0.1
    signed = np.zeros(5, bool)
    some = permuted_bounds(responses, LABELS, K, signed=signed, permutations=2)
    assert np.isnan(some[:, 2]).all()
    assert np.isfinite(np.delete(some, 2, 1)).all()
    more = np.concatenate([responses, np.full((3, 5), 99.0)])
    with_unlabelled = permuted_bounds(
        more, np.append(LABELS, [-1, -1, -1]), K, signed=signed, permutations=2
    )
    np.testing.assert_array_equal(with_unlabelled, some)


@pytest.mark.parametrize("signed", [False, True])
def test_halves_of_noise_are_nothing_in_the_mean_where_the_value_is_not(rng, signed: bool) -> None:
    units = 2000
    responses = rng.standard_normal((len(LABELS), units))
    all_signed = np.full(units, signed)
    dipped = read(Moments.from_samples(responses, LABELS, K), signed=all_signed).selectivity.value
    free = halves(responses, LABELS, K, signed=all_signed)
    assert dipped.mean() > 0.03
    assert abs(free.mean()) < 4 * free.std() / np.sqrt(units)


def test_halves_of_what_is_tuned_are_what_it_is(rng) -> None:
    responses = 1000 + 5 * (LABELS == 3)[:, None] + rng.standard_normal((len(LABELS), 50))
    value = halves(responses, LABELS, K, signed=np.zeros(50, bool))
    assert value.min() > 0.99
    suppressed = halves(-responses, LABELS, K, signed=np.ones(50, bool))
    assert suppressed.min() > 0.99


def test_halves_without_data_or_meaning_are_not_numbers(rng) -> None:
    responses = tuned(rng, 4, 3.0)
    few = np.flatnonzero(LABELS < 2)[::20]
    assert np.isnan(halves(responses[few], LABELS[few], K, signed=np.zeros(4, bool))).all()
    index = find_measure("class_selectivity")
    signed = np.array([True, False, True, False])
    found = halves(responses, LABELS, K, signed=signed, measure=index)
    np.testing.assert_array_equal(np.isnan(found), signed)
