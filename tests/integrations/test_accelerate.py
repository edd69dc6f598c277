"""A loop with Accelerate needs no adapter: the documented one is run, and is compared."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from trainings import (
    BATCH,
    CLASSES,
    OTHERS_WARNINGS,
    RATE,
    assert_same,
    bert,
    forwarded,
    hooks_of,
    loader,
    loss_of,
    padded,
    plainly,
    same_weights,
    texts,
)

import huelapse
from huelapse import Recorder

pytestmark = OTHERS_WARNINGS

EXAMPLE = Path(__file__).parents[2] / "examples" / "accelerate_loop.py"


@pytest.fixture(autouse=True)
def as_in_a_new_process() -> Iterator[None]:
    """Accelerate keeps what an Accelerator was made with for the rest of the process."""

    def forget() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    forget()
    yield
    forget()


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_the_documented_loop_is_recorded(precision: str, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("accelerate_loop", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    place = example.train(tmp_path / "run", steps=8, mixed_precision=precision)
    run = huelapse.open(place)
    assert run.status == "complete"
    assert not run.facts["gaps"]
    assert run.steps[0] == 0
    assert run.moments(0, "true", "val").count.sum() == 2000
    assert run.moments(0, "true", "train").count.sum() == 1000
    assert np.isfinite(run.moments(0, "true", "train").mean).all()


def test_a_loop_with_accelerate_is_recorded_as_one_without(tmp_path: Path) -> None:
    train, held_out = texts(8 * BATCH, 1), texts(30, 2)
    batches, probe = loader(train, padded), loader(held_out, padded)
    options: dict[str, Any] = {
        "probe": probe,
        "window": 20,
        "window_schedule": 1,
        "schedule": 1,
        "probe_budget": None,
        "strict": True,
    }
    plain = plainly(tmp_path / "plain", bert(), batches, accumulate=2, **options)

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = original = bert()
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    model.train()
    recorder = Recorder(model, tmp_path / "accelerated", classes=CLASSES, **options)
    model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
    with recorder:
        for i, batch in enumerate(batches):
            with accelerator.accumulate(model):
                with recorder.window(batch["labels"]):
                    loss = loss_of(model, batch)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                recorder.step(epoch=(i + 1) / len(batches))
    assert hooks_of(original) == 0
    assert same_weights(plain, original)
    run = huelapse.open(tmp_path / "accelerated")
    assert list(run.steps) == [0, 1, 2, 3, 4]
    assert forwarded(run) == 8 * BATCH // 20 * 20
    assert_same(huelapse.open(tmp_path / "plain"), run)
