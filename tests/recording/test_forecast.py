"""What recording will take is told before the first step, and kept under a limit."""

import warnings
from pathlib import Path

import pytest
import torch
from recorded import record
from torch import nn

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.recording.forecast import Plan, size
from huelapse.schema import Layer


def test_the_forecast_is_there_before_the_first_step(run_path: Path) -> None:
    recorder = record(run_path, schedule=10, total_steps=100, probe_budget=0.05)
    forecast = recorder.forecast
    assert forecast is not None
    assert (forecast.layers, forecast.units) == (3, 15)
    assert forecast.groupings == {"true": 3, "predicted": 3}
    assert forecast.snapshots == 11
    assert forecast.time_share == 0.05
    assert forecast.disk_bytes is not None
    assert forecast.memory_bytes > 90 * 72 * 4  # the probe's samples
    for text in ("15 units in 3 layers", "11 snapshots", "at most 5% of training"):
        assert text in str(forecast)
    recorder.close()


def test_with_windows_alone_it_is_told_at_the_first_batch(run_path: Path) -> None:
    model, (x, y) = SmallNet(), batches()
    recorder = Recorder(model, run_path, classes=3, window=90)
    assert recorder.forecast is None
    with recorder.window(y):
        model(x)
    assert recorder.forecast is not None
    assert recorder.forecast.units == 15
    recorder.close()


def test_the_snapshots_on_disk_are_as_large_as_forecast(run_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 4000), nn.ReLU(), nn.Linear(4000, 10))
    x, y = torch.randn(2000, 20), torch.arange(2000) % 10
    with record(run_path, model, probe=(x, y), classes=10, schedule=1) as recorder:
        for _ in range(5):
            recorder.step()
    forecast = recorder.forecast
    assert forecast is not None
    files = [p for p in (run_path / "run.zarr").rglob("c.*") if p.is_file()]
    found = sum(p.stat().st_size for p in files) / 6
    assert 0.4 * forecast.snapshot_bytes < found < 1.1 * forecast.snapshot_bytes


def test_what_a_limit_leaves_no_room_for_is_named(run_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 900), nn.ReLU(), nn.Linear(900, 50), nn.ReLU(), nn.Linear(50, 3)
    )
    x, y = torch.randn(90, 4), torch.arange(90) % 3
    wide = {"many": (200, lambda y, *_: y), "few": (2, [0, 1, 1])}
    left = r"responses, grouping 'many', grouping 'few', layer '1'"
    with pytest.warns(HuelapseWarning, match=left) as said:
        recorder = record(
            run_path, model, probe=(x, y), groupings=wide, schedule="manual", max_bytes=60_000
        )
    recorder.close()
    assert len(said) == 1
    run = huelapse.open(run_path)
    assert [layer.path for layer in run.layers] == ["3", "output"]
    assert [layer.offset for layer in run.layers] == [0, 50]
    assert [g.name for g in run.split().groupings] == ["true", "predicted"]  # 'few' went too
    truth = model[:4](x)[y == 1].mean(0).detach()
    assert torch.allclose(torch.tensor(run.tuning(layer="3")[1]).float(), truth, atol=1e-5)
    assert recorder.forecast is not None
    groupings = ("grouping 'many'", "grouping 'few'")
    assert recorder.forecast.left_out == ("kept responses", *groupings, "layer '1'")
    assert not run.has("responses")


def test_a_thousand_classes_are_told_of_before_memory_runs_out() -> None:
    layer = Layer(
        path="wide", kind="ReLU", shape=(27_000,), unit_axis=1, units=27_000, offset=0, signed=False
    )
    forecast = Plan(
        layers=[layer], groupings={"true": 1000, "predicted": 1000}, snapshots=50, batch=256
    ).forecast()
    # two groupings of 1,000 classes × 27,000 units of two float64 sums and two counts
    assert forecast.device_bytes == pytest.approx(2 * 1001 * 27_000 * 20, rel=0.25)
    assert forecast.disk_bytes == pytest.approx(50 * 2 * 1000 * 27_000 * 16 * 0.85, rel=0.01)
    assert size(forecast.disk_bytes) == "37 GB"
    assert "37 GB on disk" in str(forecast)


def test_much_memory_is_warned_of(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huelapse.recording.planning.LARGE", 1000)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        record(run_path).close()
    assert [w.category for w in said] == [HuelapseWarning]
    assert "max_bytes" in str(said[0].message)


def test_steps_of_a_generator_are_forecast_and_taken(run_path: Path) -> None:
    with record(run_path, schedule=(step for step in (1, 3)), probe_budget=None) as recorder:
        assert recorder.forecast is not None
        assert recorder.forecast.snapshots == 3
        for _ in range(3):
            recorder.step()
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 3]


def test_the_cost_is_told_by_its_parts(run_path: Path) -> None:
    model, (x, y) = SmallNet(), batches()
    with Recorder(
        model, run_path, classes=3, probe=(x, y), schedule=2, window=90, window_schedule=1,
        probe_budget=None,
    ) as recorder:  # fmt: skip
        for _ in range(6):
            with recorder.window(y):
                model(x)
            recorder.step()
        cost = recorder.cost()
    assert cost["hook_seconds"] > 0
    assert cost["fold_seconds"] > 0
    assert cost["waiting_seconds"] > 0
    assert cost["bytes_held"] > 90 * 72 * 4
    assert 0 < cost["window_share"] < 1
    assert recorder.cost()["bytes_written"] > 0
    stored = huelapse.open(run_path).facts["cost"]
    assert stored.keys() == cost.keys()
    assert stored["snapshots"] == 10
