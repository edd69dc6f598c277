"""Sums over batches equal one pass over all samples, in whatever order and parts they come."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from matrix import in_memory  # noqa: F401
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import huelapse
from huelapse import Recorder
from huelapse.capture.accumulator import Accumulator
from huelapse.moments import Moments

CPU = torch.device("cpu")


@st.composite
def samples(draw: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Responses [sample, unit] with NaN and ±Inf among them, labels with -1 among them, K."""
    n, units, k = draw(st.integers(1, 60)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    shift = draw(st.sampled_from([0.0, 1.0, -1000.0]))
    values = st.floats(-100, 100, width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])
    responses = draw(some.arrays(np.float32, (n, units), elements=values)) + np.float32(shift)
    labels = draw(some.arrays(np.int64, n, elements=st.integers(-1, k - 1)))
    return responses, labels, k


def parts(draw: Any, n: int) -> list[int]:
    """Where a sequence of n samples is cut into batches."""
    return sorted({0, n, *draw(st.lists(st.integers(0, n), max_size=8))})


def folded(
    responses: np.ndarray, rows: np.ndarray, classes: int, cuts: Sequence[int]
) -> dict[str, Moments]:
    one = Accumulator({"own": classes}, responses.shape[1], CPU)
    for start, stop in pairwise(cuts):
        if stop > start:
            part = torch.from_numpy(responses[start:stop].copy())
            one.fold(part, {"own": torch.from_numpy(rows[start:stop].copy())})
    return one.moments()


def same(found: Moments, expected: Moments, responses: np.ndarray) -> None:
    """Counts are equal; mean, and the root of the mean square deviation, to 1e-6 of the RMS."""
    for name in ("count", "active", "nonfinite"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    finite = np.where(np.isfinite(responses), responses, 0.0).astype(np.float64)
    rms = np.sqrt((finite**2).mean(0)) + 1e-30
    assert (np.abs(found.mean - expected.mean) / rms).max() <= 1e-6
    n = np.maximum(expected.n, 1)
    spread = np.abs(np.sqrt(found.m2 / n) - np.sqrt(expected.m2 / n)) / rms
    assert spread.max() <= 1e-6


@given(samples(), st.data())
@settings(deadline=None, max_examples=150)
def test_any_partition_equals_one_pass(given_samples: Any, data: Any) -> None:
    responses, labels, k = given_samples
    cuts = parts(data.draw, len(responses))
    expected = Moments.from_samples(responses.astype(np.float64), labels, k)
    same(folded(responses, labels, k, cuts)["own"], expected, responses)


@given(samples(), st.data())
@settings(deadline=None, max_examples=100)
def test_any_order_equals_one_pass(given_samples: Any, data: Any) -> None:
    responses, labels, k = given_samples
    order = np.array(data.draw(st.permutations(range(len(responses)))))
    cuts = parts(data.draw, len(responses))
    expected = Moments.from_samples(responses.astype(np.float64), labels, k)
    same(folded(responses[order], labels[order], k, cuts)["own"], expected, responses)


@given(samples(), st.data())
@settings(deadline=None, max_examples=100)
def test_accumulators_of_any_split_merge_to_one_pass(given_samples: Any, data: Any) -> None:
    responses, labels, k = given_samples
    at = data.draw(st.integers(0, len(responses)))
    first, second = (
        folded(responses[own], labels[own], k, [0, len(labels[own])])["own"]
        if len(labels[own])
        else Moments.empty(k, responses.shape[1])
        for own in (slice(0, at), slice(at, None))
    )
    expected = Moments.from_samples(responses.astype(np.float64), labels, k)
    same(first.merge(second), expected, responses)


@given(samples(), st.data())
@settings(deadline=None, max_examples=100)
def test_a_sample_of_several_classes_counts_as_one_in_each(given_samples: Any, data: Any) -> None:
    responses, _, k = given_samples
    member = data.draw(some.arrays(np.bool_, (len(responses), k)))
    cuts = parts(data.draw, len(responses))
    found = folded(responses, member, k, cuts)["own"]
    each = [
        Moments.from_samples(
            responses[member[:, c]].astype(np.float64), np.zeros(member[:, c].sum(), np.int64), 1
        )
        for c in range(k)
    ]
    expected = Moments(
        **{
            name: np.concatenate([getattr(one, name) for one in each])
            for name in ("count", "mean", "m2", "active", "nonfinite")
        }
    )
    same(found, expected, responses)


@given(samples())
@settings(deadline=None, max_examples=50)
def test_groupings_do_not_know_of_each_other(given_samples: Any) -> None:
    responses, labels, k = given_samples
    other = (labels + 1) // 2
    one = Accumulator({"own": k, "other": k + 1}, responses.shape[1], CPU)
    one.fold(
        torch.from_numpy(responses),
        {"own": torch.from_numpy(labels), "other": torch.from_numpy(other)},
    )
    found = one.moments()
    wide = responses.astype(np.float64)
    same(found["own"], Moments.from_samples(wide, labels, k), responses)
    same(found["other"], Moments.from_samples(wide, other, k + 1), responses)


# --- precision -----------------------------------------------------------------------------------


class Layers(nn.Module):
    """Gives the responses it is told to, in its own precision, through an activation."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.scale = nn.Parameter(torch.ones((), dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x * self.scale)
        return x.flatten(2).mean(2)[:, :3] if x.ndim > 2 else x[:, :3]


def recorded(
    place: Path, x: Tensor, y: Tensor, **options: Any
) -> tuple[Moments, Callable[[Tensor], np.ndarray]]:
    """What a window kept of the layer, and what a unit's response is, in float64."""
    model = Layers(x.dtype)
    recorder = Recorder(
        model, place, classes=3, window=len(x), window_schedule=1, strict=True, **options
    )
    for part, labels in zip(x.split(64), y.split(64), strict=True):
        with recorder.window(labels):
            model(part)
        recorder.step()
    recorder.close()
    run = huelapse.open(place)
    units = run.layers[0].units
    whole = run.moments(0, "true", "train")
    kept = Moments(
        whole.count, *(getattr(whole, n)[:, :units] for n in ("mean", "m2", "active", "nonfinite"))
    )
    peak = options.get("response") == "peak"

    def response(x: Tensor) -> np.ndarray:
        given_now = F.relu(x).double().flatten(2) if x.ndim > 2 else F.relu(x).double()[:, :, None]
        return (given_now.amax(2) if peak else given_now.mean(2)).numpy()

    return kept, response


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (5,), (4, 6), (2, 3, 4)])
@pytest.mark.parametrize("response", ["mean", "peak"])
def test_low_precision_costs_nothing_beyond_itself(
    place: Path, dtype: torch.dtype, shape: tuple[int, ...], response: Any
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(640, 7, *shape, generator=generator) * 3 + 1).to(dtype)
    y = torch.arange(640) % 3
    # [sample, 7, 5] might as well be tokens: these are channels
    found, of = recorded(place, x, y, response=response, unit_axis={"relu": 1})
    responses = of(x)
    same(found, Moments.from_samples(responses, y.numpy(), 3), responses)


