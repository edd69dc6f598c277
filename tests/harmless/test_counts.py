"""Counts are the samples that were forwarded, class by class, whatever the way of training."""

import copy
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matrix import in_memory  # noqa: F401
from nets import Checkpointed, Functional, Heads, Reader, Recurrent, Restless, sequences, tokens
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint
from truth import N, Truth, X, Y

import huelapse
from conftest import SmallNet, batches
from huelapse import Recorder


def test_evaluations_between_the_steps_do_not_count_in_windows(place: Path) -> None:
    model = Restless()
    truth = Truth(place, model, probe=batches(30), schedule=2, probe_budget=None)
    model.train()
    held_out, held_labels = batches(20, seed=3)
    for x, y in zip(X.split(16), Y.split(16), strict=True):
        truth.forward(model, x, labels=y)
        truth.recorder.step()
        model.eval()
        with torch.no_grad():
            model(held_out)  # nobody records this
            with truth.recorder.probing("mine") as probing:
                for part in (slice(0, 13), slice(13, 20)):
                    model(held_out[part])
                    probing.labels(held_labels[part])
        model.train()
    run = truth.check()
    for i in range(6):
        np.testing.assert_array_equal(
            run.moments(i, "true", "mine").count, np.bincount(held_labels, minlength=3)
        )
    assert {s.name: s.facts["mode"] for s in run.splits} == {
        "val": "eval",
        "mine": "eval",
        "train": "train",
    }
    assert run.moments(1, "true", "val").count.tolist() == [10, 10, 10]


