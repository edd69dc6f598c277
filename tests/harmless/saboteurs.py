"""Recorders that are each broken in one way, and a training with something for each to harm."""

import gc
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loops import evaluate
from matrix import Left, Recording
from nets import Augmented, Restless
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import BaseTorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

import huelapse
from huelapse.capture import guard, probe, running
from huelapse.capture.forwards import Forwards
from huelapse.capture.watch import Hook
from huelapse.capture.window import Window
from huelapse.recording import blocks


def rich(recording: Recording) -> Left:
    """A training with something for every saboteur."""
    model = Restless()
    model.broken = False
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(Augmented(64, 1), 16, shuffle=True, generator=generator)
    held_out = DataLoader(Augmented(40, 2), 10, shuffle=True, generator=generator)
    left = Left([model], [torch.optim.Adam(model.parameters(), 0.01)], others=[generator])
    model.train()
    recorded = recording.of(model, probe=held_out, schedule="manual")
    for inputs, labels in loader:
        left.optimizers[0].zero_grad()
        given = inputs.clone()
        with recorded.window(labels):
            output = model(given)
        F.cross_entropy(output, labels).backward()
        left.optimizers[0].step()
        recorded.step()
        left.seen += [output.detach().clone(), given, labels.clone(), type(output)]
        del output
        try:
            with recorded.window(labels):
                raise ValueError("the user's own")
        except ValueError as error:
            left.seen.append(str(error))
    evaluate(recorded, model, left)
    return left


def model_of(one: Any) -> Any:
    """The model that a window, or forwards, are recorded of."""
    return one._capture.model


KEPT: list[Any] = []

Act = Callable[..., Any]


def ran(act: Act) -> tuple[Any, str, Act]:
    """Acts whenever a window has a batch; given the window."""
    return Window, "_ran", lambda one, *_: act(one)


def responded(act: Act) -> tuple[Any, str, Act]:
    """Acts whenever a layer gives something; given what it gave."""
    return Forwards, "_respond", lambda _one, _index, output: act(output)


def ended(act: Act) -> tuple[Any, str, Act]:
    """Acts when the block around the training forward ends."""
    return blocks.WindowBlock, "__exit__", lambda *_: act()


def stepped(act: Act) -> tuple[Any, str, Act]:
    """Acts after each step; given the recorder."""
    return huelapse.Recorder, "step", lambda one, **_: act(one)


def closing(act: Act) -> tuple[Any, str, Act]:
    """Acts when recording ends."""
    return huelapse.Recorder, "end", lambda *_: act()


def _weight(one: Any) -> torch.Tensor:
    return model_of(one).fc.weight


def _in_place(tensor: torch.Tensor, by: float) -> None:
    with torch.no_grad():
        tensor.mul_(by)


def _grad_of(one: Any, value: float | None) -> None:
    for p in model_of(one).parameters():
        p.grad = None if value is None else torch.full_like(p, value)


def _push(mode: Any) -> None:
    mode.__enter__()


def _nothing(*_: Any) -> None:
    pass


