"""The Lightning callback: what it records of a fit, and that the fit is as without it."""

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from trainings import (
    BATCH,
    CLASSES,
    OTHERS_WARNINGS,
    CallsNet,
    Module,
    by_lightning,
    convnet,
    forwarded,
    hooks_of,
    loader,
    loss_of,
    pairs,
    same,
)

import huelapse
from huelapse.errors import ProbeError, RunExistsError
from huelapse.integrations.lightning import HuelapseCallback

pytestmark = OTHERS_WARNINGS

ALL: dict[str, Any] = {"classes": CLASSES, "probe_budget": None, "strict": True}


def fit(
    place: Path, module: LightningModule | None = None, *, n: int = 4 * BATCH, **options: Any
) -> huelapse.Run:
    """One fit with the callback; options of the Trainer in `fit`."""
    trainer = {"val": loader(pairs(30, 2)), **options.pop("fit", {})}
    callback = HuelapseCallback(place / "run", **{**ALL, **options})
    module = Module(convnet()) if module is None else module
    by_lightning(module, loader(pairs(n, 1)), callback, **trainer)
    return huelapse.open(place / "run")


# --- what is recorded ------------------------------------------------------------------------------


def test_without_further_words_the_first_validation_loader_is_the_probe(tmp_path: Path) -> None:
    run = fit(tmp_path)
    assert run.status == "complete"
    assert [split.name for split in run.splits] == ["val"]
    assert run.steps[0] == 0
    assert run.steps[-1] == 4
    assert run.moments(0).count.sum() == 30
    assert all(layer.path.startswith("net.") for layer in run.layers[:-1])


def test_the_number_of_a_validation_loader_chooses_the_probe(tmp_path: Path) -> None:
    two = [loader(pairs(30, 2)), loader(pairs(12, 3))]
    assert fit(tmp_path, probe=1, fit={"val": two}).moments(0).count.sum() == 12


def test_the_first_snapshot_is_of_the_weights_the_fit_starts_from(tmp_path: Path) -> None:
    module = Module(convnet())
    before = copy.deepcopy(module)
    run = fit(tmp_path, module, fit={"num_sanity_val_steps": 2})
    with huelapse.Recorder(before, tmp_path / "before", probe=pairs(30, 2), classes=CLASSES):
        pass
    first, expected = run.moments(0).mean, huelapse.open(tmp_path / "before").moments(0).mean
    # the fit's batches are others, and so may be the last bits
    np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-7)
    assert np.abs(run.moments(len(run.steps) - 1).mean - expected).max() > 1e-3


def test_the_sanity_check_is_not_recorded_as_a_validation(tmp_path: Path) -> None:
    run = fit(tmp_path, record_validation=True, fit={"num_sanity_val_steps": 2, "max_epochs": 2})
    assert list(run.steps) == [4, 8]
    assert forwarded(run, "val") == 2 * 30
    assert run.splits[0].kind == "evaluation"


def test_each_of_several_validation_loaders_has_a_split_of_its_own(tmp_path: Path) -> None:
    two = [loader(pairs(30, 2)), loader(pairs(12, 3))]
    run = fit(tmp_path, record_validation=True, fit={"val": two, "val_check_interval": 2})
    assert [split.name for split in run.splits] == ["val.0", "val.1"]
    for split, samples in (("val.0", 30), ("val.1", 12)):
        assert list(run.coordinate("step", split)) == [2, 4]
        assert [run.moments(i, "true", split).count.sum() for i in (0, 1)] == [samples, samples]


def test_beside_a_probe_validations_are_filed_under_another_name(tmp_path: Path) -> None:
    run = fit(tmp_path, record_validation=True, probe=0, window=16, window_schedule=1)
    assert {split.name for split in run.splits} == {"val", "validation", "train"}
    assert forwarded(run, "validation") == 30
    assert forwarded(run, "train") == 4 * BATCH


def test_epochs_are_fractions_and_logged_values_are_kept(tmp_path: Path) -> None:
    run = fit(tmp_path, schedule=1, fit={"max_epochs": 2})
    assert run.coordinate("epoch")[1:].tolist() == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert run.metrics() == ["loss.train", "loss.val"]
    trained, validated = (run.coordinate(f"metric.{name}") for name in run.metrics())
    assert np.isfinite(trained[1:]).all()
    # a validation's value comes with the step after it, once
    assert np.flatnonzero(np.isfinite(validated)).tolist() == [5]


class Named(Module):
    """Batches of (images, labels, hospitals), which are no pairs."""

    def training_step(self, batch: Any, _batch_idx: int) -> Tensor:
        return loss_of(self, batch[:2])

    def validation_step(self, batch: Any, _batch_idx: int) -> None:
        loss_of(self, batch[:2])


