"""The Trainer's callback: what it records of a training, and that the training is as without it."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import (
    BATCH,
    CLASSES,
    OTHERS_WARNINGS,
    bert,
    by_transformers,
    forwarded,
    hooks_of,
    images,
    loader,
    padded,
    same,
    texts,
    vit,
)
from transformers import TrainerCallback, set_seed

import huelapse
from huelapse import HuelapseWarning
from huelapse.errors import ProbeError
from huelapse.integrations.transformers import HuelapseTrainerCallback

pytestmark = OTHERS_WARNINGS

ALL: dict[str, Any] = {"classes": CLASSES, "probe_budget": None, "strict": True}
WINDOWS: dict[str, Any] = {"window": BATCH, "window_schedule": 1}


def train(
    place: Path, model: nn.Module | None = None, *, n: int = 4 * BATCH, **options: Any
) -> huelapse.Run:
    """One training of the text classifier; options of the Trainer in `trainer`."""
    trainer = {"evaluated": texts(30, 2), "collate": padded, **options.pop("trainer", {})}
    callback = HuelapseTrainerCallback(place / "run", **{**ALL, **options})
    model = bert() if model is None else model
    by_transformers(place / "out", model, texts(n, 1), callback, **trainer)
    assert hooks_of(model) == 0
    return huelapse.open(place / "run")


# --- what is recorded ------------------------------------------------------------------------------


def test_a_dataset_is_a_probe_put_together_as_the_trainer_does_it(tmp_path: Path) -> None:
    # sentences of different lengths, with a column of text that the model does not take
    run = train(tmp_path, probe=texts(30, 2), schedule=2)
    assert run.status == "complete"
    assert list(run.steps) == [0, 2, 4]
    assert run.moments(0).count.sum() == 30


def test_columns_named_as_groupings_reach_the_probe_though_the_model_does_not_take_them(
    tmp_path: Path,
) -> None:
    probe = texts(30, 2).mapped(lambda one, i: {**one, "hospital": i % 3})
    run = train(tmp_path, probe=probe, groupings={"hospital": (["a", "b", "c"], None)})
    assert run.moments(0, "hospital").count.tolist() == [10, 10, 10]


def test_tokens_that_are_padding_do_not_count(tmp_path: Path) -> None:
    def longer(samples: list[Any]) -> dict[str, torch.Tensor]:
        batch = padded(samples)
        pad = nn.functional.pad
        return {k: v if k == "labels" else pad(v, (0, 4)) for k, v in batch.items()}

    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    a = train(tmp_path / "a", probe=texts(30, 2), **WINDOWS)
    b = train(tmp_path / "b", probe=texts(30, 2), **WINDOWS, trainer={"collate": longer})
    for split in ("val", "train"):
        one, other = (run.moments(0, "true", split).mean for run in (a, b))
        # sums over more keys in another order
        assert np.abs(one - other).max() <= 1e-6 * np.sqrt(np.mean(one**2))


def test_epochs_are_fractions_and_logged_values_are_kept(tmp_path: Path) -> None:
    options = {"logging_strategy": "steps", "logging_steps": 1, "num_train_epochs": 2}
    run = train(tmp_path, probe=texts(30, 2), schedule=1, trainer=options)
    assert run.coordinate("epoch")[1:].tolist() == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert {"loss", "learning_rate"} <= set(run.metrics())
    assert np.isfinite(run.coordinate("metric.loss")[2:]).all()


def test_each_of_several_evaluations_at_a_step_has_a_split_of_its_own(tmp_path: Path) -> None:
    two = {"near": texts(30, 2), "far": texts(12, 3)}
    evaluations = {"evaluated": two, "eval_strategy": "steps", "eval_steps": 2}
    run = train(tmp_path, record_validation=True, trainer=evaluations)
    assert [split.name for split in run.splits] == ["val", "val.1"]
    for split, samples in (("val", 30), ("val.1", 12)):
        assert list(run.coordinate("step", split)) == [2, 4]
        assert forwarded(run, split) == 2 * samples


def test_probe_windows_and_evaluations_keep_out_of_each_others_way(tmp_path: Path) -> None:
    callback = HuelapseTrainerCallback(
        tmp_path / "run", probe=texts(30, 2), record_validation=True, schedule=2, **WINDOWS, **ALL
    )

    class Asks(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            assert callback.recorder is not None
            callback.recorder.snapshot()

    by_transformers(
        tmp_path / "out",
        bert(),
        texts(4 * BATCH, 1),
        callback,
        collate=padded,
        evaluated=texts(12, 3),
        also=[Asks()],
        eval_strategy="steps",
        eval_steps=2,
        eval_on_start=True,
    )
    run = huelapse.open(tmp_path / "run")
    assert not run.facts["gaps"]
    assert list(run.steps) == [0, 0, 1, 2, 2, 3, 4]  # asked before each step, due after 2 and 4
    assert list(run.coordinate("step", "validation")) == [0, 2, 4]
    assert forwarded(run, "validation") == 3 * 12
    assert forwarded(run, "train") == 4 * BATCH


def test_a_prediction_is_not_recorded_as_an_evaluation(tmp_path: Path) -> None:
    class Predicts(TrainerCallback):
        trainer: Any = None

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 1:
                self.trainer.predict(texts(20, 4))

    predicts = Predicts()
    callback = HuelapseTrainerCallback(tmp_path / "run", record_validation=True, **ALL)
    by_transformers(
        tmp_path / "out",
        bert(),
        texts(4 * BATCH, 1),
        callback,
        collate=padded,
        evaluated=texts(12, 3),
        also=[predicts],
        prepared=lambda trainer: setattr(predicts, "trainer", trainer),
        eval_strategy="epoch",
    )
    run = huelapse.open(tmp_path / "run")
    assert list(run.steps) == [4]
    assert forwarded(run, "val") == 12


def test_in_bfloat16_the_model_is_recorded_as_it_trains(tmp_path: Path) -> None:
    run = train(tmp_path, probe=texts(30, 2), **WINDOWS, trainer={"bf16": True})
    assert forwarded(run, "train") == 4 * BATCH
    means = run.moments(0, "true", "val").mean
    assert np.isfinite(means).all()
    (tmp_path / "full").mkdir()
    full = train(tmp_path / "full", probe=texts(30, 2)).moments(0, "true", "val").mean
    assert not np.array_equal(means, full)
    assert np.abs(means - full).max() < 0.02


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_backward_computes_again_is_not_counted_again(
    reentrant: bool, tmp_path: Path
) -> None:
    again = {
        "activation_checkpointing": True,
        "activation_checkpointing_kwargs": {"use_reentrant": reentrant},
    }
    run = train(tmp_path, **WINDOWS, trainer=again)
    assert run.coordinate("step", "train").tolist() == [0, 1, 2, 3]
    assert forwarded(run, "train") == 4 * BATCH


def test_images_need_no_collator(tmp_path: Path) -> None:
    callback = HuelapseTrainerCallback(tmp_path / "run", probe=images(30, 2), **WINDOWS, **ALL)
    by_transformers(tmp_path / "out", vit(), images(4 * BATCH, 1), callback)
    run = huelapse.open(tmp_path / "run")
    assert run.moments(0).count.sum() == 30
    assert forwarded(run, "train") == 4 * BATCH


def test_a_probe_may_be_a_loader_of_ones_own(tmp_path: Path) -> None:
    run = train(tmp_path, probe=loader(texts(30, 2), padded))
    assert run.moments(0).count.sum() == 30


def test_labels_that_the_trainer_keeps_from_the_model_are_told_of(tmp_path: Path) -> None:
    smoothed = {"label_smoothing_factor": 0.1}
    with pytest.warns(HuelapseWarning, match="predicted class alone") as warned:
        run = train(tmp_path, probe=texts(30, 2), **WINDOWS, trainer=smoothed)
    assert len([one for one in warned if issubclass(one.category, HuelapseWarning)]) == 1
    assert forwarded(run, "train") == 0
    assert run.moments(0, "predicted", "train").count.sum() == BATCH
    assert run.moments(0, "true", "val").count.sum() == 30


def test_after_the_best_model_is_loaded_nothing_is_recorded_of_it(tmp_path: Path) -> None:
    class FirstIsBest(TrainerCallback):
        """An evaluation's loss that grows."""

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
            metrics["eval_growing"] = state.global_step

    best = {
        "load_best_model_at_end": True,
        "metric_for_best_model": "growing",
        "greater_is_better": False,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "also": [FirstIsBest()],
    }
    model = bert()
    run = train(tmp_path, model, probe=texts(30, 2), schedule=[1, 3], trainer=best)
    assert run.status == "complete"
    assert list(run.steps) == [0, 1, 3]  # none of step 4, whose weights are gone


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_of_a_compiled_model_the_probe_is_recorded_and_windows_are_refused(tmp_path: Path) -> None:
    compiled = {"torch_compile": True, "torch_compile_backend": "eager"}
    run = train(tmp_path, bert(blocks=1), probe=texts(30, 2), schedule=2, trainer=compiled)
    assert list(run.steps) == [0, 2, 4]
    with pytest.raises(ProbeError, match="compiled code"):
        train(tmp_path / "windows", bert(blocks=1), **WINDOWS, trainer=compiled)


