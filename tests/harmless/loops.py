"""Trainings of a few steps each: what people do in a loop, one way after the other."""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from matrix import FIRST, WAYS, Left, Recorded, Recording, loop
from nets import (
    Augmented,
    Checkpointed,
    Functional,
    Restless,
)
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from conftest import SmallNet, batches

STEPS = 6
X, Y = batches(16 * STEPS, seed=1)
HELD_OUT = batches(20, seed=2)


def stream(x: Tensor = X, y: Tensor = Y, size: int = 16) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(x.split(size), y.split(size), strict=True)


def evaluate(
    recorded: Recorded,
    model: Callable[..., Any],
    left: Left,
    *,
    inputs: Any = HELD_OUT[0],
    labels: Tensor = HELD_OUT[1],
    without: Callable[[], Any] = torch.no_grad,
    **known: Any,
) -> None:
    """The user's own evaluation, in two batches; its outputs must not change either."""
    modes = [m.training for m in left.models[0].modules()]
    left.models[0].eval()
    half = len(labels) // 2
    with recorded.probing() as probing, without():
        for own in (slice(0, half), slice(half, None)):
            given = inputs if isinstance(inputs, tuple) else (inputs,)
            left.seen.append(model(*(part[own] for part in given)))
            probing.labels(labels[own], **{name: part[own] for name, part in known.items()})
    left.seen[-2:] = [_tensor(one).detach().clone() for one in left.seen[-2:]]
    for module, mode in zip(left.models[0].modules(), modes, strict=True):
        module.training = mode


def _tensor(output: Any) -> Tensor:
    return output["logits"] if isinstance(output, dict) else output


def fit(
    recording: Recording,
    model: nn.Module,
    *,
    data: Any = None,
    call: Callable[..., Any] | None = None,
    loss_of: Callable[[Any, Tensor], Tensor] = lambda out, y: F.cross_entropy(_tensor(out), y),
    optimizer: Callable[..., Any] = lambda p: torch.optim.Adam(p, 0.01),
    around: Callable[[], Any] = nullcontext,
    evaluated: dict[str, Any] | None = None,
    wrapped: nn.Module | None = None,
    known: Callable[[Tensor], dict[str, Any]] = lambda _: {},
    **options: Any,
) -> Left:
    """The plain loop: forward inside the window, backward, a step; an evaluation at every third."""
    recorded = recording.of(wrapped or model, **options)
    call = call or wrapped or model
    left = Left([model], [optimizer(model.parameters())])
    model.train()
    for i, (*inputs, labels) in enumerate(stream() if data is None else data):
        with around():
            with recorded.window(labels, **known(labels)):
                output = call(*inputs)
            loss = loss_of(output, labels)
        left.seen.append(loss.detach().clone())
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss, epoch=i / STEPS)
        if i % 3 == 1:
            evaluate(recorded, call, left, **(evaluated or {}))
        del output, loss
    return left


@loop("plain", WAYS)
def plain(recording: Recording) -> Left:
    return fit(recording, Restless())


@loop("a shuffled loader of random items", WAYS)
def loader_of_random_items(recording: Recording) -> Left:
    held_out = DataLoader(Augmented(30, 2), 10, shuffle=True)
    data = DataLoader(Augmented(96, 1), 16, shuffle=True)
    return fit(recording, Restless(), data=data, probe=held_out)


@loop("a loader with workers, shuffled")
def loader_with_workers(recording: Recording) -> Left:
    generator = torch.Generator().manual_seed(7)
    data = DataLoader(
        *(Augmented(96, 1), 16, True),
        num_workers=2,
        generator=generator,
        multiprocessing_context="fork",
    )
    left = fit(recording, Restless(), data=data, probe=DataLoader(Augmented(30, 2), 10))
    left.others.append(generator)
    return left


@loop("autocast bf16", WAYS)
def autocast(recording: Recording) -> Left:
    return fit(recording, Restless(), around=lambda: torch.autocast("cpu", torch.bfloat16))