def test_label_fn_reads_batches_of_the_probe_of_windows_and_of_validations(tmp_path: Path) -> None:
    def threes(n: int, seed: int) -> Any:
        return loader(pairs(n, seed).mapped(lambda one, i: (*one, i % 2)))

    def read(batch: Any) -> Any:
        return batch[0], batch[1], {"hospital": batch[2]}

    callback = HuelapseCallback(
        tmp_path / "run",
        label_fn=read,
        groupings={"hospital": (["north", "south"], None)},
        probe=threes(30, 2),
        record_validation=True,
        window=16,
        window_schedule=1,
        **ALL,
    )
    by_lightning(Named(convnet()), threes(32, 1), callback, val=threes(12, 3))
    run = huelapse.open(tmp_path / "run")
    for split, samples in (("val", 30), ("train", 16), ("validation", 12)):
        counts = run.moments(0, "hospital", split).count
        assert counts.tolist() == [samples // 2, samples // 2], split


class ByHand(Module):
    """Two optimizers, two forwards with gradients and one without for each batch."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.automatic_optimization = False

    def training_step(self, batch: Any, _batch_idx: int) -> None:
        with torch.no_grad():
            self(batch[0])
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(loss_of(self, batch))
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.net.parameters(), 0.01) for _ in range(2)]


def test_by_hand_each_optimizer_step_is_a_step_and_each_training_forward_counts(
    tmp_path: Path,
) -> None:
    run = fit(tmp_path, ByHand(convnet()), probe=0, window=BATCH, window_schedule=1, schedule=2)
    assert list(run.steps) == [0, 2, 4, 6, 8]
    assert forwarded(run) == 4 * 2 * BATCH


class Recomputed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.net, self.reentrant = convnet(), reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = self.net.relu1(self.net.norm(self.net.conv(x))).flatten(1).requires_grad_()
        x = checkpoint(lambda x: self.net.relu2(self.net.fc(x)), x, use_reentrant=self.reentrant)
        return self.net.head(x)


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_backward_computes_again_is_not_counted_again(
    reentrant: bool, tmp_path: Path
) -> None:
    run = fit(tmp_path, Module(Recomputed(reentrant)), window=BATCH, window_schedule=1)
    assert run.coordinate("step", "train").tolist() == [0, 1, 2, 3]
    assert forwarded(run) == 4 * BATCH
    assert run.moments(0, "true", "train").mean[:5].any()


def test_a_submodule_that_training_step_calls_itself_is_named(tmp_path: Path) -> None:
    module = CallsNet(convnet())
    run = fit(tmp_path, module, model="net", probe=pairs(30, 2), window=16, fit={"val": None})
    assert [layer.path for layer in run.layers] == ["relu1", "relu2", "output"]
    assert forwarded(run, "train") >= 16


def test_mixed_precision_is_recorded_as_it_trains(tmp_path: Path) -> None:
    run = fit(tmp_path, probe=0, window=16, window_schedule=1, fit={"precision": "bf16-mixed"})
    means = run.moments(0, "true", "train").mean[:, :5]
    assert np.isfinite(means).all()
    assert np.array_equal(means.astype(np.float32), means)


@pytest.mark.parametrize("calls", [Module, CallsNet])
def test_inside_the_wrapper_of_a_distributed_training_forwards_are_seen_as_ever(
    calls: type[Module], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"window": 16, "window_schedule": 1, "record_validation": True}
    options |= {"probe": 0, "model": "net" if calls is CallsNet else None, "schedule": 2}
    (tmp_path / "alone").mkdir(), (tmp_path / "wrapped").mkdir()
    alone = fit(tmp_path / "alone", calls(convnet()), **options)
    ddp = {"strategy": "ddp", "devices": 1, "use_distributed_sampler": False}  # same order
    wrapped = fit(tmp_path / "wrapped", calls(convnet()), fit=ddp, **options)
    for split in ("val", "validation", "train"):
        assert np.array_equal(alone.coordinate("step", split), wrapped.coordinate("step", split))
        for i in range(len(alone.coordinate("step", split))):
            a, b = (run.moments(i, "true", split) for run in (alone, wrapped))
            assert np.array_equal(a.count, b.count)
            assert np.array_equal(a.mean, b.mean)


class Silent(Module):
    """Logs nothing: Lightning's `log` cannot be compiled."""

    def log(self, *_: Any, **__: Any) -> None:
        pass


def test_of_a_compiled_module_the_probe_is_recorded_and_windows_are_refused(
    tmp_path: Path,
) -> None:
    compiled: Any = torch.compile(Silent(convnet()), backend="eager")
    assert list(fit(tmp_path, compiled, probe=0, schedule=2).steps) == [0, 2, 4]
    compiled = torch.compile(Silent(convnet()), backend="eager")
    with pytest.raises(ProbeError, match="compiled code only probes"):
        fit(tmp_path / "again", compiled, window=16)


# --- what goes wrong -------------------------------------------------------------------------------


class Explodes(Module):
    def __init__(self, net: nn.Module, error: BaseException, *, inside: bool) -> None:
        super().__init__(net)
        self.error, self.inside, self.batches = error, inside, 0

    def forward(self, *inputs: Any, **named: Any) -> Any:
        if self.inside and self.batches == 3:
            raise self.error
        return super().forward(*inputs, **named)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.batches += 1
        loss = super().training_step(batch, batch_idx)
        if self.batches == 3:
            raise self.error
        return loss


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(ZeroDivisionError("mine"), ZeroDivisionError), (KeyboardInterrupt(), SystemExit)],
)
def test_an_exception_in_a_training_step_is_the_users_and_ends_the_run_as_interrupted(
    error: BaseException, raised: type[BaseException], inside: bool, tmp_path: Path
) -> None:
    module = Explodes(convnet(), error, inside=inside)
    with pytest.raises(raised):
        fit(tmp_path, module, probe=0, schedule=1, window=BATCH, window_schedule=1)
    run = huelapse.open(tmp_path / "run")
    assert run.status == "interrupted"
    assert list(run.steps) == [0, 1, 2]
    assert not run.facts["gaps"]
    assert hooks_of(module) == 0


