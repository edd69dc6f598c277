"""Samples: groupings of the user's own, several labels, none, ids."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import record
from torch import nn
from torch.utils.data import DataLoader, Dataset

import huelapse
from conftest import SmallNet, batches
from huelapse import Recorder
from huelapse.errors import GroupingError, LabelError, ProbeError

X, Y = batches(90)
WARD = torch.arange(90) // 30


def test_a_grouping_by_label_by_function_and_by_index(run_path: Path) -> None:
    model = SmallNet().eval()
    recorder = Recorder(
        model,
        run_path,
        classes=3,
        groupings={
            "superclass": (["animal", "thing"], [0, 1, 0]),
            "correct": (["wrong", "right"], lambda y, out, _: (out.argmax(1) == y).long()),
            "some": (2, [0, -1, 1]),
            "ward": (["a", "b", "c"], None),
        },
    )
    with recorder.probing() as probing:
        for part in (slice(0, 40), slice(40, 90)):
            model(X[part])
            probing.labels(Y[part], ward=WARD[part])
    recorder.close()
    run = huelapse.open(run_path)
    right = int((model(X).argmax(1) == Y).sum())
    counts = {g.name: run.moments(0, g.name).count.tolist() for g in run.split().groupings}
    assert counts["superclass"] == [60, 30]
    assert counts["correct"] == [90 - right, right]
    assert counts["some"] == [30, 30]
    assert counts["ward"] == [30, 30, 30]
    assert run.grouping("superclass").classes == ("animal", "thing")
    relu = model.relu2(model.fc(model.relu1(model.norm(model.conv(X))).flatten(1))).detach()
    for name, rows in (("superclass", Y % 2), ("ward", WARD)):
        for k in range(len(counts[name])):
            np.testing.assert_allclose(
                run.tuning(layer="relu2", grouping=name)[k], relu[rows == k].mean(0), rtol=1e-5
            )


class Patients(Dataset):
    """Samples that are dicts, with what else is known of them."""

    def __len__(self) -> int:
        return 90

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"x": X[i], "labels": int(Y[i]), "ward": int(WARD[i])}


def test_the_probes_batches_may_say_more_than_labels(run_path: Path) -> None:
    for groupings in (
        {"ward": (3, None)},
        {"ward": (3, lambda _y, _o, known: known["ward"])},
    ):
        recorder = record(run_path, probe=Patients(), groupings=groupings, exist="new")
        recorder.close()
        run = huelapse.open(recorder.run)
        assert run.moments(0, "ward").count.tolist() == [30, 30, 30]


def test_label_fn_reads_batches_of_any_form(run_path: Path) -> None:
    triples = DataLoader([(X[i], "name", int(Y[i])) for i in range(90)], 32)
    with pytest.raises(ProbeError, match="label_fn"):
        record(run_path, probe=triples)
    recorder = record(run_path, probe=triples, label_fn=lambda b: (b[0], b[2]), exist="new")
    recorder.close()
    assert huelapse.open(recorder.run).moments(0).count.tolist() == [30, 30, 30]
    with pytest.raises(ProbeError, match="expected \\(inputs, labels\\)"):
        record(run_path, probe=triples, label_fn=lambda b: b[0], exist="new")


@pytest.mark.parametrize(
    ("grouping", "says"),
    [
        ({"true": (2, None)}, "always recorded"),
        ({"g": 3}, "expected \\(class names, rule\\)"),
        ({"g": (2, [0, 1])}, "expected 3 integers"),
        ({"g": (2, [0, 1, 2])}, "0 … 2"),
        ({"g": (2, [0.5, 1, 1])}, "expected 3 integers"),
        ({"g": (2, None)}, "has no rule"),
        ({"g": (2, lambda *_: [5] * 90)}, "5 … 5"),
        ({"g": (2, lambda *_: [1])}, "expected \\(90,\\)"),
    ],
)
def test_impossible_groupings_are_refused(run_path: Path, grouping: Any, says: str) -> None:
    with pytest.raises(GroupingError, match=says):
        record(run_path, groupings=grouping)


def test_samples_to_be_ignored_count_as_predicted_alone(run_path: Path) -> None:
    model = SmallNet().eval()
    labels = Y.clone()
    labels[:10] = -100
    recorder = Recorder(model, run_path, classes=3)
    with recorder.probing() as probing:
        model(X)
        probing.labels(labels)
        model(X)
        probing.labels(None)
    recorder.close()
    run = huelapse.open(run_path)
    assert run.moments(0).count.sum() == 80
    assert run.moments(0, "predicted").count.sum() == 180
    assert run.confusion()[0].sum() == 80
    right = int((model(X).argmax(1) == Y)[10:].sum())
    assert run.accuracy()[0] == pytest.approx(right / 80)


def test_a_probe_leaves_samples_to_be_ignored_out(run_path: Path) -> None:
    labels = Y.clone()
    labels[:30] = 255
    for probe in ((X, labels), [(X[:45], labels[:45]), (X[45:], labels[45:])]):
        recorder = record(run_path, probe=probe, ignore_index=255, exist="new")
        recorder.close()
        assert huelapse.open(recorder.run).moments(0).count.tolist() == [20, 20, 20]


def test_a_sample_of_several_classes_counts_in_each(run_path: Path) -> None:
    torch.manual_seed(0)
    model = SmallNet().eval()
    labels = torch.stack([Y == 0, Y <= 1, torch.zeros(90)], 1)
    recorder = record(run_path, model, probe=(X, labels), multilabel=True)
    recorder.close()
    run = huelapse.open(run_path)
    probability = model(X).sigmoid().detach()
    assert run.moments(0).count.tolist() == [30, 60, 0]
    assert run.moments(0, "predicted").count.tolist() == (probability > 0.5).sum(0).tolist()
    np.testing.assert_allclose(
        run.tuning(layer="output")[1], probability[Y <= 1].mean(0), rtol=1e-5
    )
    variance = probability[Y <= 1].double().var(0)
    np.testing.assert_allclose(
        run.moments(0, unit=run.layer("output").slice).variance[1], variance, rtol=1e-4
    )
    with pytest.raises(huelapse.HuelapseError, match="confusion"):
        run.accuracy()
    with pytest.raises(LabelError, match="of 0 and 1"):
        record(run_path, model, probe=(X, labels * 0.5), multilabel=True, exist="new")


def test_soft_labels_are_refused_with_a_way_out(run_path: Path) -> None:
    model = SmallNet()
    recorder = Recorder(model, run_path, classes=3, window=90)
    mixed = torch.nn.functional.one_hot(Y, 3) * 0.7 + 0.1
    with pytest.raises(LabelError, match="labels=None"), recorder.window(mixed):
        model(X)
    recorder = Recorder(model, run_path, classes=3, window=90)
    with recorder.window(None):
        model(X)
    recorder.close()
    run = huelapse.open(run_path)
    assert run.moments(0, split="train").count.sum() == 0
    assert run.moments(0, "predicted", split="train").count.sum() == 90


@pytest.mark.parametrize("ids", [torch.arange(90), np.arange(90), [f"img{i}" for i in range(90)]])
def test_a_sample_with_an_id_counts_once(run_path: Path, ids: Any) -> None:
    model = SmallNet().eval()
    recorder = Recorder(model, run_path, classes=3)
    with recorder.probing() as probing:
        for part in (slice(0, 50), slice(40, 90), slice(0, 5)):
            model(X[part])
            probing.labels(Y[part], ids=ids[part])
    recorder.close()
    run = huelapse.open(run_path)
    assert run.moments(0).count.tolist() == [30, 30, 30]
    assert run.moments(0, "predicted").count.sum() == 90
    assert run.split().facts["samples"] == 90
    other = Recorder(model, run_path, classes=3, exist="new")
    with pytest.raises(LabelError, match="expected 90"), other.probing() as probing:
        model(X)
        probing.labels(Y, ids=ids[:3])


def test_averaged_weights_have_a_split_of_their_own_and_are_marked(run_path: Path) -> None:
    torch.manual_seed(0)
    model = SmallNet()
    averaged = torch.optim.swa_utils.AveragedModel(model)
    with record(run_path, model, schedule="manual") as recorder:
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1)
        averaged.update_parameters(model)
        recorder.step()
        recorder.snapshot()
        recorder.snapshot(averaged, split="ema")
        with pytest.raises(ProbeError, match="copies"):
            recorder.snapshot(averaged)
        with pytest.raises(huelapse.HuelapseError, match="no copy"):
            recorder.snapshot(nn.Linear(3, 3), split="other")
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 1]
    assert run.split("ema").facts["weights"] == "averaged"
    assert "weights" not in run.split("val").facts
    assert run.split("ema").facts["hash"] == run.split("val").facts["hash"]
    probe = batches()
    truth = averaged.module.eval()(probe[0]).softmax(1).detach()
    found = run.tuning(layer="output", split="ema")
    for k in range(3):
        np.testing.assert_allclose(found[k], truth[probe[1] == k].mean(0), rtol=1e-5)
