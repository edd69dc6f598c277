"""One training, by whichever loop, is one run."""

from pathlib import Path
from typing import Any

import pytest
from trainings import (
    BATCH,
    CLASSES,
    OTHERS_WARNINGS,
    STEPS,
    Module,
    assert_same,
    bert,
    by_lightning,
    by_transformers,
    convnet,
    images,
    loader,
    padded,
    pairs,
    plainly,
    same_weights,
    stacked,
    texts,
    vit,
)

import huelapse
from huelapse import Run
from huelapse.integrations.lightning import HuelapseCallback
from huelapse.integrations.transformers import HuelapseTrainerCallback

WINDOW = 20  # not a multiple of the batch: windows end inside of batches
OPTIONS: dict[str, Any] = {
    "window": WINDOW,
    "window_schedule": 1,
    "schedule": 3,
    "probe_budget": None,
    "strict": True,
}

pytestmark = OTHERS_WARNINGS


KINDS = {"images": (vit, images, stacked), "padded texts": (bert, texts, padded)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_transformer_is_recorded_alike_by_a_plain_loop_lightning_and_the_trainer(
    kind: str, tmp_path: Path
) -> None:
    build, data, collate = KINDS[kind]
    train, held_out = data(STEPS * BATCH, 1), data(30, 2)
    probe = loader(held_out, collate)
    model = plainly(tmp_path / "plain", build(), loader(train, collate), probe=probe, **OPTIONS)
    module = Module(build())
    callback = HuelapseCallback(
        tmp_path / "lightning", classes=CLASSES, probe=probe, model="net", **OPTIONS
    )
    by_lightning(module, loader(train, collate), callback)
    trainer_callback = HuelapseTrainerCallback(
        tmp_path / "trainer", classes=CLASSES, probe=held_out, **OPTIONS
    )
    trainer = by_transformers(tmp_path / "out", build(), train, trainer_callback, collate=collate)

    plain, lightning, trained = opened(tmp_path)
    assert list(plain.steps) == [0, 3, 6, 9]
    assert len(plain.coordinate("step", "train")) == STEPS * BATCH // WINDOW
    assert plain.moments(0, "true", "train").count.sum() == WINDOW
    assert plain.moments(0, "true", "val").count.sum() == 30
    assert same_weights(model, module.net)
    assert same_weights(model, trainer.model)
    assert_same(plain, lightning)
    assert_same(plain, trained)


def opened(place: Path) -> list[Run]:
    return [huelapse.open(place / name) for name in ("plain", "lightning", "trainer")]


def test_accumulated_gradients_make_one_step_of_several_forwards_in_all_three(
    tmp_path: Path,
) -> None:
    train, held_out = texts(8 * BATCH, 1), texts(30, 2)
    probe, batches = loader(held_out, padded), loader(train, padded)
    options = {**OPTIONS, "schedule": 1}
    model = plainly(tmp_path / "plain", bert(), batches, probe=probe, accumulate=2, **options)
    module = Module(bert())
    callback = HuelapseCallback(
        tmp_path / "lightning", classes=CLASSES, probe=probe, model="net", **options
    )
    by_lightning(module, batches, callback, accumulate=2)
    trainer_callback = HuelapseTrainerCallback(
        tmp_path / "trainer", classes=CLASSES, probe=held_out, **options
    )
    trainer = by_transformers(
        tmp_path / "out",
        bert(),
        train,
        trainer_callback,
        collate=padded,
        gradient_accumulation_steps=2,
    )

    plain, lightning, trained = opened(tmp_path)
    assert list(plain.steps) == [0, 1, 2, 3, 4]
    assert len(plain.coordinate("step", "train")) == 8 * BATCH // WINDOW
    assert same_weights(model, module.net)
    assert same_weights(model, trainer.model)
    assert_same(plain, lightning)
    assert_same(plain, trained)


def test_an_evaluation_is_recorded_alike_by_all_three(tmp_path: Path) -> None:
    train, held_out = texts(STEPS * BATCH, 1), texts(30, 2)
    evaluated, batches = loader(held_out, padded), loader(train, padded)
    plainly(tmp_path / "plain", bert(), batches, evaluated=evaluated)
    callback = HuelapseCallback(
        tmp_path / "lightning", classes=CLASSES, record_validation=True, model="net"
    )
    by_lightning(Module(bert()), batches, callback, val=evaluated)
    trainer_callback = HuelapseTrainerCallback(
        tmp_path / "trainer", classes=CLASSES, record_validation=True
    )
    by_transformers(
        tmp_path / "out",
        bert(),
        train,
        trainer_callback,
        collate=padded,
        evaluated=held_out,
        eval_strategy="epoch",
    )
    plain, lightning, trained = opened(tmp_path)
    assert list(plain.steps) == [STEPS]
    assert plain.moments(0, "true", "val").count.sum() == 30
    assert_same(plain, lightning, splits=("val",))
    assert_same(plain, trained, splits=("val",))


def test_a_convolutional_net_is_recorded_alike_by_a_plain_loop_and_by_lightning(
    tmp_path: Path,
) -> None:
    train, probe = loader(pairs(STEPS * BATCH, 1)), loader(pairs(30, 2))
    model = plainly(tmp_path / "plain", convnet(), train, probe=probe, **OPTIONS)
    module = Module(convnet())
    callback = HuelapseCallback(
        tmp_path / "lightning", classes=CLASSES, probe=0, model="net", **OPTIONS
    )
    by_lightning(module, train, callback, val=probe)
    assert same_weights(model, module.net)
    assert_same(huelapse.open(tmp_path / "plain"), huelapse.open(tmp_path / "lightning"))
