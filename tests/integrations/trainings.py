"""The same trainings, by three loops: of one's own, Lightning's and the Transformers Trainer's."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch import Trainer as LightningTrainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
)

from conftest import SmallNet, batches
from huelapse import Recorder, Run
from huelapse.capture.watch import Hook
from huelapse.integrations.lightning import HuelapseCallback
from huelapse.integrations.transformers import HuelapseTrainerCallback

CLASSES, BATCH, STEPS, RATE = 3, 8, 9, 0.05

OTHERS_WARNINGS = [
    pytest.mark.filterwarnings(f"ignore:{one}")
    for one in (
        r"`isinstance\(treespec, LeafSpec\)`:FutureWarning",
        ".*does not have many workers",
        "You defined a `validation_step` but have no `val_dataloader`",
        ".*smaller than the logging interval",
        ".*sync_dist=True",
    )
]
"""What these libraries warn of in each other and in trainings as small as these."""

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


# --- models ----------------------------------------------------------------------------------------


def vit(dropout: float = 0.0) -> nn.Module:
    """A vision transformer of two blocks on [B, 3, 16, 16]."""
    torch.manual_seed(1)
    return ViTForImageClassification(
        ViTConfig(
            image_size=16,
            patch_size=8,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            num_labels=CLASSES,
            hidden_dropout_prob=dropout,
        )
    )


def bert(dropout: float = 0.0, blocks: int = 2) -> nn.Module:
    """A text classifier on token ids and an attention mask."""
    torch.manual_seed(1)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=blocks,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=16,
            num_labels=CLASSES,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
    )


def convnet(dropout: float = 0.0) -> nn.Module:
    """Convolution, BatchNorm, two linear layers on [B, 2, 6, 6]."""
    torch.manual_seed(1)
    net = SmallNet(CLASSES)
    net.drop.p = dropout
    return net


# --- data ------------------------------------------------------------------------------------------


class Samples(Dataset[Any]):
    """Samples as a list holds them."""

    def __init__(self, samples: list[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> Any:
        return self.samples[i]

    def mapped(self, change: Callable[[Any, int], Any]) -> "Samples":
        return Samples([change(one, i) for i, one in enumerate(self.samples)])


def images(n: int, seed: int = 0) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    pixels = torch.randn(n, 3, 16, 16, generator=generator) + labels[:, None, None, None] * 0.3
    return Samples(
        [{"pixel_values": x, "labels": int(y)} for x, y in zip(pixels.float(), labels, strict=True)]
    )


def texts(n: int, seed: int = 0) -> Samples:
    """Sentences of 3 … 12 tokens, and a column that is none of the model's business."""
    generator = torch.Generator().manual_seed(seed)
    samples: list[Any] = []
    for i in range(n):
        label = int(torch.randint(CLASSES, (), generator=generator))
        length = int(torch.randint(3, 13, (), generator=generator))
        ids = torch.randint(1, 13, (length,), generator=generator) + 13 * label
        samples.append({"input_ids": ids, "labels": label, "source": f"line {i}"})
    return Samples(samples)


def stacked(samples: list[Any]) -> dict[str, Tensor]:
    """Images of a batch."""
    return {
        "pixel_values": torch.stack([one["pixel_values"] for one in samples]),
        "labels": torch.tensor([one["labels"] for one in samples]),
    }


def padded(samples: list[Any]) -> dict[str, Tensor]:
    """Sentences filled up to the longest of the batch, and the mask that tells."""
    ids = nn.utils.rnn.pad_sequence([one["input_ids"] for one in samples], batch_first=True)
    return {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "labels": torch.tensor([one["labels"] for one in samples]),
    }


def pairs(n: int, seed: int = 0) -> Samples:
    return Samples([(x, int(y)) for x, y in zip(*batches(n, CLASSES, seed), strict=True)])


def loader(samples: Samples, collate: Callable[[Any], Any] | None = None, **options: Any) -> Any:
    return DataLoader(samples, **{"batch_size": BATCH, "collate_fn": collate, **options})


# --- loops -----------------------------------------------------------------------------------------


def loss_of(model: nn.Module, batch: Any) -> Tensor:
    """As everybody's loop computes it; dict batches are the model's keyword arguments."""
    if isinstance(batch, Mapping):
        return model(**batch).loss
    inputs, labels = batch
    return nn.functional.cross_entropy(model(inputs), labels)