# --- what goes wrong -------------------------------------------------------------------------------


def test_with_nothing_to_record_it_is_said_what_to_ask_for() -> None:
    with pytest.raises(ProbeError, match="probe=eval_dataset"):
        HuelapseTrainerCallback("run", classes=3)
    with pytest.raises(TypeError, match="windows"):
        HuelapseTrainerCallback("run", classes=3, windows=True)


@pytest.mark.parametrize("inside", [False, True])
def test_an_exception_is_the_users_and_a_training_begun_anew_has_a_run_of_its_own(
    inside: bool, tmp_path: Path
) -> None:
    model = bert()
    batches: list[Any] = []

    def explode(*_: Any) -> None:
        if len(batches) == 3:
            raise ZeroDivisionError("mine")

    handles = [
        model.register_forward_pre_hook(lambda *_: batches.append(None)),
        (model.classifier if inside else model).register_forward_hook(explode),
    ]
    callback = HuelapseTrainerCallback(tmp_path / "run", **WINDOWS, **ALL)
    options: dict[str, Any] = {"collate": padded}
    with pytest.raises(ZeroDivisionError, match="mine"):
        by_transformers(tmp_path / "out", model, texts(4 * BATCH, 1), callback, **options)
    for handle in handles:
        handle.remove()
    by_transformers(tmp_path / "out", model, texts(4 * BATCH, 1), callback, **options)
    assert hooks_of(model) == 0
    assert callback.run == tmp_path / "run-2"
    first, second = huelapse.open(tmp_path / "run"), huelapse.open(callback.run)
    assert (first.status, second.status) == ("interrupted", "complete")
    assert not first.facts["gaps"]
    assert forwarded(first, "train") == (2 if inside else 3) * BATCH  # forwards that ended
    assert forwarded(second, "train") == 4 * BATCH


