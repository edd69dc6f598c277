"""Kept responses: what float16 codes preserve, and what they cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from huelapse import kept
from huelapse.moments import Moments

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 6))
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def there_and_back(x: np.ndarray) -> np.ndarray:
    codes = kept.encode(x)
    return kept.decode(codes.codes, codes.ref, codes.scale)


def spread(x: np.ndarray) -> np.ndarray:
    """Greatest less least finite response of each unit, in float64."""
    x = np.where(np.isfinite(x), x, np.nan).astype(np.float64)
    with np.errstate(invalid="ignore"):
        empty = np.isnan(x).all(0)
        filled = np.where(empty, 0, x)
        return np.nanmax(filled, 0) - np.nanmin(filled, 0)


def check(x: np.ndarray) -> None:
    """The promises of `encode`, on any float32 responses whatever."""
    codes = kept.encode(x)
    y = kept.decode(codes.codes, codes.ref, codes.scale)
    assert y.dtype == np.float32
    finite = np.isfinite(x)
    np.testing.assert_array_equal(y[~finite], x[~finite])
    assert np.isfinite(y[finite]).all()
    exact = codes.ref + codes.codes.astype(np.float64) * codes.scale.astype(np.float64)
    error = np.where(finite, np.abs(exact - np.where(finite, x, 0)), 0)
    away = np.where(finite, np.abs(np.where(finite, x, 0) - codes.ref.astype(np.float64)), 0)
    # below 2⁻³⁹ of the farthest, codes are at float16's least number
    assert (error <= np.maximum(2.0**-11 * away, 2.0**-38 * away.max(0))).all()
    assert (error <= 2.0**-11 * spread(x)).all()
    # and what is handed out is rounded once more, to float32
    own = np.where(finite, np.abs(y.astype(np.float64) - np.where(finite, x, 0)), 0)
    step = np.where(finite, np.abs(x), 0).max(0).astype(np.float64) * 2.0**-23 + 2.0**-149
    assert (own <= 2.0**-11 * spread(x) + step / 2).all()
    np.testing.assert_array_equal(np.sign(y[finite]), np.sign(x[finite]))  # zeros stay zeros
    constant = finite.any(0) & (spread(x) == 0)
    np.testing.assert_array_equal(
        np.where(finite, y, 0)[:, constant], np.where(finite, x, 0)[:, constant]
    )
    assert not np.isnan(codes.scale).any()
    assert not np.isnan(codes.ref).any()


@settings(max_examples=400, deadline=None)
@given(hnp.arrays(np.float32, SHAPES, elements=FLOATS))
def test_any_responses_come_back_within_a_2048th_of_their_units_spread(x: np.ndarray) -> None:
    check(x)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1000.0, -1000.0, 1e30]),
    st.sampled_from([1e-38, 1e-6, 0.1, 1.0, 1e4, 1e30]),
    st.sampled_from(["normal", "relu", "lognormal", "constant", "sparse"]),
)
def test_means_and_spreads_of_every_size_survive(
    seed: int, mean: float, sigma: float, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((200, 7))
    if kind == "lognormal":
        x = np.exp(5 * x)
    elif kind == "relu":
        x = np.maximum(x, 0)
    elif kind == "constant":
        x = np.ones((200, 7))
    elif kind == "sparse":
        x = np.where(rng.random((200, 7)) < 0.01, x, 0)
    with np.errstate(over="ignore"):
        check((mean + sigma * x).astype(np.float32))


def test_a_small_spread_around_a_large_mean_is_kept_to_a_few_thousandths_of_it() -> None:
    """Plain float16 has steps of 0.5 at 1,000: it would lose a spread of 0.1 altogether."""
    rng = np.random.default_rng(0)
    x = (1000 + 0.1 * rng.standard_normal((2000, 50))).astype(np.float32)
    rms = np.sqrt(((there_and_back(x) - x) ** 2).mean())
    assert rms < 0.1 * 1e-3
    plain = np.sqrt(((x.astype(np.float16).astype(np.float32) - x) ** 2).mean())
    assert plain > 0.05


def test_what_was_active_stays_active() -> None:
    x = np.zeros((10, 2), np.float32)
    x[0] = 3e38  # the farthest, and beside it the least there are
    x[1, 0], x[2, 0], x[3, 1] = 1e-45, -1e-45, 1e-20
    np.testing.assert_array_equal(there_and_back(x) > 0, x > 0)
    np.testing.assert_array_equal(there_and_back(x) < 0, x < 0)


def test_responses_in_pieces_are_encoded_as_those_in_one() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, 9)).astype(np.float32)
    x[3, 2], x[50, 2], x[:, 4] = np.nan, np.inf, np.nan
    whole, parts = kept.encode(x), kept.encode(x[:1], x[1:64], x[64:64], x[64:])
    for name in ("codes", "ref", "scale"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    with pytest.raises(ValueError, match="no batch"):
        kept.encode()


def test_moments_of_kept_responses_are_those_of_the_responses() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 500)
    x = np.maximum(rng.standard_normal((500, 30)) + 0.3 * labels[:, None], 0).astype(np.float32)
    x[::50, 3] = np.nan
    expected = Moments.from_samples(x.astype(np.float64), labels, 4)
    found = Moments.from_samples(there_and_back(x).astype(np.float64), labels, 4)
    np.testing.assert_array_equal(found.active, expected.active)
    np.testing.assert_array_equal(found.nonfinite, expected.nonfinite)
    sigma = np.sqrt(expected.variance)
    assert (np.abs(found.mean - expected.mean) < 2e-4 * sigma).all()
    np.testing.assert_allclose(found.m2, expected.m2, rtol=1e-3)


def test_responses_are_kept_where_they_fit_the_budget() -> None:
    assert kept.keeps("auto", 2000, 16_000)
    assert not kept.keeps("auto", 2000, 16_001)
    assert not kept.keeps("auto", 20_000, 1000, outputs=1000)  # probabilities count too
    assert kept.keeps(True, 10**6, 10**6)
    assert not kept.keeps(False, 1, 1)
    assert kept.keeps(2 * 10 * 5, 10, 5)
    assert not kept.keeps(2 * 10 * 5 - 1, 10, 5)
    assert not kept.keeps(0, 10, 5)
    for wrong in ("always", -1, 0.5):
        with pytest.raises(ValueError, match='expected "auto", True, False or a number'):
            kept.keeps(wrong, 1, 1)  # type: ignore[arg-type]
