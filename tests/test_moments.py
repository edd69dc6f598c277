"""Laws of moments: identity, associativity, any split equals one pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from huelapse.moments import Moments

CLASSES = 3


def close(a: Moments, b: Moments, scale: float = 1.0) -> None:
    np.testing.assert_array_equal(a.count, b.count)
    np.testing.assert_array_equal(a.active, b.active)
    np.testing.assert_array_equal(a.nonfinite, b.nonfinite)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(a.m2, b.m2, rtol=1e-7, atol=1e-7 * scale**2)


samples = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 30), st.just(2)),
    elements=st.one_of(st.floats(-1e3, 1e3), st.just(np.nan), st.just(np.inf)),
)


@given(samples, samples, samples, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_merge_is_associative_has_an_identity_and_equals_one_pass(a, b, c, random) -> None:
    parts = []
    for part in (a, b, c):
        labels = np.array([random.randrange(CLASSES) for _ in part], np.int64)
        parts.append((part, labels))
    x, y, z = (Moments.from_samples(part, labels, CLASSES) for part, labels in parts)
    whole = Moments.from_samples(
        np.concatenate([p for p, _ in parts]), np.concatenate([q for _, q in parts]), CLASSES
    )
    close(x.merge(y).merge(z), whole, 1e3)
    close(x.merge(y.merge(z)), whole, 1e3)
    empty = Moments.empty(CLASSES, 2)
    for merged in (x.merge(empty), empty.merge(x)):
        np.testing.assert_array_equal(merged.mean, x.mean)
        np.testing.assert_array_equal(merged.m2, x.m2)


def test_far_from_zero_the_variance_is_still_exact(rng) -> None:
    x = 1e6 + 0.1 * rng.standard_normal((5000, 1))
    halves = [Moments.from_samples(h, np.zeros(2500, np.int64), 1) for h in np.split(x, 2)]
    merged = halves[0].merge(halves[1])
    assert merged.variance[0, 0] == pytest.approx(x.var(ddof=1), rel=1e-9)


def test_an_empty_class_has_count_zero_and_no_variance() -> None:
    moments = Moments.from_samples(np.ones((4, 2)), np.zeros(4, np.int64), CLASSES)
    assert moments.count.tolist() == [4, 0, 0]
    assert np.isnan(moments.variance[1:]).all()
    assert (moments.m2[0] == 0).all()
