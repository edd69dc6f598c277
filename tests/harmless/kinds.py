"""Trainings of networks of many kinds: what they are made of, what they take and give."""

from typing import Any

import torch
from loops import HELD_OUT, X, Y, fit, stream
from matrix import FIRST, WAYS, Left, Recording, loop
from nets import Attentive, Functional, Heads, Reader, Recurrent, Restless, sequences, tokens
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from conftest import batches


@loop("channels last", FIRST)
def channels_last(recording: Recording) -> Left:
    def format(x: Tensor) -> Tensor:
        return x.to(memory_format=torch.channels_last)

    model = Restless().to(memory_format=torch.channels_last)
    return fit(recording, model, data=[(format(x), y) for x, y in stream()])


@loop("functions in place", WAYS)
def functions(recording: Recording) -> Left:
    return fit(recording, Functional())


@loop("LSTM", FIRST)
def lstm(recording: Recording) -> Left:
    held_out = sequences(20, seed=4)
    return fit(
        recording,
        Recurrent(),
        data=stream(*sequences(96)),
        probe=sequences(30, seed=3),
        evaluated={"inputs": held_out[0], "labels": held_out[1]},
    )


@loop("packed sequences")
def packed(recording: Recording) -> Left:
    held_out = sequences(20, seed=4)
    x, y = sequences(96)
    lengths = 1 + torch.arange(96) % 4
    return fit(
        recording,
        Recurrent(packed=True),
        layers=["relu"],
        data=zip(x.split(16), lengths.split(16), y.split(16), strict=True),
        probe=sequences(30, seed=3),
        evaluated={"inputs": held_out[0], "labels": held_out[1]},
    )


def reading(recording: Recording, model: Reader, **evaluated: Any) -> Left:
    ids, mask, labels = tokens(96)
    own, its, held_out = tokens(20, seed=4)
    probe = [{"tokens": i, "attention_mask": m, "labels": y} for i, m, y in [tokens(30, seed=3)]]
    return fit(
        recording,
        model,
        data=zip(ids.split(16), mask.split(16), labels.split(16), strict=True),
        call=lambda tokens, mask: model(tokens, attention_mask=mask),
        probe=probe,
        evaluated={"inputs": (own, its), "labels": held_out, **evaluated},
    )


@loop("transformer encoder under a padding mask", FIRST)
def transformer(recording: Recording) -> Left:
    return reading(recording, Reader(), without=nullcontext)


@loop("an embedding that renormalises its weights")
def renormalising(recording: Recording) -> Left:
    return reading(recording, Reader(max_norm=1.0), without=nullcontext)


@loop("attention with a fused path", FIRST)
def attentive(recording: Recording) -> Left:
    return fit(recording, Attentive())


def several(output: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(output, labels.float())


@loop("several classes per sample", FIRST)
def multilabel(recording: Recording) -> Left:
    labels = torch.stack([Y != 1, Y != 2, Y == 0], 1).long()
    held_out = (labels[:20]).bool()
    return fit(
        recording,
        Heads(),
        data=stream(X, labels),
        loss_of=several,
        probe=(batches(30)[0], labels[:30]),
        multilabel=True,
        evaluated={"labels": held_out},
    )


@loop("a single logit", FIRST)
def single(recording: Recording) -> Left:
    return fit(
        recording,
        Heads(1),
        data=stream(X, Y % 2),
        loss_of=several,
        classes=2,
        probe=(batches(30)[0], torch.arange(30) % 2),
        evaluated={"labels": HELD_OUT[1] % 2},
    )


@loop("groupings by table, function and batch; both responses; every leaf", FIRST)
def groupings(recording: Recording) -> Left:
    x, y = batches(30)
    probe = [{"x": x, "labels": y, "site": y % 2}]
    return fit(
        recording,
        Restless(),
        probe=probe,
        known=lambda y: {"site": y % 2, "ids": list(range(len(y)))},
        evaluated={"site": HELD_OUT[1] % 2},
        response=("mean", "peak"),
        layers="all",
        groupings={
            "coarse": (["a", "b"], [0, 1, 1]),
            "correct": (["no", "yes"], lambda y, out, _: (out.argmax(1) == y).long()),
            "site": (2, None),
        },
    )


@loop("sparse gradients of an embedding")
def sparse(recording: Recording) -> Left:
    model = nn.Sequential(
        nn.EmbeddingBag(20, 6, sparse=True), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)
    )
    generator = torch.Generator().manual_seed(4)
    x = torch.randint(0, 20, (96, 5), generator=generator)
    return fit(
        recording,
        model,
        data=stream(x),
        probe=(x[:30], Y[:30]),
        optimizer=lambda p: torch.optim.SGD(p, 0.1),
        evaluated={"inputs": x[:20], "labels": Y[:20]},
    )


@loop("one module under two names, weights shared")
def tied(recording: Recording) -> Left:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(72, 72)
            self.second, self.act = self.first, nn.ReLU()
            self.third, self.head = nn.Linear(72, 72), nn.Linear(72, 3)
            self.third.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            x = self.act(self.first(x.flatten(1)))
            return self.head(self.act(self.third(self.act(self.second(x)))))

    return fit(recording, Tied())


@loop("outputs in a tuple, inputs given by name", FIRST)
def named(recording: Recording) -> Left:
    class Named(Heads):
        def forward(self, *, image: Tensor, scale: float = 1.0) -> Any:
            logits = super().forward(image * scale)
            return logits, {"scale": scale}

    model = Named()
    x, y = batches(30)
    return fit(
        recording,
        model,
        call=lambda x: model(image=x)[0],
        probe=[{"image": x, "labels": y}],
    )


@loop("a transformer evaluated on its fused path", ("probe", "windows", "both", "own"))
def fused(recording: Recording) -> Left:
    """Windows go inside the encoder; in the user's evaluation nothing must, so that is not recorded."""
    return reading(recording, Reader())
