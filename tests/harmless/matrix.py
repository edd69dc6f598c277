"""Trainings with and without a recorder, and the comparison of everything they leave behind.

A *loop* is a whole training: it builds its model, trains it for a few steps, and returns what it
leaves. It is run twice, with a recorder and with nothing in its place, and `differences` names what
is not bit for bit the same. The same comparison judges the saboteurs (test_saboteurs.py).
"""

import copy
import gc
import io
import os
import pickle
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from surroundings import surroundings
from torch import Tensor, nn

import huelapse
from conftest import batches
from huelapse import Recorder
from huelapse.capture import process_rank

WINDOW = 24
"""Samples of a window: with batches of 16 one of them straddles two windows."""

HELD_OUT = batches(30, seed=5)

WAYS = {
    "probe": {"probe"},
    "windows": {"windows"},
    "both": {"probe", "windows"},
    "own": {"own"},
    "all": {"probe", "windows", "own"},
}
"""Name → what is recorded: the built-in probe, windows of training samples, own evaluations."""


class Recording:
    """What a loop is given: makes its recorders, or what does nothing in their place."""

    def __init__(self, way: str | None, place: Path | None) -> None:
        """
        Args:
            way: one of `WAYS`; None to train without a recorder.
            place: directory for the runs of the recorders.
        """
        self._parts = set() if way is None else WAYS[way]
        self._place = place
        self.made: list[Recorder] = []

    def of(self, model: nn.Module, *, probe: Any = None, **options: Any) -> "Recorded":
        """A recorder of this model, probing `probe` (inputs, labels) where probes are recorded."""
        if not self._parts:
            return Recorded(None, self._parts)
        assert self._place is not None
        recorder = Recorder(
            model,
            self._place.with_name(f"{self._place.name}{len(self.made)}"),
            **{
                "classes": 3,
                "probe": (HELD_OUT if probe is None else probe) if "probe" in self._parts else None,
                "window": WINDOW if "windows" in self._parts else None,
                "window_schedule": 1,
                "schedule": 3,
                "probe_budget": None,
                "strict": True,
                **options,
            },
        )
        self.made.append(recorder)
        return Recorded(recorder, self._parts)

    def check(self, strictly: bool = True) -> None:
        """The recorders did record: a harmless one that does nothing proves nothing."""
        for recorder in self.made:
            recorder.close()
            if not strictly:
                recorder.end("interrupted")  # as the program's end does where closing has failed
                continue
            assert recorder._filing._writer is not None
            recorder._filing._writer._thread.join(60)  # a busy machine may need longer than 5 s
            if process_rank()[0] > 0:  # its shares are in rank 0's run
                assert recorder._filing.error is None
                continue
            run = huelapse.open(recorder.run)
            found = {split.name: len(run.coordinate("step", split.name)) for split in run.splits}
            assert run.facts["gaps"] == []
            for part, split in (("probe", "val"), ("windows", "train"), ("own", "mine")):
                if part in self._parts:
                    assert found.get(split), f"nothing was recorded of {part}: {found}"


class Recorded:
    """A recorder as a loop sees it; parts that are not recorded do nothing."""

    def __init__(self, recorder: Recorder | None, parts: set[str]) -> None:
        self.recorder = recorder
        self._parts = parts

    def window(self, labels: Any, **known: Any) -> Any:
        if self.recorder is None or "windows" not in self._parts:
            return nullcontext()
        return self.recorder.window(labels, **known)

    def step(self, **scalars: Any) -> None:
        if self.recorder is not None:
            self.recorder.step(**scalars)

    @contextmanager
    def probing(self) -> Iterator[Any]:
        if self.recorder is None or "own" not in self._parts:
            yield _NoLabels()
            return
        with self.recorder.probing("mine") as probing:
            yield probing

    def snapshot(self, *args: Any, **options: Any) -> None:
        if self.recorder is not None and "probe" in self._parts:
            self.recorder.snapshot(*args, **options)


class _NoLabels:
    def labels(self, *_: Any, **__: Any) -> None:
        pass


@dataclass
class Left:
    """What a training leaves behind."""

    models: list[nn.Module]
    optimizers: list[Any] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    """What the loop saw on its way: outputs, losses, exceptions."""
    others: list[Any] = field(default_factory=list)
    """Anything else with a state: generators, gradient scalers."""