def plainly(
    run: Path,
    model: nn.Module,
    train: Any,
    *,
    evaluated: Any = None,
    accumulate: int = 1,
    **options: Any,
) -> nn.Module:
    """A loop of one's own, with an evaluation at its end if there is something to evaluate."""
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    model.train()
    windows = bool(options.get("window"))
    with Recorder(model, run, classes=CLASSES, **options) as recorder:
        for i, batch in enumerate(train):
            labels = batch["labels"] if isinstance(batch, Mapping) else batch[1]
            if windows:
                with recorder.window(labels):
                    loss = loss_of(model, batch)
            else:
                loss = loss_of(model, batch)
            (loss / accumulate).backward()
            if (i + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                recorder.step(epoch=(i + 1) / len(train))
        if evaluated is not None:
            model.eval()
            with torch.no_grad(), recorder.probing("val") as probing:
                for batch in evaluated:
                    loss_of(model, batch)
                    probing.labels(batch["labels"] if isinstance(batch, Mapping) else batch[1])
    return model


class Module(LightningModule):
    """Calls itself, as LightningModules do."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.net(*inputs, **named)

    def training_step(self, batch: Any, _batch_idx: int) -> Tensor:
        loss = loss_of(self, batch)
        self.log("loss/train", loss)
        return loss

    def validation_step(self, batch: Any, _batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("loss/val", loss_of(self, batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), RATE)


class CallsNet(Module):
    """Calls the net in it, and has no forward."""

    forward = LightningModule.forward

    def training_step(self, batch: Any, _batch_idx: int) -> Tensor:
        return loss_of(self.net, batch)

    def validation_step(self, batch: Any, _batch_idx: int) -> None:
        loss_of(self.net, batch)


def by_lightning(
    module: LightningModule,
    train: Any,
    callback: HuelapseCallback | None,
    *,
    val: Any = None,
    accumulate: int = 1,
    also: Sequence[Callback] = (),
    ckpt_path: str | None = None,
    **options: Any,
) -> LightningTrainer:
    callbacks = [*also, *([callback] if callback is not None else [])]
    defaults = {
        **QUIET,
        "max_epochs": 1,
        "num_sanity_val_steps": 0,
        "accumulate_grad_batches": accumulate,
    }
    trainer = LightningTrainer(callbacks=callbacks, **{**defaults, **options})
    trainer.fit(module, train, val, ckpt_path=ckpt_path)
    return trainer


def arguments(place: Path, **options: Any) -> TrainingArguments:
    defaults: dict[str, Any] = {
        "output_dir": str(place),
        "use_cpu": True,
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": BATCH,
        "num_train_epochs": 1,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "optim": "sgd",
        "train_sampling_strategy": "sequential",
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
    }
    return TrainingArguments(**{**defaults, **options})


def by_transformers(
    place: Path,
    model: nn.Module,
    train: Any,
    callback: HuelapseTrainerCallback | None,
    *,
    collate: Any = None,
    evaluated: Any = None,
    also: Sequence[TrainerCallback] = (),
    prepared: Callable[[Trainer], None] | None = None,
    resume: str | None = None,
    **options: Any,
) -> Trainer:
    trainer = Trainer(
        model,
        arguments(place, **options),
        train_dataset=train,
        eval_dataset=evaluated,
        data_collator=collate,
        callbacks=[*also, *([callback] if callback is not None else [])],
    )
    if prepared is not None:
        prepared(trainer)
    # these models' forwards take any keyword, from which the Trainer concludes that they divide the
    # loss by the samples of all batches of a step; they do not, and gradients would be summed
    trainer.model_accepts_loss_kwargs = False
    trainer.train(resume_from_checkpoint=resume)
    return trainer


# --- what they leave -------------------------------------------------------------------------------


def forwarded(run: Run, split: str = "train") -> int:
    """Samples with a class in all snapshots of a split."""
    steps = run.coordinate("step", split)
    return sum(int(run.moments(i, "true", split).count.sum()) for i in range(len(steps)))


def hooks_of(model: nn.Module) -> int:
    """How many hooks of ours are on it."""
    hooks = [
        hook
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]
    return sum(isinstance(hook, Hook) for hook in hooks)


def same(a: Any, b: Any) -> bool:
    """Bit for bit, whatever it is nested in."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def assert_same(one: Run, other: Run, *, splits: tuple[str, ...] = ("val", "train")) -> None:
    """Bit for bit: steps, counts, moments of every layer in every grouping, confusion."""
    assert [(a.path, a.units) for a in one.layers] == [(b.path, b.units) for b in other.layers]
    for split in splits:
        steps = one.coordinate("step", split)
        assert np.array_equal(steps, other.coordinate("step", split)), split
        assert np.array_equal(one.confusion(split), other.confusion(split)), split
        for i in range(len(steps)):
            for grouping in ("true", "predicted"):
                a, b = (run.moments(i, grouping, split) for run in (one, other))
                for name in ("count", "mean", "m2", "active", "nonfinite"):
                    ours, theirs = getattr(a, name), getattr(b, name)
                    assert np.array_equal(ours, theirs), (split, i, grouping, name)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(ours[name].equal(theirs[name]) for name in ours)
