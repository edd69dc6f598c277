"""Where recording could only harm, or wait, it says so instead."""

import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from matrix import in_memory  # noqa: F401
from nets import Reader, tokens
from torch import Tensor, nn

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.capture import capturing
from huelapse.errors import LayerError, OutputError, ProbeError
from huelapse.recording import calls

X, Y = batches(48, seed=1)


@pytest.mark.filterwarnings("ignore:.*nested tensors.*:UserWarning")
@pytest.mark.parametrize("nested", [False, True])
def test_an_evaluation_on_a_fused_path_stays_there_and_is_not_recorded(
    place: Path, nested: bool
) -> None:
    """Windows have gone inside the encoder, where hooks would change the evaluation's results."""
    torch.manual_seed(0)
    model = Reader()
    if nested:
        model.encoder = nn.TransformerEncoder(model.encoder.layers[0], 2)
    ids, mask, labels = tokens(48)
    options: dict[str, Any] = {"classes": 3, "window": 24, "window_schedule": 1}
    one = Recorder(model, place, **options)
    model.train()
    for part in (slice(0, 24), slice(24, 48)):
        with one.window(labels[part]):
            model(ids[part], attention_mask=mask[part])
    model.eval()
    with torch.no_grad():
        expected = model(ids, attention_mask=mask)["logits"]
        with (
            pytest.raises(LayerError, match="set_fastpath_enabled"),
            one.probing("mine") as probing,
        ):
            found = model(ids, attention_mask=mask)["logits"]
            probing.labels(labels)
        assert torch.equal(found, expected)
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            expected = model(ids, attention_mask=mask)["logits"]
            with one.probing("mine") as probing:
                found = model(ids, attention_mask=mask)["logits"]
                probing.labels(labels)
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
        assert torch.equal(found, expected)
    one.close()
    run = huelapse.open(place)
    assert {split.name for split in run.splits} == {"train", "mine"}
    assert any(layer.path.startswith("encoder.layers.0") for layer in run.layers)


def test_a_snapshot_inside_an_evaluation_does_not_wait_for_ever(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "SECONDS", 0.2)
    model = SmallNet()
    one = Recorder(model, place, classes=3, probe=(X, Y))
    began = time.monotonic()
    with pytest.raises(ProbeError, match="end its `with` block"), one.probing("mine"):
        one.snapshot()
    assert time.monotonic() - began < 5
    one.snapshot()
    with one.probing("mine") as probing:
        model(X)
        probing.labels(Y)
    monkeypatch.undo()
    one.close()
    assert {split.name for split in huelapse.open(place).splits} == {"val", "mine"}


def test_a_fault_while_the_first_batch_is_traced_does_not_reach_the_forward(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(capturing, "select", broken)
    model = SmallNet()
    one = Recorder(model, place, classes=3, window=24)
    state = torch.get_rng_state()
    expected = model(X)
    torch.set_rng_state(state)
    model.norm.reset_running_stats()
    with pytest.warns(HuelapseWarning, match="stopped recording.*ours"), one.window(Y):
        found = model(X)
    assert torch.equal(found, expected)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    one.close()


def test_notices_do_not_reach_a_forward_whose_user_turns_warnings_into_errors(place: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 6), nn.Linear(6, 3))  # no activation
    one = Recorder(model, place, classes=3, window=24, window_schedule=1, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for part in (slice(0, 24), slice(24, 48)):
            with one.window(Y[part]):
                model(X[part])
    one.close()
    assert len(huelapse.open(place).coordinate("step", "train")) == 2


def test_a_model_that_returns_nothing_is_told_and_not_taken_for_one_that_raised(
    place: Path,
) -> None:
    class Silent(SmallNet):
        quiet = False

        def forward(self, x: Tensor) -> Any:
            output = super().forward(x)
            return None if self.quiet else output

    model = Silent()
    one = Recorder(model, place, classes=3, window=96)
    with one.window(Y):
        model(X)
    model.quiet = True
    with pytest.warns(HuelapseWarning, match="returned NoneType"):
        try:
            raise KeyError  # a forward in the middle of handling something else
        except KeyError:
            with one.window(Y):
                model(X)
    one.close()
    model = Silent()
    model.quiet = True
    two = Recorder(model, place.with_name("two"), classes=3, window=96)
    with pytest.raises(OutputError, match="returned NoneType"), two.window(Y):
        model(X)


def test_a_fault_that_is_kept_holds_nothing_of_the_training(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huelapse.capture.accumulator import Accumulator

    model = SmallNet()
    one = Recorder(model, place, classes=3, window=24, window_schedule=1)
    with one.window(Y[:24]):
        model(X[:24])
    monkeypatch.setattr(Accumulator, "fold", lambda *_: 1 / 0)

    def step() -> None:
        activation = model.conv(X[:24])  # in hand while the fault comes
        assert activation.grad_fn is not None
        with one.window(Y[:24]):
            model(X[:24])

    with pytest.warns(HuelapseWarning, match="division by zero"):
        step()
    assert one._taking.window is not None
    error = one._taking.window._forwards.error
    assert isinstance(error, ZeroDivisionError)
    assert error.__traceback__ is None
    assert "in _root_hook" in "".join(
        error.__notes__
    )  # where it came from can be read all the same
    one.close()