# --- the training is as without it -----------------------------------------------------------------


def trained(place: Path, callback: TrainerCallback | None) -> dict[str, Any]:
    """Everything a training leaves: weights, optimizer, history, generators, files."""
    set_seed(3)
    model = bert(dropout=0.3)
    trainer = by_transformers(
        place,
        model,
        texts(4 * BATCH, 1),
        callback,
        collate=padded,
        evaluated=texts(30, 2),
        num_train_epochs=3,
        train_sampling_strategy="random",
        gradient_accumulation_steps=2,
        optim="adamw_torch",
        max_grad_norm=1.0,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="steps",
        logging_steps=1,
    )
    times = ("runtime", "per_second")
    history = [
        {k: v for k, v in line.items() if not any(t in k for t in times)}
        for line in trainer.state.log_history
    ]
    return {
        "weights": model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "history": history,
        "torch": torch.get_rng_state(),
        "numpy": pickle.dumps(np.random.get_state()),
        "files": sorted(p.relative_to(place) for p in place.rglob("*") if p.is_file()),
    }


def test_a_training_with_the_callback_is_bit_for_bit_one_without(tmp_path: Path) -> None:
    callback = HuelapseTrainerCallback(
        tmp_path / "run",
        probe=texts(30, 2),
        record_validation=True,
        window=20,
        window_schedule=1,
        schedule=1,
        **ALL,
    )
    without, with_it = trained(tmp_path / "a", None), trained(tmp_path / "b", callback)
    run = huelapse.open(tmp_path / "run")
    assert len(run.steps) == 7
    assert forwarded(run, "train") == 12 * BATCH // 20 * 20
    assert forwarded(run, "validation") == 3 * 30
    for name in without:
        assert same(without[name], with_it[name]), name


# --- a training that goes on from a checkpoint -------------------------------------------------------


def test_a_resumed_training_goes_on_in_its_run(tmp_path: Path) -> None:
    place, options = tmp_path / "run", {**ALL, "probe": texts(30, 2), "schedule": 1}

    def go(**how: Any) -> None:
        set_seed(3)
        callback = HuelapseTrainerCallback(place, **options)
        by_transformers(
            tmp_path / "out", bert(), texts(4 * BATCH, 1), callback, collate=padded,
            evaluated=texts(30, 2), save_strategy="steps", save_steps=2, **how,
        )  # fmt: skip

    go()
    first = huelapse.open(place)
    assert first.steps.tolist() == [0, 1, 2, 3, 4]
    go(resume=str(tmp_path / "out" / "checkpoint-2"))
    again = huelapse.open(place)
    assert again.id == first.id
    assert again.steps.tolist() == [0, 1, 2, 3, 4]
    assert again.coordinate("segment").tolist() == [0, 0, 1, 1, 1]
