"""A recorder that is broken in any one way is noticed, by the comparison that finds ours harmless."""

import copy
import io
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from matrix import differences, in_memory, without  # noqa: F401
from nets import Restless
from saboteurs import BREAKAGES, SABOTEURS, restored, rich  # noqa: F401

import huelapse
from conftest import SmallNet, batches


def test_this_training_is_not_changed(place: Path) -> None:
    assert differences(rich, "all", place) == []


def noticed(found: list[str], part: str) -> bool:
    return any(name.startswith(part) for name in found)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("name", SABOTEURS)
def test_a_recorder_is_noticed_that(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(rich)  # while nothing is broken
    (owner, method, act), seen_in = SABOTEURS[name]
    original = getattr(owner, method)

    def broken(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        act(*args, **kwargs)
        return result

    monkeypatch.setattr(owner, method, broken)
    found = differences(rich, "all", place)
    monkeypatch.undo()
    assert found and noticed(found, seen_in), found


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_recorder_broken_in_this_way_is_noticed(
    breakage: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(rich)
    where, name, broken, seen_in = BREAKAGES[breakage]
    monkeypatch.setattr(sys.modules[where] if isinstance(where, str) else where, name, broken)
    found = differences(rich, "all", place)
    monkeypatch.undo()
    assert found and noticed(found, seen_in), found


def test_hooks_are_on_the_model_only_while_a_probe_runs(place: Path) -> None:
    model = SmallNet()
    recorder = huelapse.Recorder(model, place, probe=batches(), classes=3)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    copied = copy.deepcopy(model)
    stream = io.BytesIO()
    torch.save(model, stream)  # the whole module: would pickle hooks, had it any
    stream.seek(0)
    loaded = torch.load(stream, weights_only=False)  # our own bytes, written a line above
    x = batches(4)[0]
    model.eval(), copied.eval(), loaded.eval()
    assert torch.equal(copied(x), model(x))
    assert torch.equal(loaded(x), model(x))
    recorder.close()


def test_an_error_in_the_users_forward_leaves_the_model_as_it_was(place: Path) -> None:
    model = SmallNet()
    model.train()
    recorder = huelapse.Recorder(
        model, place, probe=batches(), classes=3, schedule=1, probe_budget=None
    )

    def explode(*_: Any) -> None:
        raise KeyboardInterrupt

    handle = model.fc.register_forward_hook(explode)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        recorder.step()
    handle.remove()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(m.training for m in model.modules())
    assert all(not m._forward_hooks for m in model.modules())
    recorder.close()


def test_a_keyboard_interrupt_in_a_window_leaves_no_hook_and_no_mode(place: Path) -> None:
    model = Restless()
    recorder = huelapse.Recorder(model, place, classes=3, window=24, window_schedule=1)
    inputs, labels = batches(12)
    with recorder.window(labels):
        model(inputs)

    def explode(*_: Any) -> None:
        raise KeyboardInterrupt

    handle = model.fc.register_forward_hook(explode)
    with suppress(KeyboardInterrupt), recorder.window(labels):
        model(inputs)
    handle.remove()
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert torch._C._len_torch_function_stack() == 0
    with recorder.window(labels):
        model(inputs)
    recorder.close()
    assert huelapse.open(place).moments(0, "true", "train").count.sum() == 24