@loop("autocast of inputs that are bf16 already", FIRST)
def autocast_of_low_inputs(recording: Recording) -> Left:
    return fit(
        recording,
        SmallNet(),
        data=stream(X.bfloat16()),
        around=lambda: torch.autocast("cpu", torch.bfloat16),
    )


@loop("autocast fp16 with a gradient scaler", FIRST)
def scaled(recording: Recording) -> Left:
    model, scaler = SmallNet(), torch.amp.GradScaler("cpu", init_scale=64.0)
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)], others=[scaler])
    for x, y in stream():
        with torch.autocast("cpu", torch.float16), recorded.window(y):
            loss = F.cross_entropy(model(x), y)
        left.optimizers[0].zero_grad()
        scaler.scale(loss).backward()
        scaler.step(left.optimizers[0])
        scaler.update()
        recorded.step(loss=loss)
    evaluate(recorded, model, left)
    return left


for reentrant in (True, False):
    kind = "reentrant" if reentrant else "non-reentrant"

    @loop(f"checkpointing, {kind}", FIRST)
    def checkpointed(recording: Recording, reentrant: bool = reentrant) -> Left:
        return fit(recording, Checkpointed(reentrant=reentrant))

    @loop(f"checkpointing of the whole model, {kind}", FIRST)
    def checkpointed_whole(recording: Recording, reentrant: bool = reentrant) -> Left:
        model = SmallNet()

        def call(x: Tensor) -> Tensor:
            return checkpoint(model, x.detach().requires_grad_(), use_reentrant=reentrant)

        return fit(recording, model, call=call)

    @loop(f"checkpointing, {kind}, the whole step inside the window", FIRST)
    def checkpointed_inside(recording: Recording, reentrant: bool = reentrant) -> Left:
        return whole_step_inside(recording, Checkpointed(reentrant=reentrant))


def whole_step_inside(recording: Recording, model: nn.Module) -> Left:
    recorded = recording.of(model)
    left = Left([model], [torch.optim.AdamW(model.parameters(), 0.01)])
    for x, y in stream():
        with recorded.window(y):
            loss = F.cross_entropy(model(x), y)
            left.optimizers[0].zero_grad()
            loss.backward()
            left.optimizers[0].step()
            recorded.step(loss=loss)
        left.seen.append(loss.detach().clone())
        del loss
    evaluate(recorded, model, left)
    return left


@loop("backward, optimizer and recorder.step inside the window")
def step_inside(recording: Recording) -> Left:
    return whole_step_inside(recording, Restless())


@loop("gradient accumulation")
def accumulation(recording: Recording) -> Left:
    model = Restless()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)])
    for i, (x, y) in enumerate(stream(size=8)):
        with recorded.window(y):
            output = model(x)
        (F.cross_entropy(output, y) / 3).backward()
        if i % 3 == 2:
            left.optimizers[0].step()
            recorded.step()
            left.optimizers[0].zero_grad(set_to_none=False)
        del output
    evaluate(recorded, model, left)
    return left


@loop("two forwards a step, each in its window")
def two_forwards(recording: Recording) -> Left:
    model = Restless()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for x, y in stream():
        with recorded.window(y[:8]):
            first = model(x[:8])
        with recorded.window(y[8:]):
            second = model(x[8:])
        loss = F.cross_entropy(first, y[:8]) + F.cross_entropy(second, y[8:])
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        del first, second, loss
    evaluate(recorded, model, left)
    return left


@loop("two views of a batch in one window")
def two_views(recording: Recording) -> Left:
    model = Restless()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for x, y in stream(size=8):
        with recorded.window(y):
            loss = (model(x) - model(x + 0.1)).square().mean() + F.cross_entropy(model(x), y)
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        del loss
    evaluate(recorded, model, left)
    return left


@loop("LBFGS, whose closure runs the forward many times")
def lbfgs(recording: Recording) -> Left:
    model = SmallNet()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.LBFGS(model.parameters(), 0.1, max_iter=3)])
    for x, y in stream():

        def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
            left.optimizers[0].zero_grad()
            with recorded.window(y):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        left.optimizers[0].step(closure)
        recorded.step()
    evaluate(recorded, model, left)
    return left