def test_every_micro_batch_of_an_accumulated_step_counts(place: Path) -> None:
    model = Restless()
    truth = Truth(place, model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for i, (x, y) in enumerate(zip(X.split(8), Y.split(8), strict=True)):
        F.cross_entropy(truth.forward(model, x, labels=y), y).backward()
        if i % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()
            truth.recorder.step()
    run = truth.check()
    # a step is the optimizer's: the first window ends with the third micro-batch, before its step
    assert run.coordinate("step", "train").tolist() == [0, 1, 2, 3]


def test_every_forward_of_a_step_counts_whether_in_one_window_or_in_its_own(place: Path) -> None:
    model = Restless()
    truth = Truth(place, model)
    for x, y in zip(X.split(8), Y.split(8), strict=True):
        with truth.recorder.window(y):
            first = model(x)
            second = model(x + 0.1)
        truth.note(y, first)
        truth.note(y, second)
        truth.forward(model, x, labels=y)
        truth.recorder.step()
    truth.check()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("given_low", [False, True])
def test_under_autocast(place: Path, dtype: torch.dtype, given_low: bool) -> None:
    model = SmallNet()
    truth = Truth(place, model)

    def call(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype):
            return model(x.to(dtype) if given_low else x)

    truth.train(call, model, X, Y)
    truth.check()


def test_channels_last(place: Path) -> None:
    model = SmallNet().to(memory_format=torch.channels_last)
    truth = Truth(place, model)
    truth.train(model, model, X.to(memory_format=torch.channels_last), Y)
    truth.check()


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("way", ["inside", "whole", "inside, backward in the window"])
def test_under_checkpointing_every_sample_counts_once(
    place: Path, reentrant: bool, way: str
) -> None:
    model = SmallNet() if way == "whole" else Checkpointed(reentrant=reentrant)
    truth = Truth(place, model)

    def call(x: Tensor) -> Tensor:
        if way == "whole":
            return checkpoint(model, x.requires_grad_(), use_reentrant=reentrant)
        output = model(x)
        if way.startswith("inside,"):
            output.square().mean().backward(retain_graph=True)
        return output

    truth.train(call, model, X.clone(), Y)
    run = truth.check()
    assert run.layers[0].path == "relu1"


def test_a_batch_whose_forward_raised_does_not_count_and_recording_goes_on(place: Path) -> None:
    class Fragile(Restless):
        broken = False

        def forward(self, x: Tensor) -> Tensor:
            output = super().forward(x)
            if self.broken:
                raise ValueError("the user's own")
            return output

    model = Fragile()
    truth = Truth(place, model)
    for i, (x, y) in enumerate(zip(X.split(16), Y.split(16), strict=True)):
        model.broken = i in (0, 2, 3, 4)
        if i == 3:  # caught inside the window, and tried again there
            with truth.recorder.window(y):
                with suppress(ValueError):
                    model(x)
                model.broken = False
                output = model(x)
            truth.note(y, output)
        elif i == 4:  # caught inside the window, and given up
            with truth.recorder.window(y), suppress(ValueError):
                model(x)
        else:
            with suppress(ValueError):
                truth.forward(model, x, labels=y)
        truth.recorder.step()
    assert len(truth.labels) == 3
    truth.check(windows=2)


def test_copies_of_the_model_do_not_count(place: Path) -> None:
    model = Functional()
    average = AveragedModel(model)
    truth = Truth(place, model)
    for x, y in zip(X.split(16), Y.split(16), strict=True):
        with truth.recorder.window(y):
            average(x)
            average.module(x)
            output = model(x)
            inside = copy.deepcopy(model)
            inside(x)
        truth.note(y, output)
        average.update_parameters(model)
        truth.recorder.step()
        with truth.recorder.probing("mine") as probing:
            average(x)
            model(x)
            inside(x)
            probing.labels(y)
    run = truth.check()
    for i in range(6):
        expected = np.bincount(Y[i * 16 : i * 16 + 16], minlength=3)
        np.testing.assert_array_equal(run.moments(i, "true", "mine").count, expected)


@pytest.mark.parametrize("without", [torch.inference_mode, torch.no_grad, nullcontext])
def test_an_evaluation_counts_whatever_it_does_without(place: Path, without: Any) -> None:
    model = Functional().eval()
    recorder = Recorder(model, place, classes=3, strict=True)
    for _ in range(2):
        with recorder.probing() as probing, without():
            for x, y in zip(X.split(20), Y.split(20), strict=True):
                output = model(x)
                probing.labels(y)
                assert output.is_inference() == (without is torch.inference_mode)
        recorder.step()
    recorder.close()
    run = huelapse.open(place)
    for i in range(2):
        np.testing.assert_array_equal(run.moments(i).count, np.bincount(Y, minlength=3))


@pytest.mark.parametrize("size", [7, 16, 24])
def test_batches_that_straddle_two_windows_and_a_short_last_one(place: Path, size: int) -> None:
    model = Restless()
    truth = Truth(place, model, window=24)
    for _ in range(2):  # epochs of 90 samples: the last batch is short
        for x, y in zip(X[:90].split(size), Y[:90].split(size), strict=True):
            truth.forward(model, x, labels=y)
            truth.recorder.step()
    truth.check(windows=7)


def test_every_third_batch(place: Path) -> None:
    model = Restless()
    truth = Truth(place, model, window_every=3)
    for i, (x, y) in enumerate(zip(X.split(8), Y.split(8), strict=True)):
        truth.forward(model, x, labels=y, counts=i % 3 == 0)
        truth.recorder.step()
    truth.check(windows=1)


def test_windows_that_open_on_a_schedule_hold_what_came_from_then_on(place: Path) -> None:
    model = Restless()
    truth = Truth(place, model, window_schedule=4, window=16)
    for i, (x, y) in enumerate(zip(X.split(8), Y.split(8), strict=True)):
        # the first is open from the start; then one at every fourth step
        truth.forward(model, x, labels=y, counts=i in (0, 1, 4, 5, 8, 9))
        truth.recorder.step()
    run = truth.check(windows=3)
    assert run.coordinate("step", "train").tolist() == [1, 5, 9]


def test_a_window_whose_first_forward_raised_is_not_lost(place: Path) -> None:
    model = SmallNet()
    truth = Truth(place, model, window_schedule=[100], window=16)

    def broken(*_: Any) -> None:
        raise ValueError

    for i, (x, y) in enumerate(zip(X.split(8), Y.split(8), strict=True)):
        handle = model.head.register_forward_hook(broken) if i < 2 else None
        with suppress(ValueError):
            truth.forward(model, x, labels=y, counts=i in (2, 3))
        if handle is not None:
            handle.remove()
    del truth.labels[2:], truth.outputs[2:]
    truth.check(windows=1)


def test_a_sample_that_comes_again_under_its_id_counts_once(place: Path) -> None:
    model = Restless()
    recorder = Recorder(model, place, classes=3, window=48, window_schedule=1, strict=True)
    seen: list[int] = []
    labels: list[int] = []
    for start in range(0, 96, 16):
        ids = torch.randint(0, 40, (16,), generator=torch.Generator().manual_seed(start))
        with recorder.window(Y[ids], ids=ids):
            model(X[ids])
        if start == 48:  # another window
            seen.clear()
            labels.clear()
        for one in ids.tolist():
            if one not in seen:
                seen.append(one)
                labels.append(int(Y[one]))
        recorder.step()
    recorder.close()
    counted = huelapse.open(place).moments(1, "true", "train").count
    np.testing.assert_array_equal(counted, np.bincount(labels, minlength=3))
    assert counted.sum() < 48


def test_labels_that_are_ignored_and_samples_without_count_as_predicted_alone(place: Path) -> None:
    model = Restless()
    truth = Truth(place, model, ignore_index=-1)
    labels = torch.where(torch.arange(96) % 5 == 0, -1, Y)
    for i, (x, y) in enumerate(zip(X.split(8), labels.split(8), strict=True)):
        with truth.recorder.window(None if i % 3 == 0 else y):
            output = model(x)
        truth.note(torch.full_like(y, -1) if i % 3 == 0 else y, output)
        truth.recorder.step()
    truth.check()


def test_a_sample_of_several_classes_counts_in_each(place: Path) -> None:
    model = Heads()
    recorder = Recorder(
        model, place, classes=3, window=N, window_schedule=1, strict=True, multilabel=True
    )
    labels = torch.stack([Y != 1, Y != 2, torch.arange(96) % 7 == 0], 1)
    for x, y in zip(X.split(16), labels.split(16), strict=True):
        with recorder.window(y):
            model(x)
        recorder.step()
    recorder.close()
    run = huelapse.open(place)
    for i in range(4):
        own = labels[i * N : i * N + N].sum(0).numpy()
        np.testing.assert_array_equal(run.moments(i, "true", "train").count, own)


@pytest.mark.parametrize("kind", ["LSTM", "tokens"])
def test_networks_of_tokens(place: Path, kind: str) -> None:
    torch.manual_seed(0)
    if kind == "LSTM":
        model, data = Recurrent(), sequences(96)
        call: Any = model
    else:
        model, data = Reader(), tokens(96)

        def call(tokens: Tensor, mask: Tensor) -> Any:
            return model(tokens, attention_mask=mask)

    truth = Truth(place, model)
    truth.train(call, model, *data)
    truth.check()


def test_a_step_inside_the_window_and_its_probe_count_apart(place: Path) -> None:
    model = Restless()
    truth = Truth(place, model, probe=batches(30), schedule=1, probe_budget=None)
    other = Recorder(model, place.with_name("other"), classes=3, probe=batches(27), schedule=1)
    for x, y in zip(X.split(16), Y.split(16), strict=True):
        with truth.recorder.window(y):
            output = model(x)
            truth.recorder.step()
            other.step()  # the probe of another recorder is no forward of the training either
            other.snapshot()
        truth.note(y, output)
    other.close()
    run = truth.check()
    assert [run.moments(i, "true", "val").count.sum() for i in range(7)] == [30] * 7
    assert huelapse.open(other.run).moments(1, "true", "val").count.sum() == 27
