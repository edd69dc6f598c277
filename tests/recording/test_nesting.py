"""Models and parts of models that call themselves and each other."""

import threading
from pathlib import Path

import pytest
import torch
from recorded import Uses, X, Y, record
from torch import nn

import huelapse
from conftest import SmallNet
from huelapse import Recorder
from huelapse.errors import (
    ProbeError,
)


def test_a_function_whose_last_call_is_the_output_is_recorded_before_it(run_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.sigmoid = nn.Linear(4, 8), nn.Linear(8, 1), nn.Sigmoid()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.sigmoid(self.b(self.sigmoid(self.a(x))))

    x, y = torch.randn(60, 4), torch.arange(60) % 2
    record(run_path, Two(), probe=(x, y), classes=2, schedule=1).close()
    assert [layer.path for layer in huelapse.open(run_path).layers] == ["sigmoid#0", "output"]


def test_parts_called_on_their_own_and_models_that_call_themselves(run_path: Path) -> None:
    class Twice(Uses):
        def forward(self, x: torch.Tensor, again: bool = True) -> torch.Tensor:
            return (
                (self(x, again=False) + self(x.flip(-1), again=False)) / 2
                if again
                else super().forward(x)
            )

    model = Twice()
    record(run_path, model).close()
    assert [layer.path for layer in huelapse.open(run_path).layers] == [
        "relu#0",
        "relu#1",
        "add",
        "output",
    ]
    net = SmallNet()
    recorder = Recorder(net, run_path.with_name("parts"), classes=3)
    for _ in range(2):
        with recorder.probing() as probing:
            net.relu2(torch.randn(4, 7))
            net(X)
            net.relu1(torch.randn(4, 5, 2, 2))
            probing.labels(Y)
    recorder.close()
    assert huelapse.open(run_path.with_name("parts")).moments(1).count.sum() == 90


def test_one_evaluation_at_a_time(run_path: Path) -> None:
    model = SmallNet()
    recorder = Recorder(model, run_path, classes=3)
    with recorder.probing("a") as probing:
        with pytest.raises(ProbeError, match="another evaluation"), recorder.probing("b"):
            pass
        model(X)
        probing.labels(Y)
    recorder.close()
    assert [split.name for split in huelapse.open(run_path).splits] == ["a"]


def test_two_threads_may_step(run_path: Path) -> None:
    model = SmallNet()
    model.train()
    recorder = record(run_path, model, schedule=1)
    workers = [
        threading.Thread(target=lambda: [recorder.step() for _ in range(20)]) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(module.training for module in model.modules())
    recorder.close()
    assert huelapse.open(run_path).facts["gaps"] == []


def test_a_module_named_output_is_not_the_output(run_path: Path) -> None:
    model = SmallNet()
    model.output = nn.ReLU()
    once = model.forward
    model.forward = lambda x: once(x) + model.output(x).sum() * 0
    record(run_path, model).close()
    paths = [layer.path for layer in huelapse.open(run_path).layers]
    assert paths == ["relu1", "relu2", "output()", "output"]