@pytest.fixture(name="place")
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """Where a run may be written, in memory if that is possible: what waits on a disk is not ours
    to test here, and there are many runs."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=memory if usable else tmp_path) as memory_or_disk:
        yield Path(memory_or_disk, "run")


Loop = Callable[[Recording], Left]

LOOPS: dict[str, Loop] = {}


CASES: list[tuple[str, str]] = []
"""(name of a loop, way)."""

FIRST = ("windows", "own", "all")
"""Ways for loops in which it matters who finds the layers: the user's forward, or a probe's."""


def loop(name: str, ways: Iterable[str] = ("all",)) -> Callable[[Loop], Loop]:
    """Register a loop, and the ways in which it is to be run."""

    def register(one: Loop) -> Loop:
        assert name not in LOOPS
        LOOPS[name] = one
        CASES.extend((name, way) for way in ways)
        return one

    return register


def train(
    one: Loop, way: str | None, place: Path | None, *, strictly: bool = True
) -> dict[str, Any]:
    """Everything that is there after a training; what it raised is part of it.

    Args:
        strictly: whether recording must have succeeded.
    """
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    recording = Recording(way, place)
    gc.collect()
    gc.freeze()  # what is older than this training is not looked at again
    try:
        left = one(recording)
        result = everything(left) | {"graphs": graphs()}
    except Exception as error:
        result = {"raised": f"{type(error).__name__}: {error}"}
        for recorder in recording.made:
            recorder.end("interrupted")
        return result
    recording.check(strictly)
    # closing too must leave everything alone
    return result | {f"{name} after closing": value for name, value in everything(left).items()}


def differences(one: Loop, way: str, place: Path) -> list[str]:
    """Names of what a recorder has changed."""
    alone, recorded = without(one), train(one, way, place)
    if recorded.keys() != alone.keys():
        return [f"raised: {left['raised']}" for left in (alone, recorded) if "raised" in left]
    return [name for part in alone for name in unlike(alone[part], recorded[part], part)]


def without(one: Loop) -> dict[str, Any]:
    """Everything a training leaves without a recorder."""
    if one not in _WITHOUT:
        _WITHOUT[one] = train(one, None, None)
    return _WITHOUT[one]


_WITHOUT: dict[Loop, dict[str, Any]] = {}
"""Loop → everything it leaves without a recorder."""


def everything(left: Left) -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state(),
        "numpy": pickle.dumps(np.random.get_state()),
        "random": random.getstate(),
        "seen": copied(left.seen),
        "others": [_state(one) for one in left.others],
        "optimizer": [copied(one.state_dict()) for one in left.optimizers],
        "weights": [copied(list(model.parameters())) for model in left.models],
        "gradients": [[copied(p.grad) for p in model.parameters()] for model in left.models],
        "buffers": [copied(list(model.buffers())) for model in left.models],
        "modes": [[m.training for m in model.modules()] for model in left.models],
        "requires_grad": [[p.requires_grad for p in model.parameters()] for model in left.models],
        "state_dict": [_saved(model) for model in left.models],
        "hooks": [hooks(model) for model in left.models],
        "attributes": [attributes(model) for model in left.models],
        "versions": [versions(model) for model in left.models],
        "surroundings": surroundings(),
    }


def _state(one: Any) -> Any:
    if isinstance(one, torch.Generator):
        return one.get_state()
    return copied(one.state_dict()) if hasattr(one, "state_dict") else copied(one)


def _saved(model: nn.Module) -> bytes:
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    return stream.getvalue()


HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_state_dict_hooks"),
    *("_forward_pre_hooks_with_kwargs", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks"),
    *("_load_state_dict_post_hooks",),
)


def hooks(model: nn.Module) -> list[Any]:
    """How many hooks of each kind are on each module and parameter."""
    of_modules = [[len(m.__dict__.get(name) or ()) for name in HOOKS] for m in model.modules()]
    of_parameters = [
        (len(p._backward_hooks or ()), len(getattr(p, "_post_accumulate_grad_hooks", None) or ()))
        for p in model.parameters()
    ]
    return [of_modules, of_parameters]


def versions(model: nn.Module) -> list[int]:
    """How often each parameter was written to; an embedding's forward may write to its own."""
    return [
        p._version
        for module in model.modules()
        if getattr(module, "max_norm", None) is None
        for p in module.parameters(recurse=False)
    ]


def attributes(model: nn.Module) -> list[Any]:
    """Each module's attributes, as far as they can be compared."""
    return [
        (
            path,
            type(module).__name__,
            {
                name: copied(value)
                for name, value in module.__dict__.items()
                if name not in HOOKS and name not in ("_parameters", "_buffers", "_modules")
            },
            [list(module._parameters), list(module._buffers), list(module._modules)],
            sorted(module._non_persistent_buffers_set),
        )
        for path, module in model.named_modules()
    ]


def graphs() -> int:
    """Tensors of this training that still hold a graph, of those Python knows."""
    gc.collect()
    found = [one for one in gc.get_objects() if issubclass(type(one), Tensor)]
    return sum(one.grad_fn is not None for one in found)


def copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {name: copied(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [copied(member) for member in value]
    plain = (bool, int, float, complex, str, bytes, set, frozenset, type, type(None))
    plain = (*plain, torch.dtype, torch.device, torch.layout, torch.Size)
    return copy.copy(value) if isinstance(value, plain) else type(value).__name__


def unlike(a: Any, b: Any, name: str) -> Iterator[str]:
    """Names of what is not bit for bit the same: a NaN equals the same NaN, and 0 is not -0."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for key in a:
            yield from unlike(a[key], b[key], f"{name}.{key}")
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from unlike(x, y, f"{name}[{i}]")
    elif not _same(a, b):
        yield name


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if (a.dtype, a.shape, a.layout) != (b.dtype, b.shape, b.layout):
            return False
        if a.is_sparse:
            return torch.equal(a.to_dense(), b.to_dense())
        return a.stride() == b.stride() and torch.equal(_bits(a), _bits(b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
