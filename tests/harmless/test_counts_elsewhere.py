"""Counts where hooks may not see: compiled models, several devices, several processes."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matrix import in_memory  # noqa: F401
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel
from truth import N, X, Y
from wrapped import processes

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.errors import HuelapseError, LayerError, ProbeError

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
            window=24,
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


def test_ranks_count_their_own_samples_into_one_run(place: Path) -> None:
    spawn(record_rank, (2, str(place)), nprocs=2)
    run = huelapse.open(place)
    truths = [json.loads(Path(f"{place}.truth{rank}").read_text()) for rank in range(2)]
    found = [run.moments(i, "true", "train").count for i in range(4)]
    assert np.array_equal(found, np.sum(truths, 0))
    assert np.sum(found) == 96
    assert [s.name for s in run.splits] == ["val", "train"]
    assert run.facts["facts"]["ranks"] == 2
    assert run.incomplete("train") == ()