def test_an_exception_in_a_validation_leaves_nothing_on_the_model(tmp_path: Path) -> None:
    class Fails(Module):
        def validation_step(self, batch: Any, _batch_idx: int, dataloader_idx: int = 0) -> None:
            loss_of(self, batch)
            raise ZeroDivisionError

    module = Fails(convnet())
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, module, record_validation=True, window=16, window_schedule=1)
    assert hooks_of(module) == 0
    assert [split.name for split in huelapse.open(tmp_path / "run").splits] == ["train"]


def test_an_unknown_option_is_refused_before_there_is_a_trainer() -> None:
    with pytest.raises(TypeError, match="windows"):
        HuelapseCallback("run", classes=3, windows=True)


def test_without_a_validation_loader_it_is_said_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="0 validation dataloaders"):
        fit(tmp_path, fit={"val": None})


def test_a_module_that_does_not_call_itself_is_told_of_the_name_to_give(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="model='net'"):
        fit(tmp_path, CallsNet(convnet()), window=16)
    with pytest.raises(Exception, match="forward") as caught:
        fit(tmp_path / "probe", CallsNet(convnet()), probe=0)
    assert any("model='net'" in note for note in caught.value.__notes__)


def test_a_fast_dev_run_leaves_no_run_behind(tmp_path: Path) -> None:
    callback = HuelapseCallback(tmp_path / "run", window=16, record_validation=True, **ALL)
    data = loader(pairs(32, 1))
    by_lightning(Module(convnet()), data, callback, val=data, fast_dev_run=True)
    assert not (tmp_path / "run").exists()


# --- the fit is as without it ----------------------------------------------------------------------


def trained(place: Path, callback: Callback | None) -> dict[str, Any]:
    """Everything a fit leaves: weights, optimizer, metrics, generators, the checkpoint's content."""
    seed_everything(3)
    module = Module(convnet(dropout=0.3))
    saves = ModelCheckpoint(place, save_last=True, save_top_k=0)
    shuffled = loader(pairs(4 * BATCH, 1), shuffle=True)
    trainer = by_lightning(
        module,
        shuffled,
        callback,
        val=loader(pairs(30, 2)),
        max_epochs=3,
        num_sanity_val_steps=2,
        enable_checkpointing=True,
        also=[saves],
    )
    saved = torch.load(place / "last.ckpt", weights_only=True)
    saved.pop("callbacks")
    return {
        "weights": module.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "metrics": dict(trainer.callback_metrics),
        "hooks": hooks_of(module),
        "torch": torch.get_rng_state(),
        "numpy": pickle.dumps(np.random.get_state()),
        "saved": saved,
    }


def test_a_fit_with_the_callback_is_bit_for_bit_one_without(tmp_path: Path) -> None:
    callback = HuelapseCallback(
        tmp_path / "run",
        probe=0,
        record_validation=True,
        window=20,
        window_schedule=1,
        schedule=1,
        **ALL,
    )
    without, with_it = trained(tmp_path / "a", None), trained(tmp_path / "b", callback)
    run = huelapse.open(tmp_path / "run")
    assert len(run.steps) == 13
    assert forwarded(run, "train") == 12 * BATCH // 20 * 20
    assert forwarded(run, "validation") == 3 * 30
    for name in without:
        assert same(without[name], with_it[name]), name


