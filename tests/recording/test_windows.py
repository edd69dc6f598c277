"""Windows: what the training itself saw, closed at an equal number of samples."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import X, Y
from torch import nn

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.errors import LabelError, ScheduleError
from huelapse.moments import Moments

INPUTS, LABELS = batches(640, seed=5)


def plain(seed: int = 0) -> SmallNet:
    torch.manual_seed(seed)
    return SmallNet()


def train(
    run: Path, *, batch: int = 32, steps: int = 20, model: nn.Module | None = None, **options: Any
) -> tuple[Recorder, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """A training with windows; and, seen by hooks of the test's own, what each forward gave."""
    model = model or plain()
    seen: list[dict[str, torch.Tensor]] = [{}]
    own = [
        model.relu1.register_forward_hook(lambda _m, _i, o: seen[-1].update(a=o.detach().clone())),
        model.relu2.register_forward_hook(lambda _m, _i, o: seen[-1].update(b=o.detach().clone())),
    ]
    options = {"classes": 3, "window": 100, "window_schedule": 1, "strict": True} | options
    recorder = Recorder(model, run, **options)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    taken = []
    for step in range(steps):
        part = slice(step * batch % 640, step * batch % 640 + batch)
        seen.append({})
        with recorder.window(LABELS[part]):
            logits = model(INPUTS[part])
        responses = torch.cat(
            [seen[-1]["a"].mean((2, 3)), seen[-1]["b"], logits.detach().softmax(1)], 1
        )
        taken.append((responses.double().numpy(), LABELS[part].numpy(), logits.argmax(1).numpy()))
        loss = nn.functional.cross_entropy(logits, LABELS[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    for handle in own:
        handle.remove()
    return recorder, taken


def test_windows_hold_exactly_the_training_samples_one_after_another(run_path: Path) -> None:
    recorder, taken = train(run_path)
    recorder.close()
    run = huelapse.open(run_path)
    responses, true, predicted = (np.concatenate(parts) for parts in zip(*taken, strict=True))
    steps = run.coordinate("step", "train")
    assert len(steps) == 640 // 100  # the last 40 samples fill no window
    assert run.split("train").kind == "window"
    assert run.split("train").facts["mode"] == "train"
    for t in range(len(steps)):
        part = slice(100 * t, 100 * t + 100)
        assert steps[t] == (100 * t + 99) // 32  # steps made when its last sample came
        for grouping, labels in (("true", true), ("predicted", predicted)):
            found = run.moments(t, grouping, "train")
            truth = Moments.from_samples(responses[part], labels[part].astype(np.int64), 3)
            np.testing.assert_array_equal(found.count, truth.count)
            np.testing.assert_array_equal(found.active, truth.active)
            np.testing.assert_allclose(found.mean, truth.mean, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(found.m2, truth.m2, rtol=1e-5, atol=1e-6)
        assert run.confusion("train")[t].sum() == 100
    np.testing.assert_array_equal(
        run.confusion("train")[0],
        np.bincount(3 * true[:100] + predicted[:100], minlength=9).reshape(3, 3),
    )


def test_by_default_windows_open_often_at_first_and_then_seldom(run_path: Path) -> None:
    recorder, _ = train(run_path, steps=200, window=64, window_schedule=None)
    recorder.close()
    run = huelapse.open(run_path)
    steps = run.coordinate("step", "train")
    assert 10 < len(steps) < 40
    assert (np.diff(steps)[-3:] > 3 * np.diff(steps)[:3]).all()
    assert {int(run.moments(t, split="train").count.sum()) for t in range(len(steps))} == {64}


def test_every_nth_batch_alone_is_recorded_where_that_is_wanted(run_path: Path) -> None:
    recorder, taken = train(run_path, window=64, window_every=4)
    recorder.close()
    run = huelapse.open(run_path)
    found = run.moments(0, split="train")
    truth = np.bincount(np.concatenate([taken[0][1], taken[4][1]]), minlength=3)
    np.testing.assert_array_equal(found.count, truth)
    assert len(run.coordinate("step", "train")) == 2  # batches 0, 4, 8, 12, 16 in pairs


def test_windows_and_a_probe_share_a_run(run_path: Path) -> None:
    recorder, _ = train(run_path, probe=batches(), schedule=5, probe_budget=None)
    recorder.close()
    run = huelapse.open(run_path)
    assert {split.name: split.kind for split in run.splits} == {"val": "probe", "train": "window"}
    assert run.coordinate("step", "val").tolist() == [0, 5, 10, 15, 20]
    assert run.moments(2, split="val").count.tolist() == [30, 30, 30]


def test_a_probe_taken_inside_a_windows_block_counts_in_the_probe_alone(run_path: Path) -> None:
    model = plain()
    with Recorder(
        model, run_path, classes=3, window=90, window_schedule=1, probe=batches(), schedule=1,
        probe_budget=None, strict=True,
    ) as recorder:  # fmt: skip
        for _ in range(2):
            with recorder.window(LABELS[:45]):
                model(INPUTS[:45])
                recorder.step()
    run = huelapse.open(run_path)
    assert run.moments(0, split="train").count.sum() == 90
    assert [int(run.moments(t).count.sum()) for t in range(3)] == [90, 90, 90]


def test_hooks_are_on_the_model_only_inside_the_block(run_path: Path) -> None:
    model = plain()
    recorder = Recorder(model, run_path, classes=3, window=64)

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    assert hooks() == 0
    with recorder.window(LABELS[:32]):
        assert hooks() > 0
        model(INPUTS[:32])
    assert hooks() == 0
    with pytest.raises(KeyboardInterrupt), recorder.window(LABELS[:32]):
        raise KeyboardInterrupt
    assert hooks() == 0
    recorder.close()


def test_bad_labels_raise_at_the_first_batch_and_end_recording_later(run_path: Path) -> None:
    model = plain()
    recorder = Recorder(model, run_path, classes=3, window=64, probe=batches())
    with pytest.raises(LabelError, match="outside 0 … 2"), recorder.window(LABELS[:32] + 1):
        model(INPUTS[:32])
    recorder.close()

    recorder = Recorder(model, run_path, classes=3, window=64, exist="new")
    for labels in (LABELS[:32], LABELS[:32] + 1, LABELS[:32]):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with recorder.window(labels):
                model(INPUTS[:32])
            recorder.step()
        wrong = labels.max() > 2
        assert [w.category for w in said] == ([HuelapseWarning] if wrong else [])
    recorder.close()


def test_the_users_own_exception_passes_through_and_recording_goes_on(run_path: Path) -> None:
    model = plain()
    recorder = Recorder(model, run_path, classes=3, window=64, window_schedule=1, strict=True)
    with recorder.window(LABELS[:32]):
        model(INPUTS[:32])
    with pytest.raises(ValueError, match="mine"), recorder.window(LABELS[:32]):
        raise ValueError("mine")
    with pytest.raises(RuntimeError), recorder.window(LABELS[:32]):
        model(torch.zeros(32, 99, 6, 6))  # fails in the middle of the forward
    with recorder.window(LABELS[:32]):
        model(INPUTS[:32])
    recorder.close()
    assert huelapse.open(run_path).moments(0, split="train").count.sum() == 64


def test_a_block_without_a_forward_is_told(run_path: Path) -> None:
    recorder = Recorder(plain(), run_path, classes=3, window=64)
    with pytest.raises(huelapse.HuelapseError, match="did not run"), recorder.window(LABELS[:32]):
        pass


def test_several_forwards_in_a_block_count_each(run_path: Path) -> None:
    model = plain()
    recorder = Recorder(model, run_path, classes=3, window=128, window_schedule=1, strict=True)
    for _ in range(2):
        with recorder.window(LABELS[:32]):
            model(INPUTS[:32])
            model(INPUTS[:32] + 0.1)
    recorder.close()
    assert huelapse.open(run_path).moments(0, split="train").count.sum() == 128


def test_a_training_shorter_than_one_window_is_kept_as_it_is(run_path: Path) -> None:
    recorder, _ = train(run_path, steps=2, window=1000)
    recorder.close()
    assert huelapse.open(run_path).moments(0, split="train").count.sum() == 64


def test_impossible_windows_are_refused(run_path: Path) -> None:
    model = plain()
    recorder = Recorder(model, run_path, classes=3)
    with pytest.raises(ScheduleError, match="window=2000"):
        recorder.window(LABELS)
    recorder = Recorder(model, run_path, classes=3, window=16)
    with pytest.raises(ScheduleError, match="smaller than a batch"), recorder.window(LABELS[:32]):
        model(INPUTS[:32])
    for options in ({"window_every": 0}, {"window": -5}):
        with pytest.raises(ScheduleError):
            Recorder(model, run_path, classes=3, **options)


def test_a_compiled_model_in_a_window_is_told_and_not_recorded_wrongly(run_path: Path) -> None:
    model = plain()
    recorder = Recorder(model, run_path, classes=3, window=64)
    compiled = torch.compile(model, backend="eager")
    with pytest.raises(huelapse.HuelapseError, match="compiled"), recorder.window(LABELS[:32]):
        compiled(INPUTS[:32])
    recorder.close()
    # and its hooks have not been compiled in: called again, nothing of ours runs
    assert torch.equal(compiled.eval()(X), model.eval()(X))
    assert len(Y) == len(X)
