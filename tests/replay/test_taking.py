"""What a replay says it will take is what it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from replayed import replay

import huelapse
from conftest import SmallNet, batches
from huelapse.capture.accumulator import Accumulator
from huelapse.replaying.forecast import ReplayForecast
from huelapse.snapshot import Snapshot
from huelapse.store.joining import merge_parts

CLASSES, SAMPLES = 600, 900
CELLS = 2 * CLASSES * (5 + 7 + CLASSES)
"""Classes × units, by true and by predicted class."""


def build() -> torch.nn.Module:
    torch.manual_seed(2)
    return SmallNet(CLASSES).eval()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    return batches(SAMPLES, CLASSES)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    for step in (1, 2):
        torch.save(build().state_dict(), tmp_path / f"step={step}.pt")
    return tmp_path


def forecast_of(saved: Path, run: Path, **options: Any) -> ReplayForecast:
    told: list[ReplayForecast] = []
    report = replay(
        saved,
        run,
        **{"model": build, "data": data, "classes": CLASSES, "keep_responses": False, **options},
        progress=lambda happening: told.append(happening.forecast) if happening.forecast else None,
    )
    assert not report.failed, report.failed
    assert told
    assert all(one == told[0] for one in told)
    return told[0]


def test_a_parts_file_is_as_large_as_forecast(saved: Path, tmp_path: Path) -> None:
    forecast = forecast_of(saved, tmp_path / "run", shard="0/1")
    found = [path.stat().st_size for path in (tmp_path / "run/partial").glob("*.npz")]
    confusion = 8 * CLASSES**2
    assert len(found) == forecast.checkpoints == 2
    for size in found:
        assert abs(size - confusion - forecast.part_bytes) < 0.02 * forecast.part_bytes


def test_memory_is_what_sums_samples_checkpoints_and_merged_moments_take(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums: list[int] = []
    moments = Accumulator.moments
    merged: list[Snapshot] = []

    def counted(own: Accumulator) -> Any:
        sums.append(own.nbytes)
        return moments(own)

    def listened(parts: Any) -> Snapshot:
        merged.append(merge_parts(parts))
        return merged[-1]

    monkeypatch.setattr(Accumulator, "moments", counted)
    monkeypatch.setattr("huelapse.replaying.committing.merge_parts", listened)
    forecast = forecast_of(saved, tmp_path / "run")
    inputs = data()[0].nbytes
    weights = 2 * sum(one.nbytes for one in build().state_dict().values())
    batch = 2 * 64 * (CELLS // CLASSES // 2) * 4  # half of a batch is traced
    worker = sums[0] + 8 * CELLS + inputs + weights + batch
    assert abs(forecast.worker_bytes - worker) < 0.01 * worker
    whole = merged[0].moments["true"]
    held = sum(getattr(whole, name).nbytes for name in ("mean", "m2", "active"))
    on_its_way = 4 * 4 * CELLS  # mean, m2, active, nonfinite as they are stored
    assert abs(forecast.commit_bytes - 2 * held - on_its_way) < 0.01 * forecast.commit_bytes
    assert forecast.memory_bytes(3) == 3 * forecast.worker_bytes + forecast.commit_bytes
    assert not whole.nonfinite.any()


def test_samples_that_are_not_kept_are_not_forecast(saved: Path, tmp_path: Path) -> None:
    one_batch = data()[0][:128].nbytes
    kept = forecast_of(saved, tmp_path / "kept")
    some = forecast_of(saved, tmp_path / "some", memory=one_batch)
    assert kept.worker_bytes - some.worker_bytes == data()[0].nbytes - one_batch


def test_it_is_told_by_workers_too_and_reads_as_a_sentence(saved: Path, tmp_path: Path) -> None:
    here = forecast_of(saved, tmp_path / "here", memory=2**30)
    there = forecast_of(saved, tmp_path / "there", workers=2, memory=2**31)
    assert there == here
    assert str(here).startswith("612 units in 3 layers, by true (600 classes), predicted (600")
    assert "of memory for each worker, and" in str(here)
    assert ReplayForecast.from_json(here.as_json()) == here


def test_classes_that_no_part_has_seen_are_zero_though_nothing_was_written(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows are left as they were made, which takes no memory."""
    merged: list[Snapshot] = []

    def listened(parts: Any) -> Snapshot:
        merged.append(merge_parts(parts))
        return merged[-1]

    monkeypatch.setattr("huelapse.replaying.committing.merge_parts", listened)
    forecast_of(saved / "step=1.pt", tmp_path / "run")
    predicted = merged[0].moments["predicted"]
    unseen = predicted.count == 0
    assert unseen.any()
    for name in ("mean", "m2", "active", "nonfinite"):
        assert not np.asarray(getattr(predicted, name))[unseen].any()


def test_what_has_no_room_is_left_out_and_named_the_same_in_every_worker(
    saved: Path, tmp_path: Path
) -> None:
    whole = forecast_of(saved, tmp_path / "whole")
    limit = whole.recorded_bytes - 1
    some = forecast_of(saved, tmp_path / "some", max_bytes=limit)
    assert some.left_out == ("layer 'relu2'",)
    assert str(some).endswith("; max_bytes leaves no room for layer 'relu2'")
    assert some.recorded_bytes <= limit
    run = huelapse.open(tmp_path / "some")
    assert [layer.path for layer in run.layers] == ["relu1", "output"]
    pooled = {"max_bytes": limit, "workers": 2, "parts": 2, "memory": 10**8}
    others = forecast_of(saved, tmp_path / "pool", **pooled)
    assert others.left_out == some.left_out
    assert huelapse.open(tmp_path / "pool").layers == run.layers
    with pytest.raises(huelapse.HuelapseError, match=f"max_bytes was {limit}, and is null now"):
        forecast_of(saved, tmp_path / "some")
