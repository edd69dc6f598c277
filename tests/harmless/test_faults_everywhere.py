"""A fault anywhere in the recorder, while a training is under way, is one warning and no harm.

Every function of `huelapse.capture` and `huelapse.recording` that is reached after the first batch
is made to raise once, one after the other, and the training is compared with one without a recorder.
"""

import importlib
import inspect
import pkgutil
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from loops import evaluate
from matrix import Left, Recording, in_memory, train, unlike, without  # noqa: F401
from nets import Functional, Restless
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.swa_utils import AveragedModel

import huelapse
from conftest import batches
from huelapse import HuelapseWarning
from huelapse.recording import ending

PACKAGES = ("huelapse.capture", "huelapse.recording")

OUTERMOST = {
    # what the user's loop calls itself: there is nothing around them that could catch it
    *(f"recording.calls.Calls.{name}" for name in ("step", "window", "probing", "snapshot")),
    *(f"recording.begun.Begun.{name}" for name in ("close", "end")),
    *(f"recording.blocks.WindowBlock.{name}" for name in ("__enter__", "__exit__")),
    *(f"recording.blocks.Probing.{name}" for name in ("__init__", "labels")),
    # they raise into the loop on purpose: the recorder was closed
    "recording.begun.Begun._refuse_closed",
    # what torch calls: they catch all else
    *("capture.watch.Hook.__call__", "capture.watch._Mode.__torch_function__"),
    # what puts back: nobody else can; all other modules are put back none the less
    *("capture.guard._Kept.put_back", "capture.guard._same_bits"),
}
"""Functions in which a fault is not looked for."""

NO_GAP = {
    "capture.scalars._check",  # a scalar that is left out: recording goes on
    "recording.ending.ended",  # all has been written
    "recording.ending._give_signal_back",
}
"""Where a fault is told, but is none of the run's."""


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
    x, y = batches(60, seed=1)
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
        if i in (0, 2):
            evaluate(recorded, model, left)
        if i in (0, 3):
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
        # a fault while a recorder was ending has left the program's end to it
        for one in list(ending._open):
            ending.ended(one)
        ending._give_signal_back()


@pytest.fixture(scope="module")
def reached() -> dict[str, int]:
    """Name → how often it is called after the first batch, by the loop's own thread or another."""
    with pytest.MonkeyPatch.context() as patched, no_fault_left():
        install(patched)
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            warnings.simplefilter("error")
            train(eventful, "all", Path(place, "run"))
        return dict(FAULT.calls)


def test_faults_are_put_where_recording_happens(reached: dict[str, int]) -> None:
    """Not few places, and those that matter among them."""
    assert len(reached) > 120
    for name in ("Forwards._respond", "Watch.function", "Accumulator.fold", "Taking.hand_over"):
        assert any(one.endswith(name) for one in reached), name


PARTS = 12
"""The functions are shared out among so many tests."""


@pytest.mark.parametrize("part", range(PARTS))
def test_a_fault_is_one_warning_and_no_harm(
    part: int, place: Path, reached: dict[str, int]
) -> None:
    problems = {}
    for name in sorted(reached.keys() - OUTERMOST)[part::PARTS]:
        problems[name] = injected(name, 1, place.with_name(name))
    assert not {name: found for name, found in problems.items() if found}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_fault_at_the_last_call_is_one_warning_and_no_harm(
    part: int, place: Path, reached: dict[str, int]
) -> None:
    problems = {}
    for name in sorted(reached.keys() - OUTERMOST)[part::PARTS]:
        problems[name] = injected(name, reached[name], place.with_name(name))
    assert not {name: found for name, found in problems.items() if found}


def injected(name: str, at: int, place: Path) -> list[str]:
    """What is not as it should be when a function raises at its call number `at`."""
    expected = without(eventful)
    threads = threading.active_count()
    with (
        no_fault_left(),
        warnings.catch_warnings(record=True) as warned,
        pytest.MonkeyPatch.context() as patched,
    ):
        warnings.simplefilter("always")
        install(patched, only=name)
        FAULT.target, FAULT.at = name, at
        began = time.monotonic()
        found = train(eventful, "all", place, strictly=False)
        seconds = time.monotonic() - began
    if "raised" in found:
        return [f"raised into the loop: {found['raised']}"]
    problems = [part for key in expected for part in unlike(expected[key], found[key], key)]
    if not FAULT.fired:  # the writer's thread calls now a little earlier, now later
        return [*problems, *(["it was not called"] if at == 1 else [])]
    said = [str(w.message) for w in warned]
    if len(said) != 1 or name not in said[0] or warned[0].category is not HuelapseWarning:
        problems.append(f"not one warning: {said}")
    patience = time.monotonic() + 20  # a writer that was left behind ends with what it writes
    while threading.active_count() > threads and time.monotonic() < patience:
        time.sleep(0.02)
    if threading.active_count() > threads:
        problems.append("a thread is left")
    if seconds > 20:
        problems.append(f"took {seconds:.0f} s")
    run = huelapse.open(place.with_name(f"{place.name}0"))
    if name in NO_GAP or (
        at > 1 and run.status == "complete"
    ):  # the last call may be after the end
        return problems if run.facts["gaps"] == [] else [*problems, "a gap without reason"]
    if run.status != "interrupted" or name not in run.facts["gaps"][0]["reason"]:
        problems.append(f"the run says {run.status}, {run.facts['gaps']}")
    return problems
