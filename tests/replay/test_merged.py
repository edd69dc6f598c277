"""Parts that ranks recorded live, and parts of a replay, merge to what one process has in float64.

Compared before they are rounded to the float32 of the disk: merges are listened to. Beside one another,
and beside the plain two passes over all samples, which know nothing of parts.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from replayed import replay

import huelapse
from conftest import SmallNet, batches
from huelapse.moments import Moments
from huelapse.snapshot import Snapshot
from huelapse.store.joining import merge_parts

SAMPLES, BATCH, CLASSES = 300, 20, 3
FAR = 300.0
"""How far units of relu2 are from 0, in about their own spreads, which sums of squares would lose."""
RELU1, RELU2, HEAD = slice(0, 5), slice(5, 12), slice(12, 15)
"""Their units."""
WHERE = {"live": "huelapse.store.committing", "replay": "huelapse.replaying.committing"}


def build() -> torch.nn.Module:
    torch.manual_seed(3)
    model = SmallNet()
    with torch.no_grad():
        model.fc.bias += FAR
        model.head.bias -= FAR * model.head.weight.sum(1)  # predictions differ as before
    return model.eval()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = batches(SAMPLES)
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(5))
    order = order[torch.argsort((y[order] == 0).int(), stable=True)]  # some parts lack a class
    return x[order], y[order]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save(build().state_dict(), tmp_path / "step=1.pt")
    return tmp_path / "step=1.pt"


class Heard:
    """The snapshots that a committer makes of parts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        self.merged: list[tuple[int, Snapshot]] = []

        def listen(parts: Any) -> Snapshot:
            snapshot = merge_parts(parts)
            self.merged.append((len(parts), snapshot))
            return snapshot

        monkeypatch.setattr(f"{where}.merge_parts", listen)

    def only(self, parts: int) -> Snapshot:
        ((number, snapshot),) = self.merged
        assert number == parts
        return snapshot


def replayed(
    saved: Path, run: Path, parts: int, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Snapshot:
    heard = Heard(monkeypatch, WHERE["replay"])
    plain = {"model": build, "data": data, "batch": BATCH, "parts": parts, "keep_responses": False}
    assert not replay(saved, run, **{**plain, **options}).failed
    return heard.only(parts)


def recorded(run: Path, ranks: int, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """Each rank forwards the batches that a part of the replay has."""
    heard = Heard(monkeypatch, WHERE["live"])
    models = [build() for _ in range(ranks)]
    recorders = [
        huelapse.Recorder(model, run, classes=CLASSES, ranks=(rank, ranks))
        for rank, model in enumerate(models)
    ]
    x, y = data()
    batched = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    for rank, (model, recorder) in enumerate(zip(models, recorders, strict=True)):
        own = batched[len(batched) * rank // ranks : len(batched) * (rank + 1) // ranks]
        with torch.no_grad(), recorder.probing("val") as probing:
            for inputs, labels in own:
                model(inputs)
                probing.labels(labels)
    for recorder in reversed(recorders):
        recorder.close()
    return heard.only(ranks)


def truth() -> dict[str, Moments]:
    """By two passes in float64 over the responses of all samples, in one process."""
    model = build()
    seen: dict[str, list[torch.Tensor]] = {"relu1": [], "relu2": []}
    for name in seen:
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, own=seen[name]: own.append(
                (out.mean((2, 3)) if out.ndim == 4 else out).clone()
            )
        )
    x, y = data()
    with torch.no_grad():
        logits = torch.cat([model(one) for one in x.split(BATCH)])
    responses = [*(torch.cat(own) for own in seen.values()), logits.softmax(1)]
    rows = torch.cat(responses, 1).numpy().astype(np.float64)
    labels = {"true": y.numpy(), "predicted": logits.argmax(1).numpy()}
    return {name: Moments.from_samples(rows, own, CLASSES) for name, own in labels.items()}


def apart(ours: Moments, theirs: Moments, units: slice = slice(None)) -> float:
    """The greatest difference of a mean, as a share of its unit's RMS; of an m2, of n RMS²."""
    for name in ("count", "active", "nonfinite"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    n = ours.n
    squares = (ours.m2 + n * ours.mean**2).sum(0) / n.sum(0)
    rms = np.sqrt(squares)[units]
    assert (rms > 0).any()
    means = np.abs(ours.mean - theirs.mean)[:, units] / np.maximum(rms, 1e-300)
    m2 = np.abs(ours.m2 - theirs.m2)[:, units] / np.maximum(n.sum(0)[units] * rms**2, 1e-300)
    return float(max(means.max(), m2.max()))


def greatest(one: Snapshot, other: Snapshot) -> float:
    assert one.moments.keys() == other.moments.keys() == {"true", "predicted"}
    return max(apart(one.moments[name], other.moments[name]) for name in one.moments)


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_live_parts_and_replayed_parts_merge_to_what_one_process_has(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    live = recorded(tmp_path / "live", parts, monkeypatch)
    again = replayed(saved, tmp_path / "again", parts, monkeypatch)
    alone = replayed(saved, tmp_path / "alone", 1, monkeypatch)
    assert live.moments["true"].mean.dtype == np.float64
    assert live.moments["true"].count.tolist() == [SAMPLES // CLASSES] * CLASSES
    assert greatest(live, again) <= 1e-12
    assert greatest(live, alone) <= 1e-12
    for name, own in truth().items():
        for merged in (live, again, alone):
            assert apart(merged.moments[name], own, RELU2) <= 1e-12
            # means over positions and probabilities are ours to take, in float32
            assert apart(merged.moments[name], own, RELU1) <= 1e-6
            assert apart(merged.moments[name], own, HEAD) <= 1e-6


def test_the_spread_of_what_is_far_from_zero_survives_the_merge(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a share of the spread itself, which a difference of sums of squares would not have."""
    merged = replayed(saved, tmp_path / "run", 4, monkeypatch).moments["true"].m2[:, RELU2]
    plain = truth()["true"].m2[:, RELU2]
    assert (plain < 1e-4 * SAMPLES * FAR**2).all()
    np.testing.assert_allclose(merged, plain, rtol=1e-12)


def test_other_partitions_into_batches_agree_up_to_rounding_of_float32(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replayed(saved, tmp_path / "whole", 1, monkeypatch)
    for batch, parts in ((7, 5), (64, 2), (300, 1)):
        run = tmp_path / f"by{batch}"
        other = replayed(saved, run, parts, monkeypatch, batch=batch)
        assert greatest(whole, other) <= 1e-6
