"""A second response beside the mean, or instead of it."""

from dataclasses import replace
from pathlib import Path

import extra_run
import numpy as np
import pytest
from extra_run import LAYERS, begin, record, snapshot, split

import huelapse
from huelapse.errors import SelectionError
from huelapse.store import StoreReader, StoreWriter


def test_both_responses_are_read_each_by_its_name(run_path: Path) -> None:
    run = huelapse.open(record(run_path))
    assert run.response_names == ("mean", "peak")
    reader = StoreReader(run_path)
    assert reader.attributes["responses"] == ["mean", "peak"]
    for step in range(3):
        for name in ("true", "predicted", "size"):
            x = extra_run.responses(step)
            for response, given in (("mean", x), ("peak", 2 * x + 1)):
                expected = extra_run.moments(given, name)
                found = run.moments(step, name, response=response)
                np.testing.assert_array_equal(found.count, expected.count)
                np.testing.assert_array_equal(found.mean, expected.mean.astype(np.float32))
                np.testing.assert_array_equal(found.m2, expected.m2.astype(np.float32))
                np.testing.assert_array_equal(found.active, expected.active)
                np.testing.assert_array_equal(found.nonfinite, expected.nonfinite)
            default, mean = run.moments(step, name), run.moments(step, name, response="mean")
            np.testing.assert_array_equal(default.mean, mean.mean)
    mean, peak = run.tuning(1), run.tuning(1, response="peak")
    np.testing.assert_allclose(peak, 2 * mean + 1, rtol=1e-6)
    last = run.history(4, response="peak")[2]
    np.testing.assert_array_equal(last.mean[:, 0], run.moments(2, response="peak").mean[:, 4])
    # twice the response and one more: the margin knows no scale
    np.testing.assert_allclose(run.strength(1, response="peak"), run.strength(1), atol=1e-5)
    for read in (run.preferred, run.sure, run.state):
        assert read(1, response="peak").shape == (23,)
    # constant at 0.25 and at 1.5: active in all samples of both
    assert run.moments(1).active[:, 3].tolist() == run.moments(1).count.tolist()


def test_a_single_response_stands_in_the_grouping_itself(run_path: Path) -> None:
    store = StoreWriter(run_path, name="t", layers=LAYERS, facts={}, responses=("peak",))
    store.add_split(replace(split(), extras=()))
    store.commit(replace(snapshot(0), peaks={}, extras={}))
    store.close()
    run = huelapse.open(run_path)
    assert not (run_path / "run.zarr/val/true/peak").exists()
    np.testing.assert_array_equal(run.moments(0).mean, run.moments(0, response="peak").mean)
    with pytest.raises(SelectionError, match=r"no response 'mean'; recorded were peak"):
        run.moments(0, response="mean")


def test_a_response_that_was_not_recorded_says_what_was(run_path: Path) -> None:
    store = begin(run_path, both=False)
    store.add_split(replace(split(), extras=()))
    store.commit(replace(snapshot(0), peaks={}, extras={}))
    store.close()
    run = huelapse.open(run_path)
    for read in (run.tuning, run.preferred, run.sure, run.strength, run.state):
        with pytest.raises(SelectionError, match=r"no response 'peak'; recorded were mean"):
            read(response="peak")


def test_runs_from_before_there_was_a_choice_hold_the_mean(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(run_path)
    reader = StoreReader(run_path)
    monkeypatch.delitem(reader.attributes, "responses")
    assert reader.responses == ("mean",)