@loop("an average of the weights, copied before the training and after a window")
def averaged(recording: Recording) -> Left:
    model = SmallNet()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    recorded = recording.of(model)
    left = Left([model, average], [torch.optim.SGD(model.parameters(), 0.1)])
    for i, (x, y) in enumerate(stream()):
        with recorded.window(y):
            output = model(x)
            left.seen.append(average(x).detach())
        F.cross_entropy(output, y).backward()
        left.optimizers[0].step()
        average.update_parameters(model)
        recorded.step()
        if i == 2:
            recorded.snapshot(average, split="ema")
            left.models.append(copy.deepcopy(model))
        evaluate(recorded, model, left)
        del output
    update_bn([x for x, _ in stream()], average)
    return left


@loop("a copy made inside a window", FIRST)
def copied_inside(recording: Recording) -> Left:
    model = Functional()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for i, (x, y) in enumerate(stream()):
        with recorded.window(y):
            output = model(x)
            if i in (0, 3):
                left.models.append(copy.deepcopy(model))
                left.models.append(AveragedModel(model))
            left.seen += [one(x).detach() for one in left.models[1:]]
        F.cross_entropy(output, y).backward()
        left.optimizers[0].step()
        recorded.step()
        del output
    left.seen += [one(X).detach() for one in left.models]
    with recorded.probing() as probing:
        left.seen.append(model(X).detach())
        left.models.append(copy.deepcopy(model))
        probing.labels(Y)
    left.seen.append(left.models[-1](X).detach())
    return left


@loop("two models in turn, each recorded")
def two_models(recording: Recording) -> Left:
    models = [SmallNet(), Functional()]
    recorded = [recording.of(model) for model in models]
    left = Left([*models], [torch.optim.Adam(model.parameters(), 0.01) for model in models])
    for x, y in stream():
        with recorded[0].window(y), recorded[1].window(y):
            outputs = [model(x) for model in models]
        for one in left.optimizers:
            one.zero_grad()
        loss = (
            sum(F.cross_entropy(o, y) for o in outputs) + (outputs[0] - outputs[1]).square().mean()
        )
        loss.backward()
        for one, its in zip(left.optimizers, recorded, strict=True):
            one.step()
            its.step(loss=loss)
        del outputs, loss
    for its, model in zip(recorded, models, strict=True):
        evaluate(its, model, left)
    return left


@loop("one model, two recorders", FIRST)
def two_recorders(recording: Recording) -> Left:
    model = Restless()
    recorded = [recording.of(model), recording.of(model, layers="all", response="peak")]
    left = Left([model], [torch.optim.Adam(model.parameters(), 0.01)])
    for x, y in stream():
        with recorded[0].window(y), recorded[1].window(y):
            loss = F.cross_entropy(model(x), y)
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        for its in recorded:
            its.step()
        del loss
    for its in recorded:
        evaluate(its, model, left)
    return left


@loop("evaluation in inference mode")
def inference(recording: Recording) -> Left:
    return fit(recording, Restless(), evaluated={"without": torch.inference_mode})


@loop("evaluation in inference mode of functions", FIRST)
def inference_of_functions(recording: Recording) -> Left:
    return fit(recording, Functional(), evaluated={"without": torch.inference_mode})


@loop("evaluation with gradients on")
def with_gradients(recording: Recording) -> Left:
    return fit(recording, Restless(), evaluated={"without": nullcontext})


@loop("a hundred steps over a shuffled loader of random items, probed at every tenth", ("probe",))
def hundred_steps(recording: Recording) -> Left:
    data = DataLoader(Augmented(160, 1), 16, shuffle=True)
    held_out = DataLoader(Augmented(90, 2), 30, shuffle=True)
    epochs = (batch for _ in range(10) for batch in data)
    return fit(recording, Restless(), data=epochs, probe=held_out, schedule=10)
