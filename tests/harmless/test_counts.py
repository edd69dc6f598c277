"""Counts are the samples that were forwarded, class by class, whatever the way of training."""

import copy
import json
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matrix import in_memory  # noqa: F401
from nets import Checkpointed, Functional, Heads, Reader, Recurrent, Restless, sequences, tokens
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint
from wrapped import processes

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.errors import HuelapseError, LayerError, ProbeError

N = 24
"""Samples of a window."""

X, Y = batches(96, seed=1)
Y = Y[torch.randperm(96, generator=torch.Generator().manual_seed(0))]


class Truth:
    """A recorder, and beside it a count of its own of what was forwarded in its windows."""

    def __init__(self, place: Path, model: nn.Module, **options: Any) -> None:
        self.classes = options.get("classes", 3)
        self.size = options.setdefault("window", N)
        options = {"classes": 3, "window_schedule": 1, "strict": True} | options
        self.recorder = Recorder(model, place, **options)
        self.labels: list[Tensor] = []
        self.outputs: list[Tensor] = []

    def forward(
        self,
        call: Callable[..., Any],
        *inputs: Any,
        labels: Tensor,
        counts: bool = True,
        **known: Any,
    ) -> Any:
        """A forward in a window; counted here too, unless it is known that it is not to be."""
        with self.recorder.window(labels, **known):
            output = call(*inputs)
        if counts:
            self.note(labels, output)
        return output

    def note(self, labels: Tensor, output: Any) -> None:
        output = output["logits"] if isinstance(output, dict) else output
        self.labels.append(labels.clone())
        self.outputs.append(output.detach().float().clone())

    def train(self, call: Callable[..., Any], model: nn.Module, *parts: Tensor) -> None:
        """A plain training over (inputs …, labels) in batches of 16."""
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        for *inputs, labels in zip(*(part.split(16) for part in parts), strict=True):
            output = self.forward(call, *inputs, labels=labels)
            output = output["logits"] if isinstance(output, dict) else output
            optimizer.zero_grad()
            F.cross_entropy(output.float(), labels).backward()
            optimizer.step()
            self.recorder.step()

    def check(self, windows: int | None = None) -> huelapse.Run:
        """Every window holds exactly the samples it must, by true and by predicted class, and the
        output's mean response to each is what the forwards gave."""
        self.recorder.close()
        run = huelapse.open(self.recorder.run)
        assert run.facts["gaps"] == []
        labels, outputs = torch.cat(self.labels).numpy(), torch.cat(self.outputs)
        responses, predicted = outputs.softmax(1).double().numpy(), outputs.argmax(1).numpy()
        found = len(run.coordinate("step", "train"))
        assert found == (len(labels) // self.size if windows is None else windows)
        assert found > 0
        for i in range(found):
            own = slice(i * self.size, (i + 1) * self.size)
            for grouping, row in (("true", labels[own]), ("predicted", predicted[own])):
                moments = run.moments(i, grouping, "train")
                known = row[row >= 0]
                np.testing.assert_array_equal(moments.count, np.bincount(known, minlength=3))
                layer = run.layers[-1]
                mean = moments.mean[:, layer.offset : layer.offset + layer.units]
                for k in np.unique(known):
                    expected = responses[own][row == k].mean(0)
                    np.testing.assert_allclose(mean[k], expected, atol=1e-6)
        return run


# --- modes ---------------------------------------------------------------------------------------


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


# --- compiled models -----------------------------------------------------------------------------


def compiled(model: nn.Module) -> Any:
    torch._dynamo.reset()
    return torch.compile(model, backend="eager")


def quietly(call: Callable[[], Any]) -> Any:
    """Warnings of torch's compiler are not ours to judge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


@pytest.mark.parametrize("attached_to", ["the model", "the compiled model"])
@pytest.mark.parametrize("ran_before", [False, True])
def test_a_window_of_a_compiled_model_is_told_at_the_first_batch(
    place: Path, attached_to: str, ran_before: bool
) -> None:
    model = SmallNet()
    fast = compiled(model)
    if ran_before:
        quietly(lambda: fast(X[:16]))
    whose = model if attached_to == "the model" else fast
    recorder = Recorder(
        whose, place, classes=3, window=N, window_schedule=1, probe=batches(30), probe_budget=None
    )
    with pytest.raises(ProbeError, match="compiled"), recorder.window(Y[:16]):
        output = quietly(lambda: fast(X[:16]))
    assert output.shape == (16, 3)
    for _ in range(3):  # a training that goes on all the same is recorded by its probe
        quietly(lambda: fast(X[:16]))
        recorder.step()
    recorder.close()
    run = huelapse.open(place)
    assert [s.name for s in run.splits] == ["val"]
    assert run.moments(len(run.steps) - 1).count.tolist() == [10, 10, 10]


def test_a_model_that_is_compiled_in_place_is_told_too(place: Path) -> None:
    model = SmallNet()
    torch._dynamo.reset()
    model.compile(backend="eager")
    recorder = Recorder(model, place, classes=3, window=N, window_schedule=1)
    with pytest.raises(ProbeError, match="compiled"), recorder.window(Y[:16]):
        quietly(lambda: model(X[:16]))


def test_a_model_of_which_a_part_is_compiled_is_told_or_counted_rightly(place: Path) -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU()), nn.Linear(4, 3)
            self.fast: Any = [compiled(self.body)]

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.fast[0](x).mean((2, 3)))

    recorder = Recorder(Parts(), place, classes=3, window=N, window_schedule=1)
    told = pytest.raises(HuelapseError, match="ran when recording began, but not now")
    with told, recorder.window(Y[:16]):
        quietly(lambda: recorder._capture.model(X[:16]))


def test_a_model_that_is_compiled_in_the_middle_of_the_training_ends_the_recording(
    place: Path,
) -> None:
    model = SmallNet()
    recorder = Recorder(model, place, classes=3, window=16, window_schedule=1)
    for x, y in zip(X.split(16), Y.split(16), strict=True):
        with recorder.window(y):
            model(x)
        recorder.step()
    fast = compiled(model)
    with pytest.warns(HuelapseWarning, match="stopped recording .* at step 6.*compiled") as warned:
        for x, y in zip(X.split(16), Y.split(16), strict=True):
            with recorder.window(y):
                fast(x)
            recorder.step()
    assert len([w for w in warned if w.category is HuelapseWarning]) == 1
    recorder.close()
    run = huelapse.open(place)
    assert run.coordinate("step", "train").tolist() == list(range(6))
    assert run.facts["gaps"][0]["step"] == 6


# --- several devices, several processes ----------------------------------------------------------


def test_what_hooks_cannot_follow_is_refused_with_the_reason(place: Path) -> None:
    with pytest.raises(LayerError, match=r"DataParallel.*record model\.module"):
        Recorder(nn.DataParallel(SmallNet()), place, classes=3)
    with processes():
        sharded = SmallNet()
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        fully_shard(sharded, mesh=mesh)
        with pytest.raises(LayerError, match=r"sharded \(FSDP\).*DistributedDataParallel"):
            Recorder(sharded, place, classes=3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = FullyShardedDataParallel(SmallNet(), device_id=torch.device("cpu"))
        with pytest.raises(LayerError, match=r"sharded \(FSDP\)"):
            Recorder(whole, place, classes=3)
    assert not place.exists()


def record_rank(rank: int, ranks: int, place: str) -> None:
    """One process of a distributed training, with windows and a probe."""
    torch.set_num_threads(1)
    with processes(rank, ranks, f"{place}.meeting"):
        model = SmallNet()
        wrapped = DistributedDataParallel(model)
        recorder = Recorder(
            wrapped,
            place,
            classes=3,
            window=12,
            window_schedule=1,
            probe=batches(30),
            schedule=3,
            probe_budget=None,
            strict=True,
        )
        own = torch.arange(96) % ranks == rank
        labels = (Y[own] + rank) % 3  # each rank's own
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for x, y in zip(X[own].split(8), labels.split(8), strict=True):
            with recorder.window(y):
                output = wrapped(x)
            optimizer.zero_grad()
            F.cross_entropy(output, y).backward()
            optimizer.step()
            recorder.step()
        recorder.close()
    counts = [np.bincount(part, minlength=3).tolist() for part in labels.split(12)]
    Path(f"{place}.truth{rank}").write_text(json.dumps(counts))


def test_each_rank_counts_its_own_samples(place: Path) -> None:
    spawn(record_rank, (2, str(place)), nprocs=2)
    for rank, path in ((0, place), (1, place.with_name(f"{place.name}.rank1"))):
        run = huelapse.open(path)
        truth = json.loads(Path(f"{place}.truth{rank}").read_text())
        found = [run.moments(i, "true", "train").count.tolist() for i in range(4)]
        assert found == truth
        assert sum(sum(window) for window in found) == 48
        assert [s.name for s in run.splits] == (["val", "train"] if rank == 0 else ["train"])
        assert {k: run.facts["facts"][k] for k in ("rank", "ranks")} == {"rank": rank, "ranks": 2}
