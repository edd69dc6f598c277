"""Nothing in the training's way waits for the device: shown without one.

The model lives on a CUDA device that does not exist: tensors are fake, with shapes and dtypes but
no values, so that nothing that depends on a value can be known. A dispatch mode notes whatever
would make the host wait: reading a value, copying to the host, copying from it without
`non_blocking`, shapes that depend on values.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from matrix import in_memory  # noqa: F401
from nets import Functional, Reader, Recurrent
from nothing import CUDA, Waiting, allow_cuda, on_nothing
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from conftest import SmallNet
from huelapse import Recorder
from huelapse.capture import forwards, guard, sums
from huelapse.capture.accumulator import Accumulator
from huelapse.capture.forwards import Doubt, Forwards
from huelapse.store.thread import WriterThread

BATCH = 8

spec = importlib.util.spec_from_file_location(
    "benchmark_models", Path(__file__).parents[2] / "benchmarks" / "models.py"
)
assert spec is not None and spec.loader is not None
models = importlib.util.module_from_spec(spec)
sys.modules["benchmark_models"] = models
spec.loader.exec_module(models)


@contextmanager
def first_batch_may_wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What waits once, in the first batch, is passed over: there is no value to be read."""
    with monkeypatch.context() as patched:
        patched.setattr(forwards.Doubt, "resolve", lambda _: None)
        patched.setattr(guard, "_same_bits", lambda *_: True)
        yield


def images(classes: int = 10) -> tuple[tuple[Tensor, ...], Tensor]:
    return (torch.randn(BATCH, 3, 32, 32),), torch.randint(0, classes, (BATCH,))


def small() -> tuple[tuple[Tensor, ...], Tensor]:
    return (torch.randn(BATCH, 2, 6, 6),), torch.randint(0, 3, (BATCH,))


def words() -> tuple[tuple[Tensor, ...], Tensor]:
    return (torch.randint(0, 20, (BATCH, 7)), torch.ones(BATCH, 7, dtype=torch.int64)), (
        torch.randint(0, 3, (BATCH,))
    )


def sequence() -> tuple[tuple[Tensor, ...], Tensor]:
    return (torch.randn(BATCH, 4, 5),), torch.randint(0, 3, (BATCH,))


def several() -> tuple[tuple[Tensor, ...], Tensor]:
    return (torch.randn(BATCH, 2, 6, 6),), torch.randint(0, 2, (BATCH, 3))


Data = Callable[[], tuple[tuple[Tensor, ...], Tensor]]

OWN = {
    "coarse": (["a", "b"], [0, 1, 1]),
    "correct": (["no", "yes"], lambda y, out, _: (out.argmax(1) == y).long()),
    "site": (2, None),
}

CASES: dict[str, tuple[Callable[[], nn.Module], Data, dict[str, Any]]] = {
    "ResNet-18": (lambda: models.ResNet18(10), images, {"classes": 10}),
    "ResNet-18, every leaf, both responses": (
        lambda: models.ResNet18(10),
        images,
        {"classes": 10, "layers": "all", "response": ("mean", "peak")},
    ),
    "CNN": (lambda: models.SmallCNN(10), images, {"classes": 10}),
    "ViT": (lambda: models.ViT(10), images, {"classes": 10, "response": ("mean", "peak")}),
    "ViT, its class token": (lambda: models.ViT(10), images, {"classes": 10, "tokens": "class"}),
    "functions and a join": (Functional, small, {"response": ("peak", "mean")}),
    "LSTM": (Recurrent, sequence, {"response": ("mean", "peak")}),
    "LSTM, its last token": (Recurrent, sequence, {"tokens": "last"}),
    "tokens under a mask": (Reader, words, {"response": ("mean", "peak")}),
    "tokens under a mask, the last": (Reader, words, {"tokens": "last"}),
    "groupings and ids": (SmallNet, small, {"groupings": OWN}),
    "several classes per sample": (SmallNet, several, {"multilabel": True}),
    "probabilities": (
        lambda: nn.Sequential(SmallNet(), nn.Softmax(1)),
        small,
        {"output": "probability"},
    ),
    "labels that are ignored, windows of every second batch": (
        SmallNet,
        small,
        {"ignore_index": 2, "window_every": 2},
    ),
}


def train_on_nothing(
    case: str, place: Path, monkeypatch: pytest.MonkeyPatch, *, batches: int = 7
) -> tuple[Waiting, list[Any], Recorder]:
    """A training on a device that does not exist: what it would have waited for, what it wrote."""
    build, data, options = CASES[case]
    allow_cuda()
    written: list[Any] = []
    monkeypatch.setattr(WriterThread, "put", lambda _, pending, __: written.append(pending) or True)
    waiting = Waiting()
    with ExitStack() as stack, FakeTensorMode(allow_non_fake_inputs=False):
        model = on_nothing(build)
        options = {"classes": 3, "output": "logits", "window_schedule": 1, **options}
        recorder = Recorder(model, place, window=2 * BATCH + 3, strict=True, **options)
        stack.callback(recorder.end, "interrupted")
        with CUDA:
            inputs, labels = data()
        for i in range(batches):
            groups: dict[str, Any] = {}
            if "groupings" in options:
                groups = {"site": labels % 2, "ids": [f"{i * j}" for j in range(BATCH)]}
            with first_batch_may_wait(monkeypatch) if i == 0 else waiting:
                with recorder.window(labels, **groups):
                    output = (
                        model(inputs[0], attention_mask=inputs[1])
                        if isinstance(model, Reader)
                        else model(*inputs)
                    )
                logits = output["logits"] if isinstance(output, dict) else output
                loss = logits.sum() if labels.ndim > 1 else F.cross_entropy(logits, labels)
                recorder.step(loss=loss, epoch=i / batches)
    assert recorder._taking.window is not None
    recorded = len(range(0, batches, options.get("window_every", 1)))
    assert recorder._taking.window.batches == recorded
    return waiting, written, recorder


