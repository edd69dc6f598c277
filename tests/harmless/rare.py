"""More trainings: what fewer people do, and what goes wrong."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from loops import HELD_OUT, X, Y, evaluate, fit, stream
from matrix import FIRST, Left, Recording, loop
from nets import Attentive, Functional, Restless
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, parametrize
from torch.optim.swa_utils import SWALR

from conftest import SmallNet, batches


class Fragile(Restless):
    """Raises in its middle when it is told to."""

    broken = False

    def forward(self, x: Tensor) -> Tensor:
        if self.broken:
            self.conv(self.frozen(x))
            raise ValueError("out of memory")
        return super().forward(x)


@loop("an exception inside the forward, caught outside the window", FIRST)
def exception_outside(recording: Recording) -> Left:
    model = Fragile()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for i, (x, y) in enumerate(stream()):
        model.broken = i in (0, 3)
        left.optimizers[0].zero_grad()
        try:
            with recorded.window(y):
                loss = F.cross_entropy(model(x), y)
        except ValueError as error:
            left.seen.append(repr(error))
            continue
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        del loss
    evaluate(recorded, model, left)
    return left


@loop("an exception inside the forward, caught inside the window, and half a batch instead", FIRST)
def exception_inside(recording: Recording) -> Left:
    model = Fragile()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for i, (x, y) in enumerate(stream()):
        model.broken = i in (0, 3)
        left.optimizers[0].zero_grad()
        with recorded.window(y):
            try:
                loss = F.cross_entropy(model(x), y)
            except ValueError as error:
                left.seen.append(repr(error))
                loss = None
        if loss is None:
            model.broken = False
            with recorded.window(y[:8]):
                loss = F.cross_entropy(model(x[:8]), y[:8])
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        del loss
    with recorded.probing() as probing, torch.no_grad():
        model.broken = True
        with contextlib.suppress(ValueError):
            model(X)
        model.broken = False
        left.seen.append(model(X).detach())
        probing.labels(Y)
    return left


@loop("an exception ends the training")
def interrupted(recording: Recording) -> Left:
    left = Left([SmallNet()])
    with contextlib.suppress(ZeroDivisionError), contextlib.ExitStack() as stack:
        recorded = recording.of(left.models[0])
        if recorded.recorder is not None:
            stack.enter_context(recorded.recorder)
        for x, y in stream():
            with recorded.window(y):
                left.models[0](x)
            recorded.step()
        evaluate(recorded, left.models[0], left)
        with recorded.window(y):
            left.models[0](x)
            raise ZeroDivisionError
    return left


@loop("sharpness-aware steps: two forwards and backwards for each")
def sharpness_aware(recording: Recording) -> Left:
    model = Restless()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for x, y in stream():
        with recorded.window(y):
            F.cross_entropy(model(x), y).backward()
        before = [p.detach().clone() for p in model.parameters()]
        with torch.no_grad():
            for p in model.parameters():
                p.add_(p.grad, alpha=0.05)
        left.optimizers[0].zero_grad()
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for p, own in zip(model.parameters(), before, strict=True):
                p.copy_(own)
        left.optimizers[0].step()
        recorded.step()
    evaluate(recorded, model, left)
    return left


@loop("the user's own hooks, one of which replaces an output", FIRST)
def own_hooks(recording: Recording) -> Left:
    model = Restless()
    grads: list[Any] = []
    model.relu2.register_forward_hook(lambda _m, _i, out: out * 0.5)
    model.fc.register_forward_pre_hook(lambda _m, given: (given[0] + 0.1,))
    model.fc.register_full_backward_hook(lambda _m, _i, out: grads.append(out[0].clone()))
    model.register_forward_hook(lambda _m, _i, out: out + 1.0)
    model.head.weight.register_hook(lambda g: g * 0.5)
    model.head.weight.register_post_accumulate_grad_hook(lambda p: grads.append(p.grad.clone()))
    left = fit(recording, model)
    left.others.append(grads)
    return left


@loop("anomaly detection")
def anomaly(recording: Recording) -> Left:
    return fit(recording, SmallNet(), around=lambda: torch.autograd.detect_anomaly(False))


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@loop("deterministic algorithms")
def in_deterministic_mode(recording: Recording) -> Left:
    with deterministic():
        return fit(recording, Restless())


@loop("float64 by default")
def wide(recording: Recording) -> Left:
    torch.set_default_dtype(torch.float64)
    try:
        x, y = batches(30)
        evaluated = {"inputs": HELD_OUT[0].double()}
        return fit(
            recording,
            Restless(),
            data=stream(X.double()),
            probe=(x.double(), y),
            evaluated=evaluated,
        )
    finally:
        torch.set_default_dtype(torch.float32)


@loop("bf16 weights", FIRST)
def low(recording: Recording) -> Left:
    x, y = batches(30)
    evaluated = {"inputs": HELD_OUT[0].bfloat16()}
    model = SmallNet().bfloat16()
    return fit(
        recording, model, data=stream(X.bfloat16()), probe=(x.bfloat16(), y), evaluated=evaluated
    )


@loop("a default device that is not the model's", FIRST)
def default_device(recording: Recording) -> Left:
    model = Functional()
    torch.set_default_device("meta")
    try:
        return fit(recording, model)
    finally:
        torch.set_default_device(None)


@loop("saved tensors that are packed")
def packed_tensors(recording: Recording) -> Left:
    return fit(recording, Restless(), around=torch.autograd.graph.save_on_cpu)


@loop("a stateless call with weights from elsewhere", FIRST)
def stateless(recording: Recording) -> Left:
    model = SmallNet()

    def call(x: Tensor) -> Tensor:
        own = {name: p * 1.0 for name, p in model.named_parameters()}
        return functional_call(model, own, (x,))

    return fit(recording, model, call=call)


@loop("parts of the model called on their own, in its window")
def parts(recording: Recording) -> Left:
    model = SmallNet()

    def call(x: Tensor) -> Tensor:
        outputs = model(x)
        return outputs + model.head(
            model.relu2(model.fc(x.repeat(1, 2, 2, 1)[:, :, :5, :4].flatten(1)))
        )

    return fit(recording, model, call=call)


@loop("layers frozen and thawed")
def freezing(recording: Recording) -> Left:
    model = SmallNet()
    model.conv.requires_grad_(False)
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1)])
    for i, (x, y) in enumerate(stream()):
        model.conv.requires_grad_(i >= 3)
        model.fc.requires_grad_(i < 3)
        with recorded.window(y):
            loss = F.cross_entropy(model(x), y)
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        evaluate(recorded, model, left)
        del loss
    return left


@loop("a penalty on gradients: a backward through a backward, inside the window", FIRST)
def gradient_penalty(recording: Recording) -> Left:
    model = Attentive()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for x, y in stream():
        x = x.clone().requires_grad_()
        with recorded.window(y):
            loss = F.cross_entropy(model(x), y)
            (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
            loss = loss + gradient.square().sum()
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        left.seen.append(x.grad)
        recorded.step(loss=loss)
        del loss, gradient, x
    evaluate(recorded, model, left)
    return left


@loop("weight norm, spectral norm and orthogonal weights", FIRST)
def parametrized(recording: Recording) -> Left:
    model = SmallNet()
    parametrizations.weight_norm(model.conv)
    parametrizations.spectral_norm(model.fc)
    parametrizations.orthogonal(model.head)
    return fit(recording, model, around=parametrize.cached)


@loop("a learning rate schedule, a clipped gradient and momentum")
def scheduled(recording: Recording) -> Left:
    model = Restless()
    recorded = recording.of(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    schedule = SWALR(optimizer, 0.01, anneal_epochs=3)
    left = Left([model], [optimizer], others=[schedule])
    for i, (x, y) in enumerate(stream()):
        with recorded.window(y):
            loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        left.seen.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).detach().clone())
        optimizer.step()
        schedule.step()
        recorded.step(loss=loss.detach(), rate=optimizer.param_groups[0]["lr"], epoch=i / 6)
        if i % 2:
            recorded.snapshot()
        evaluate(recorded, model, left)
        del loss
    return left


@loop("features kept by the user and used after the window")
def features(recording: Recording) -> Left:
    model = Functional()
    kept: list[Tensor] = []
    model.conv.register_forward_hook(lambda _m, _i, out: kept.append(out))
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for x, y in stream():
        kept.clear()
        with recorded.window(y):
            output = model(x)
        loss = F.cross_entropy(output, y) + kept[-1].square().mean()
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        del output, loss
    evaluate(recorded, model, left)
    kept.clear()
    return left


@loop("every second batch, ids that come again, labels that are ignored")
def every_second(recording: Recording) -> Left:
    def known(labels: Tensor) -> dict[str, Any]:
        return {"ids": [f"image {i % 10}" for i in range(len(labels))]}

    labels = torch.where(torch.arange(96) % 7 == 0, -100, Y)
    left = fit(recording, Restless(), data=stream(X, labels), known=known, window_every=2)
    left.seen.append(labels)
    return left


@loop("samples without labels")
def unlabelled(recording: Recording) -> Left:
    model = Restless()
    recorded = recording.of(model)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for x, _ in stream():
        with recorded.window(None):
            loss = -model(x).log_softmax(1).amax(1).mean()
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        del loss
    evaluate(recorded, model, left)
    return left


@loop("modes changed inside the forward, dropout on in evaluation", FIRST)
def changing_modes(recording: Recording) -> Left:
    class Changing(Restless):
        def forward(self, x: Tensor) -> Tensor:
            self.norm.eval()
            self.drop.train()
            return super().forward(x)

    return fit(recording, Changing())
