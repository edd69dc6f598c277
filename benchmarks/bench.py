"""A network, a batch and a recorder to measure, and the clocks for it."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import torch
from models import MODELS
from torch import nn
from torch.nn import functional as F  # noqa: N812

import huelapse
from huelapse.schema import Layer


@dataclass(frozen=True, slots=True)
class Case:
    """What is recorded of which network."""

    model: str
    mode: str
    """train, by `window`; or eval, by `probing`."""
    layers: str
    """all: every leaf; default: activations and residual joins."""
    classes: int
    every: int
    """1: every batch; 8: every 8th."""

    @property
    def name(self) -> str:
        return f"{self.model}_{self.mode}_{self.layers}_k{self.classes}_every{self.every}"


class HookClock:
    """Processor time that passes between the first and the last hook of each module.

    What the recorder puts in between is thus measured from outside, with all that Python does to
    call it. Its own price, measured on a forward without a recorder, is taken off.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = list(model.modules())
        self._since = 0.0
        self.seconds = 0.0

    @contextmanager
    def first(self) -> Generator[None]:
        """To be entered before the recorder attaches its hooks."""

        def start(*_: Any) -> None:
            self._since = time.process_time()

        with self._hooked(start):
            yield

    @contextmanager
    def last(self) -> Generator[None]:
        """To be entered after the recorder has attached its hooks."""

        def stop(*_: Any) -> None:
            self.seconds += time.process_time() - self._since

        with self._hooked(stop):
            yield

    @contextmanager
    def _hooked(self, hook: Callable[..., None]) -> Generator[None]:
        handles = [m.register_forward_pre_hook(hook) for m in self._modules]
        handles += [m.register_forward_hook(hook) for m in self._modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def timed(self, call: Callable[[], Any]) -> Any:
        """Of what the recorder does outside the forward."""
        started = time.process_time()
        result = call()
        self.seconds += time.process_time() - started
        return result


class Bench:
    """Steps of one network on one batch, with and without the recorder."""

    def __init__(self, case: Case, batch: int, folder: Path) -> None:
        torch.manual_seed(0)
        self.case = case
        self.model = MODELS[case.model](case.classes)
        self.images = torch.randn(batch, 3, 32, 32)
        self.labels = torch.randint(0, case.classes, (batch,))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self._written = threading.Event()
        self.recorder = huelapse.Recorder(
            self.model,
            folder / "run",
            classes=case.classes,
            layers="all" if case.layers == "all" else None,
            window=10**9 if case.mode == "train" else None,
            window_schedule=1,
            window_every=case.every,
            on_commit=lambda _split, _step: self._written.set(),
            strict=True,
        )

    def cost(self) -> dict[str, float]:
        return self.recorder.cost()

    def _learn(self, output: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(output, self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self, batches: int = 1) -> None:
        """Bare steps of a training, or the forwards of an evaluation."""
        self.model.train(self.case.mode == "train")
        for _ in range(batches):
            if self.case.mode == "train":
                self._learn(self.model(self.images))
                continue
            with torch.no_grad():
                self.model(self.images)

    def recorded_step(self, batches: int = 1) -> None:
        """The same with the recorder; an evaluation ends with its snapshot."""
        self.model.train(self.case.mode == "train")
        if self.case.mode == "eval":
            self._written.clear()
            with torch.no_grad(), self.recorder.probing("val") as probing:
                for _ in range(batches):
                    self.model(self.images)
                    probing.labels(self.labels)
            self._written.wait(60)
            return
        for _ in range(batches):
            with self.recorder.window(self.labels):
                output = self.model(self.images)
            self.recorder.step(loss=self._learn(output))

    def recorded_forwards(self, n: int, clock: HookClock | None = None) -> float:
        """Seconds that the recorder takes of `n` forwards: hooks, their coming and going, folds."""
        clock = clock or HookClock(self.model)
        clock.seconds = 0.0
        self.model.train(self.case.mode == "train")
        with clock.first(), clock.last():
            self.model(self.images)
        own, clock.seconds = clock.seconds, 0.0
        with clock.first():
            if self.case.mode == "train":
                for _ in range(n):
                    self._window(clock)
            else:
                self._evaluation(n, clock)
        return clock.seconds - n * own

    def _window(self, clock: HookClock) -> None:
        block = clock.timed(lambda: self.recorder.window(self.labels))
        clock.timed(block.__enter__)
        with clock.last():
            self.model(self.images)
        clock.timed(lambda: block.__exit__(None, None, None))

    def _evaluation(self, n: int, clock: HookClock) -> None:
        """Without the hand-over at its end, which is the snapshot's price and not the batches'."""
        block = self.recorder.probing("val")
        with torch.no_grad():
            probing = clock.timed(block.__enter__)
            for _ in range(n):
                with clock.last():
                    self.model(self.images)
                clock.timed(lambda: probing.labels(self.labels))
            self._written.clear()
            block.__exit__(None, None, None)
            self._written.wait(60)  # else the writer's thread would be in the next one's time


def one_read(layers: Sequence[Layer], batch: int, repeats: int) -> float:
    """Seconds to read each activation once by `torch.mean(out=…)`: the least there is to pay.

    Layers that are one number per unit are copied, as they must be.
    """
    found: list[tuple[torch.Tensor, list[int], torch.Tensor]] = []
    for layer in layers:
        tensor = torch.ones(batch, *layer.shape)
        positions = [d for d in range(1, tensor.ndim) if d != layer.unit_axis]
        found.append((tensor, positions, torch.empty(batch, layer.units)))
    seconds: list[float] = []
    for _ in range(repeats):
        started = time.process_time()
        for tensor, positions, out in found:
            if positions:
                torch.mean(tensor, positions, out=out)
            else:
                out.copy_(tensor.reshape(out.shape))
        seconds.append(time.process_time() - started)
    return harness.median(seconds)


def paired(
    without: Callable[[], object], recorded: Callable[[], object], pairs: int
) -> tuple[float, float]:
    """(median ratio of processor times, its standard error), in turns, each first by turns."""
    ratios: list[float] = []
    for i in range(pairs):
        taken: dict[bool, float] = {}
        for which in (True, False) if i % 2 else (False, True):
            started = time.process_time()
            (recorded if which else without)()
            taken[which] = time.process_time() - started
        ratios.append(taken[True] / taken[False])
    middle = harness.median(ratios)
    spread = harness.median([abs(r - middle) for r in ratios])
    # 1.4826: from median absolute deviation to standard deviation; 1.2533: mean to median
    return middle, 1.4826 * 1.2533 * spread / pairs**0.5