SABOTEURS: dict[str, tuple[tuple[Any, str, Act], str]] = {
    # what it does: (where, what), the part of the comparison that must see it
    "draws from torch": (responded(lambda _: torch.rand(1)), "torch"),
    "draws from numpy": (responded(lambda _: np.random.rand()), "numpy"),
    "draws from random": (responded(lambda _: random.random()), "random"),
    "draws at the end": (closing(lambda: torch.rand(1)), "torch after closing"),
    "flips a mode": (ran(lambda w: setattr(model_of(w).drop, "training", False)), "modes"),
    "thaws what was frozen": (ran(lambda w: model_of(w).frozen.train()), "modes"),
    "keeps an activation with its graph": (responded(KEPT.append), "graphs"),
    "leaves a forward hook": (
        ran(lambda w: model_of(w).fc.register_forward_hook(_nothing)),
        "hooks",
    ),
    "leaves a pre-hook": (
        ran(lambda w: model_of(w).fc.register_forward_pre_hook(_nothing)),
        "hooks",
    ),
    "leaves a hook on a parameter": (ran(lambda w: _weight(w).register_hook(_nothing)), "hooks"),
    "leaves a hook on all modules": (
        ran(lambda _: KEPT.append(nn.modules.module.register_module_forward_hook(_nothing))),
        "surroundings",
    ),
    "writes a buffer": (stepped(lambda r: model_of(r).norm.running_mean.add_(1e-3)), "buffers"),
    "counts a batch twice": (
        ran(lambda w: model_of(w).norm.num_batches_tracked.add_(1)),
        "buffers",
    ),
    "touches a weight": (stepped(lambda r: _in_place(_weight(r), 1 + 1e-6)), "weights"),
    "writes a weight as it was": (stepped(lambda r: _in_place(_weight(r), 1.0)), "versions"),
    "makes gradients": (ran(lambda w: _grad_of(w, 1.0)), "gradients"),
    "takes the gradients away": (stepped(lambda r: _grad_of(r, None)), "gradients"),
    "leaves gradients off": (ended(lambda: torch.set_grad_enabled(False)), "raised"),
    "leaves gradients off at the end": (closing(lambda: torch.set_grad_enabled(False)), "surr"),
    "leaves autocast on": (
        ended(lambda: torch.set_autocast_enabled("cpu", True)),
        "surroundings",
    ),
    "leaves autocast's cache off": (
        ended(lambda: torch.set_autocast_cache_enabled(False)),
        "surroundings",
    ),
    "leaves a function mode on": (ended(lambda: _push(BaseTorchFunctionMode())), "surroundings"),
    "leaves a dispatch mode on": (ended(lambda: _push(_Dispatch())), "surroundings"),
    "changes the default dtype": (
        ended(lambda: torch.set_default_dtype(torch.float64)),
        "surroundings",
    ),
    "changes the default device": (ended(lambda: torch.set_default_device("cpu")), "surroundings"),
    "changes the number of threads": (
        ended(lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
        "surroundings",
    ),
    "asks for deterministic algorithms": (
        ended(lambda: torch.use_deterministic_algorithms(True)),
        "surroundings",
    ),
    "turns anomaly detection on": (
        ended(lambda: torch.autograd.set_detect_anomaly(True)),
        "surroundings",
    ),
    "turns the fused path off": (
        ended(lambda: torch.backends.mha.set_fastpath_enabled(False)),
        "surroundings",
    ),
    "changes cudnn's flags": (
        ended(lambda: setattr(torch.backends.cudnn, "benchmark", True)),
        "surroundings",
    ),
    "changes how numpy takes errors": (closing(lambda: np.seterr(all="ignore")), "surroundings"),
    "sets an environment variable": (
        ended(lambda: os.environ.update(OMP_SABOTAGE="1")),
        "surroundings",
    ),
    "goes to another directory": (ended(lambda: os.chdir("/")), "surroundings"),
    "turns the garbage collector off": (ended(gc.disable), "surroundings"),
    "takes the signal of Ctrl-C": (
        ended(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)),
        "surroundings",
    ),
    "leaves a profiler on": (closing(lambda: sys.setprofile(_nothing)), "surroundings"),
    "changes an output in place": (responded(lambda out: _in_place(out, 1.001)), ""),
    "changes an output in place, unseen by autograd": (
        responded(lambda out: out.detach().numpy().__imul__(np.float32(1.001))),
        "seen",
    ),
    "freezes a parameter": (ran(lambda w: _weight(w).requires_grad_(False)), "requires_grad"),
    "adds an attribute": (ran(lambda w: setattr(model_of(w).fc, "recorded", True)), "attributes"),
    "adds a submodule": (
        ran(lambda w: model_of(w).add_module("seer", nn.Identity())),
        "attributes",
    ),
    "adds a buffer": (
        ran(lambda w: model_of(w).register_buffer("sums", torch.zeros(2))),
        "state_dict",
    ),
    "wraps the forward": (
        ran(lambda w: setattr(model_of(w).fc, "forward", model_of(w).fc.forward)),
        "attributes",
    ),
    "changes the inputs": (
        (Forwards, "_begin", lambda _, __, args, ___: args[0].add_(0.5)),
        "seen",
    ),
    "changes the labels": (ran(lambda w: w._now.labels.zero_()), "seen"),
    "raises into the loop": (ended(lambda: 1 / 0), "raised"),
    "raises at a step": (stepped(lambda _: 1 / 0), "raised"),
}


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@pytest.fixture
def restored() -> Iterator[None]:
    """What saboteurs leave in the process is put back."""
    modes = [torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()]
    threads, directory = torch.get_num_threads(), Path.cwd()
    errors, interrupt = np.geterr(), signal.getsignal(signal.SIGINT)
    benchmark = torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        while torch._C._len_torch_function_stack() > modes[0]:
            torch._C._pop_torch_function_stack()
        while torch._C._len_torch_dispatch_stack() > modes[1]:
            torch._C._pop_torch_dispatch_stack(None)
        torch.set_default_device(None)
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled("cpu", False)
        torch.set_autocast_cache_enabled(True)
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        torch.autograd.set_detect_anomaly(False)
        torch.backends.mha.set_fastpath_enabled(True)
        torch.backends.cudnn.benchmark = benchmark
        os.environ.pop("OMP_SABOTAGE", None)
        os.chdir(directory)
        gc.enable()
        gc.unfreeze()
        sys.setprofile(None)
        np.seterr(**errors)
        signal.signal(signal.SIGINT, interrupt)
        for one in KEPT:
            if hasattr(one, "remove"):
                one.remove()
        KEPT.clear()