@pytest.mark.parametrize("mean", [0.5, 100.0, 1000.0, 1e5])
def test_a_small_spread_around_a_large_mean_is_kept(place: Path, mean: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6400, 5, generator=generator) * 0.1 + mean
    y = torch.arange(6400) % 3
    found, of = recorded(place, x, y)
    expected = Moments.from_samples(of(x), y.numpy(), 3)
    same(found, expected, of(x))
    # relative to the spread itself, too: float32 sums would be wrong by more than its whole size
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-5)


def test_classes_far_apart_keep_their_own_narrow_spread(place: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(6400) % 3
    x = torch.randn(6400, 5, generator=generator) * 0.01 + 20.0 * y[:, None]
    x += 10.0
    found, of = recorded(place, x, y)
    expected = Moments.from_samples(of(x), y.numpy(), 3)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-5)


def test_responses_that_are_not_finite_are_counted_apart_and_enter_nothing(place: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(640, 6, generator=generator) + 1
    y = torch.arange(640) % 3
    x[::7, 3], x[1::10, 4], x[5::11, 5] = torch.nan, torch.inf, -torch.inf
    model = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Flatten())
    recorder = Recorder(
        model,
        place,
        classes=["a", "b", "c", "d", "e", "f"],
        layers=["0"],
        window=640,
        window_schedule=1,
        strict=True,
    )
    for part, labels in zip(x.split(64), y.split(64), strict=True):
        with recorder.window(labels):
            model(part)
    recorder.close()
    run = huelapse.open(place)
    found = run.moments(0, "true", "train")
    expected = Moments.from_samples(x.double().numpy(), y.numpy(), 6)
    np.testing.assert_array_equal(found.nonfinite[:, :6], expected.nonfinite)
    np.testing.assert_array_equal(found.active[:, :6], expected.active)
    np.testing.assert_array_equal(found.count, expected.count)
    assert expected.nonfinite[:, 3:].all(where=expected.count[:, None] > 0)
    np.testing.assert_allclose(found.mean[:3, :6], expected.mean[:3], rtol=1e-6)
    np.testing.assert_allclose(found.variance[:3, :6], expected.variance[:3], rtol=1e-6)
    # an output with something not finite predicts nothing: those samples have no predicted class
    whole = int(F.relu(x).isfinite().all(1).sum())
    assert run.moments(0, "predicted", "train").count.sum() == whole
