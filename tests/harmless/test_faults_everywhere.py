"""A fault anywhere in the recorder, while a training is under way, is one warning and no harm.

Every function of `huelapse.capture` and `huelapse.recording` that is reached after the first batch
is made to raise once, one after the other, and the training is compared with one without a recorder.
"""

import importlib
import inspect
import pkgutil
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from loops import evaluate
from matrix import Left, Recording, everything, in_memory, train, unlike, without  # noqa: F401
from nets import Functional, Restless
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.swa_utils import AveragedModel

import huelapse
from conftest import batches
from huelapse import HuelapseWarning

PACKAGES = ("huelapse.capture", "huelapse.recording")

THE_LOOPS_OWN = {
    # what the user's loop calls itself: there is nothing around them that could catch it
    *(f"recording.recorder.Recorder.{name}" for name in ("step", "window", "probing", "snapshot")),
    *(f"recording.recorder.Recorder.{name}" for name in ("close", "end")),
    *(f"recording.blocks.WindowBlock.{name}" for name in ("__enter__", "__exit__")),
    "recording.blocks.Probing.labels",
    # they raise into the loop on purpose: the recorder was closed, a name that cannot be
    "recording.recorder.Recorder._refuse_closed",
}

WHAT_PUTS_BACK = {
    # if these do not do their work, nobody else can: all other modules are put back none the less
    "capture.guard._Kept.put_back",
    "capture.guard._same_bits",
}


class Fault:
    """Where calls are counted, and one of them raises."""

    def __init__(self) -> None:
        self.armed = False
        self.calls: Counter[str] = Counter()
        self.target: str | None = None
        self.at = 1
        self.fired = 0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if self.armed:
                self.calls[name] += 1
                if name == self.target and self.calls[name] == self.at:
                    self.fired += 1
                    raise RuntimeError(f"injected into {name}")
            return function(*args, **kwargs)

        return wrapped


FAULT = Fault()


def functions() -> Iterator[tuple[str, Any, str, Any]]:
    """(name, owner, attribute, what is there) of every function, method and property."""
    for package in PACKAGES:
        home = importlib.import_module(package)
        for info in pkgutil.iter_modules(home.__path__, f"{package}."):
            module = importlib.import_module(info.name)
            short = info.name.removeprefix("huelapse.")
            for name, value in list(vars(module).items()):
                if getattr(value, "__module__", None) != info.name:
                    continue
                if inspect.isfunction(value):
                    yield f"{short}.{name}", module, name, value
                elif inspect.isclass(value):
                    for attribute, inside in list(vars(value).items()):
                        if inspect.isfunction(inside) or isinstance(inside, property):
                            yield f"{short}.{name}.{attribute}", value, attribute, inside


def install(monkeypatch: pytest.MonkeyPatch, only: str | None = None) -> None:
    """Every function is counted, and may raise; with `only`, that one alone."""
    for name, owner, attribute, value in list(functions()):
        if only is not None and name != only:
            continue
        if isinstance(value, property):
            assert value.fget is not None
            monkeypatch.setattr(owner, attribute, property(FAULT.wrap(name, value.fget)))
            continue
        wrapped = FAULT.wrap(name, value)
        if inspect.isclass(owner):
            monkeypatch.setattr(owner, attribute, wrapped)
            continue
        for module in list(sys.modules.values()):  # wherever it was imported to
            if getattr(module, "__name__", "").startswith("huelapse"):
                for bound, there in list(vars(module).items()):
                    if there is value:
                        monkeypatch.setattr(module, bound, wrapped)


class Both(nn.Module):
    """Something for every part: modules, functions, a join, randomness, a buffer that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.modules_, self.functions = Restless(), Functional()

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.modules_(x) + self.functions(x)


def eventful(recording: Recording) -> Left:
    """Every way of recording, in turn. Faults begin after the first of each."""
    model = Both()
    average = AveragedModel(model)
    average.update_parameters(model)
    left = Left([model], [torch.optim.Adam(model.parameters(), 0.01)])
    recorded = recording.of(
        model,
        strict=False,
        response=("mean", "peak"),
        groupings={
            "coarse": (["a", "b"], [0, 1, 1]),
            "correct": (["no", "yes"], lambda y, out, _: (out.argmax(1) == y).long()),
        },
        schedule=3,
    )
    x, y = batches(96, seed=1)
    model.train()
    for i, (inputs, labels) in enumerate(zip(x.split(12), y.split(12), strict=True)):
        with recorded.window(labels, ids=[f"{i} {j // 2}" for j in range(12)]):
            output = model(inputs)
        loss = F.cross_entropy(output, labels)
        left.seen.append(loss.detach().clone())
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss, epoch=i / 8)
        del output, loss
        if i % 2 == 0:
            evaluate(recorded, model, left)
            recorded.snapshot(average, split="ema")
        FAULT.armed = True
    return left


@contextmanager
def no_fault_left() -> Iterator[None]:
    FAULT.__init__()
    try:
        yield
    finally:
        FAULT.armed = False


def reached() -> dict[str, int]:
    """Name → how often it is called after the first batch, by the loop's own thread or another."""
    with pytest.MonkeyPatch.context() as patched, no_fault_left():
        import tempfile

        install(patched)
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            warnings.simplefilter("error")
            train(eventful, "all", Path(place, "run"))
        return dict(FAULT.calls)


REACHED = reached()


def test_faults_are_put_where_recording_happens() -> None:
    """Not few places, and those that matter among them."""
    assert len(REACHED) > 120
    for name in ("Forwards._respond", "Watch.function", "Accumulator.fold", "Taking.hand_over"):
        assert any(one.endswith(name) for one in REACHED), name


@pytest.mark.parametrize("when", ["first", "last"])
@pytest.mark.parametrize("name", sorted(REACHED.keys() - THE_LOOPS_OWN - WHAT_PUTS_BACK))
def test_a_fault_in(name: str, when: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if when == "last" and REACHED[name] == 1:
        return  # the same as the first
    expected = without(eventful)
    threads = threading.active_count()
    with no_fault_left(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        install(monkeypatch, only=name)
        FAULT.target, FAULT.at = name, 1 if when == "first" else REACHED[name]
        found = train(eventful, "all", place, strictly=False)
        monkeypatch.undo()
        assert FAULT.fired <= 1
        if when == "first":
            assert FAULT.fired == 1
    assert "raised" not in found, found.get("raised")
    different = [part for key in expected for part in unlike(expected[key], found[key], key)]
    assert different == []
    ours = [w for w in warned if issubclass(w.category, HuelapseWarning)]
    assert [name in str(w.message) for w in ours] == [True] * FAULT.fired
    assert not [w for w in warned if not issubclass(w.category, HuelapseWarning)]
    assert threading.active_count() <= threads
    if FAULT.fired:
        run = huelapse.open(place.with_name(f"{place.name}0"))
        assert run.status == "interrupted"
        assert name in run.facts["gaps"][0]["reason"]
