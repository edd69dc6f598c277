"""Events and noise floors as the page gets them, against what Python says."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from torch import nn

import huelapse
from conftest import SmallNet, batches
from huelapse.errors import SelectionError
from huelapse.events import KINDS
from huelapse.viewer.happened import NO_UNIT, PERMUTATIONS, UNITS
from huelapse.viewer.resources import Resources


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[huelapse.Run]:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("happened") / "run"
    model, (x, y) = SmallNet(), batches(300)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with huelapse.Recorder(
        model, path, probe=(x, y), classes=3, schedule=1, probe_budget=None
    ) as recorder:
        for _ in range(20):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step()
    return huelapse.open(path)


def get(run: huelapse.Run, path: str) -> dict[str, np.ndarray]:
    return load(Resources(run).get(path)[0])


def test_events_are_those_of_the_run(run: huelapse.Run) -> None:
    found, events = get(run, "val/true/margin/events.st"), run.events()
    assert len(events) == len(found["snapshot"]) > 0
    for i, event in enumerate(events):
        layer = run.layers[found["layer"][i]]
        assert run.steps[found["snapshot"][i]] == event.step
        assert KINDS[found["kind"][i]] == event.kind
        assert layer.path == event.layer
        alone = found["unit"][i] == NO_UNIT
        assert (None if alone else found["unit"][i] - layer.offset) == event.unit
        assert (run.classes[found["after"][i]] if event.after else None) == event.after
        assert found["level"][i] / 100 == event.strength
    assert found["expected"][KINDS.index("switched")] == events.expected_false["switched"]
    assert np.isnan(found["expected"][KINDS.index("died")])


def test_a_floor_is_that_of_permuted_labels(run: huelapse.Run) -> None:
    found = get(run, "val/true/margin/floor/20.st")["floor"]
    floors = run.noise_floor(20, permutations=PERMUTATIONS, units=UNITS)
    np.testing.assert_allclose(found, list(floors.values()), rtol=1e-6)
    assert "floor" in Resources(run).manifest()["splits"][0]["resources"]


def test_what_a_later_state_reads_goes_on_from_an_earlier_one(run: huelapse.Run) -> None:
    first = Resources(run)
    before = first.get("val/true/margin/events.st")[0]
    assert Resources(run, first).get("val/true/margin/events.st")[0] == before


@pytest.mark.parametrize(
    "path",
    ["val/true/nothing/events.st", "val/nothing/margin/events.st", "nothing/true/margin/events.st",
     "val/true/margin/floor/21.st", "val/true/margin/floor/x.st", "val/predicted/margin/floor/1.st"],
)  # fmt: skip
def test_what_there_is_not_is_not_found(run: huelapse.Run, path: str) -> None:
    with pytest.raises(SelectionError):
        Resources(run).get(path)