def test_a_checkpoint_holds_where_the_run_is_and_nothing_of_the_recorder(tmp_path: Path) -> None:
    callback = HuelapseCallback(tmp_path / "run", window=16, **ALL)
    saves = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)
    data = loader(pairs(32, 1))
    by_lightning(Module(convnet()), data, callback, enable_checkpointing=True, also=[saves])
    # plain values alone: a recorder, or anything of huelapse, would be refused
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    run = tmp_path / "run"
    assert {"run": str(run), "id": huelapse.open(run).id} in saved["callbacks"].values()
    fresh = HuelapseCallback(tmp_path / "run", window=16, exist="new", **ALL)
    by_lightning(
        Module(convnet()),
        data,
        fresh,
        max_epochs=2,
        ckpt_path=str(tmp_path / "last.ckpt"),
        enable_checkpointing=True,
        also=[ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)],
    )
    assert fresh.run == tmp_path / "run-2"
    assert huelapse.open(fresh.run).status == "complete"


class Copies(Callback):
    """Copies and pickles whatever it can, wherever it can: also inside of a forward."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.taken += [copy.deepcopy(pl_module.net), pickled(pl_module.net)]
        self.taken += [
            copy.deepcopy(c) for c in trainer.callbacks if isinstance(c, HuelapseCallback)
        ]

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.taken += [copy.deepcopy(pl_module.net), pickled(pl_module.net)]


def pickled(net: nn.Module) -> nn.Module:
    stream = io.BytesIO()
    torch.save(net, stream)
    assert b"huelapse" not in stream.getvalue()
    stream.seek(0)
    return torch.load(stream, weights_only=False)  # our own bytes, written a line above


def test_copies_made_in_the_middle_of_a_fit_are_free_of_the_recorder(tmp_path: Path) -> None:
    copies = Copies()
    module = Module(convnet())
    run = fit(
        tmp_path, module, model="net", window=16, record_validation=True, fit={"also": [copies]}
    )
    assert forwarded(run, "val") == 30
    x = pairs(4, 5)[0][0][None]
    nets = [one for one in copies.taken if isinstance(one, nn.Module)]
    assert len(nets) > 8
    for net in nets:
        assert net(x).shape == (1, CLASSES)
    callbacks = [one for one in copies.taken if isinstance(one, HuelapseCallback)]
    assert callbacks
    assert all(one.recorder is None for one in callbacks)


# --- a training that goes on from a checkpoint -------------------------------------------------------


def saved(place: Path) -> dict[str, Any]:
    """Options of a Trainer that saves a checkpoint every second step."""
    saving = ModelCheckpoint(place / "saved", every_n_train_steps=2, save_top_k=-1)
    return {"also": [saving], "enable_checkpointing": True}


@pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:You're resuming from")
def test_a_resumed_fit_goes_on_in_its_run(tmp_path: Path) -> None:
    first = fit(tmp_path, n=4 * BATCH, schedule=1, fit=saved(tmp_path))
    assert first.steps.tolist() == [0, 1, 2, 3, 4]
    before = first.moments(3).mean
    checkpoint = next((tmp_path / "saved").glob("*step=2.ckpt"))
    again = fit(tmp_path, n=4 * BATCH, schedule=1, fit={**saved(tmp_path), "ckpt_path": checkpoint})
    assert again.id == first.id
    assert again.steps.tolist() == [0, 1, 2, 3, 4]
    assert again.coordinate("segment").tolist() == [0, 0, 1, 1, 1]
    every = huelapse.open(tmp_path / "run", superseded=True)
    assert np.array_equal(every.moments(3).mean, before)


@pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:You're resuming from")
def test_a_fit_that_is_resumed_elsewhere_begins_a_run_at_its_step(tmp_path: Path) -> None:
    fit(tmp_path, n=4 * BATCH, schedule=1, fit=saved(tmp_path))
    checkpoint = next((tmp_path / "saved").glob("*step=2.ckpt"))
    (tmp_path / "run").rename(tmp_path / "moved")
    again = fit(tmp_path, n=4 * BATCH, schedule=1, fit={**saved(tmp_path), "ckpt_path": checkpoint})
    assert again.steps.tolist() == [2, 3, 4]


@pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:You're resuming from")
def test_another_run_in_the_place_of_the_checkpoints_is_not_gone_on_with(tmp_path: Path) -> None:
    fit(tmp_path, n=4 * BATCH, fit=saved(tmp_path))
    checkpoint = next((tmp_path / "saved").glob("*step=2.ckpt"))
    (tmp_path / "run").rename(tmp_path / "moved")
    fit(tmp_path, n=4 * BATCH)
    with pytest.raises(RunExistsError):
        fit(tmp_path, n=4 * BATCH, fit={**saved(tmp_path), "ckpt_path": checkpoint})