@contextmanager
def _careless(*_: Any, **__: Any) -> Any:
    yield


@contextmanager
def _stays_in_eval(model: nn.Module, **_: Any) -> Any:
    model.eval()
    with torch.no_grad():
        yield


@contextmanager
def _forgets_buffers(model: nn.Module, **_: Any) -> Any:
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    with torch.no_grad():
        yield
    for module, mode in modes:
        module.training = mode


@contextmanager
def _forgets_frozen(model: nn.Module, **_: Any) -> Any:
    buffers = [(b, b.clone()) for b in model.buffers()]
    model.eval()
    with torch.no_grad():
        yield
        for buffer, before in buffers:
            buffer.copy_(before)
    for module in model.modules():
        module.training = True


@contextmanager
def _touches_weights(model: nn.Module, **_: Any) -> Any:
    with guard.same_model(model):
        yield
    with torch.no_grad():
        next(model.parameters()).mul_(1.0000001)


@contextmanager
def _touches_gradients(model: nn.Module, **_: Any) -> Any:
    with guard.same_model(model):
        yield
    for p in model.parameters():
        p.grad = torch.zeros_like(p)


class _Replacing(Hook):
    """Returns something, which torch then takes for the module's output."""

    def __call__(self, *args: Any) -> Any:
        super().__call__(*args)
        output = args[-1]
        return output * 1.001 if isinstance(output, torch.Tensor) else None


class _Detaching(Hook):
    def __call__(self, *args: Any) -> Any:
        super().__call__(*args)
        return args[-1].detach() if isinstance(args[-1], torch.Tensor) else None


class _Swallowing(blocks.WindowBlock):
    def __exit__(self, *error: Any) -> Any:
        super().__exit__(*error)
        return True


BREAKAGES: dict[str, tuple[Any, str, Any, str]] = {
    "random states are not put back": (running, "same_randomness", _careless, "torch"),
    "the model stays in eval mode": (running, "same_model", _stays_in_eval, "modes"),
    "buffers are not put back": (running, "same_model", _forgets_buffers, "buffers"),
    "every module is put in train mode": (running, "same_model", _forgets_frozen, "modes"),
    "weights are touched by the probe": (running, "same_model", _touches_weights, "weights"),
    "gradients are touched": (running, "same_model", _touches_gradients, "gradients"),
    "a loader's generator is used up": (probe, "same_generators", _careless, "seen"),
    "random states of the probe's draw stay": (probe, "same_randomness", _careless, "torch"),
    "a hook replaces outputs": ("huelapse.capture.watch", "Hook", _Replacing, "seen"),
    "a hook cuts outputs off their graph": ("huelapse.capture.watch", "Hook", _Detaching, ""),
    "the user's exception is swallowed": (
        "huelapse.recording.calls",
        "WindowBlock",
        _Swallowing,
        "seen",
    ),
}