pytestmark = pytest.mark.filterwarnings(
    "ignore:PyTorch was compiled without cuDNN", "ignore:Accessing the data pointer of FakeTensor"
)


@pytest.mark.parametrize("case", CASES)
def test_a_training_never_waits_for_the_device(
    case: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, written, recorder = train_on_nothing(case, place, monkeypatch)
    assert waiting.found == []
    assert waiting.operations > 100
    assert recorder.layers
    forwarded = BATCH * (4 if "window_every" in CASES[case][2] else 7)
    assert [pending.split for pending in written] == ["train"] * (forwarded // (2 * BATCH + 3))


def after_first_batch() -> bool:
    return any(isinstance(mode, Waiting) for mode in _get_current_dispatch_mode_stack())


def _item(_one: Any, _index: int, output: Tensor) -> None:
    output.mean().item()


def _cpu(_one: Any, _index: int, output: Tensor) -> None:
    output.detach().cpu()


def _mask(_one: Any, _index: int, output: Tensor) -> None:
    output[output.flatten(1).amax(1) > 0]


def _nonzero(_one: Any, _index: int, output: Tensor) -> None:
    output.nonzero()


def _if(_one: Any, _index: int, output: Tensor) -> None:
    if output.isfinite().all():
        pass


def _list(_one: Any, _index: int, output: Tensor) -> None:
    output.sum().tolist()


def _onto_host(_one: Any, _index: int, output: Tensor) -> None:
    torch.empty(output.shape).copy_(output.detach())


def _from_host(_one: Any, _index: int, output: Tensor) -> None:
    torch.ones(len(output)).to(output.device)


def _select(_one: Any, _index: int, output: Tensor) -> None:
    output.masked_select(output > 0)


def _unique(_one: Any, _index: int, output: Tensor) -> None:
    output.unique()


@pytest.mark.parametrize(
    "act", [_item, _cpu, _mask, _nonzero, _if, _list, _onto_host, _from_host, _select, _unique]
)
def test_a_recorder_that_waits_in_a_hook_is_noticed(
    act: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Forwards._respond

    def waits(self: Forwards, index: int, output: Any) -> None:
        original(self, index, output)
        if after_first_batch():
            act(self, index, output)

    monkeypatch.setattr(Forwards, "_respond", waits)
    found = _noticed("CNN", place, monkeypatch)
    assert found and "test_sync_free" not in found[0]


@pytest.mark.parametrize("where", ["fold", "moments"])
def test_a_fold_or_a_closing_that_waits_is_noticed(
    where: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huelapse.recording.filing import Filing

    if where == "fold":
        fold = Accumulator.fold

        def waits(self: Accumulator, responses: Tensor, rows: Any) -> None:
            fold(self, responses, rows)
            if after_first_batch():
                responses[rows["true"] >= 0].sum()

        monkeypatch.setattr(Accumulator, "fold", waits)
    else:
        hand_over = Filing.hand_over

        def computes(self: Filing, captured: Any, **options: Any) -> None:
            captured.sums["mean"].moments()
            hand_over(self, captured, **options)

        monkeypatch.setattr(Filing, "hand_over", computes)
    assert _noticed("CNN", place, monkeypatch)


def test_a_step_that_reads_its_loss_is_noticed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huelapse.capture import scalars

    original = scalars._check

    def reads(name: str, value: Any) -> Any:
        return float(value) if after_first_batch() else original(name, value)

    monkeypatch.setattr(scalars, "_check", reads)
    assert _noticed("CNN", place, monkeypatch)


def test_deferred_checks_would_be_noticed_if_they_were_not_deferred(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huelapse.capture.assigning import Assigning

    doubts = Assigning.doubts

    def at_once(self: Assigning) -> list[Doubt]:
        found = doubts(self)
        for doubt in found if after_first_batch() else []:
            int(doubt.count)
        return found

    monkeypatch.setattr(Assigning, "doubts", at_once)
    assert _noticed("CNN", place, monkeypatch)


def test_what_is_read_in_another_thread_waits_for_the_stream_of_the_training(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Event:
        """In the place of a CUDA event."""

        def synchronize(self) -> None:
            told.append("waited")

    def now_on(device: torch.device) -> Event:
        assert device == CUDA
        told.append("marked")
        return Event()

    monkeypatch.setattr(sums, "_now_on", now_on)
    monkeypatch.setattr(Doubt, "resolve", lambda _: told.append("read"))
    _, written, _ = train_on_nothing("CNN", place, monkeypatch)
    assert told.count("marked") == len(written) > 0
    told.clear()
    with suppress(Exception):  # there is nothing to be read
        written[0].finish()
    assert told[:2] == ["waited", "read"]


def _noticed(case: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a broken recorder waits for. On fake tensors it then fails, as there is no value."""
    found: list[str] = []
    original = Waiting.__init__

    def noted(self: Waiting) -> None:
        original(self)
        self.found = found

    monkeypatch.setattr(Waiting, "__init__", noted)
    with suppress(Exception):
        train_on_nothing(case, place, monkeypatch)
    return found
