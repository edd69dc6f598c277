"""Trainings of models that are compiled, or trained by several processes."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from loops import evaluate, fit, stream
from matrix import Left, Recording, differences, loop
from nets import Functional
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel

from conftest import SmallNet


@contextmanager
def processes(rank: int = 0, ranks: int = 1, meeting: str | None = None) -> Iterator[None]:
    """A group of processes over gloo; of this one alone, where no meeting point is given."""
    if torch.distributed.is_initialized():  # a library that another test uses has left one
        torch.distributed.destroy_process_group()
    with tempfile.TemporaryDirectory() as place:
        torch.distributed.init_process_group(
            "gloo",
            init_method=f"file://{meeting or Path(place, 'meeting')}",
            rank=rank,
            world_size=ranks,
        )
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()


@loop("DistributedDataParallel of one process", ("windows", "all"))
def distributed(recording: Recording) -> Left:
    with processes():
        model = SmallNet()
        return fit(recording, model, wrapped=DistributedDataParallel(model))


@loop("DistributedDataParallel, accumulating without synchronising")
def distributed_accumulating(recording: Recording) -> Left:
    with processes():
        model = SmallNet()
        wrapped = DistributedDataParallel(model, static_graph=True)
        recorded = recording.of(wrapped)
        left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
        for i, (x, y) in enumerate(stream(size=8)):
            last = i % 2
            with torch.enable_grad() if last else wrapped.no_sync():
                with recorded.window(y):
                    output = wrapped(x)
                F.cross_entropy(output, y).backward()
            if last:
                left.optimizers[0].step()
                left.optimizers[0].zero_grad()
                recorded.step()
            del output
        evaluate(recorded, model, left)
        return left


def afresh(model: nn.Module, model_of: Callable[[nn.Module], Any]) -> Any:
    """The model compiled as if nothing had been before."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of torch's compiler are not ours
        return model_of(model)


def fit_compiled(
    recording: Recording, model: nn.Module, compiled: Any, *, attach_to: nn.Module
) -> Left:
    """Trains the compiled model; the user evaluates the one it was made from."""
    recorded = recording.of(attach_to)
    left = Left([model], [torch.optim.SGD(model.parameters(), 0.1)])
    for i, (x, y) in enumerate(stream()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = F.cross_entropy(compiled(x), y)
        left.seen.append(loss.detach().clone())
        left.optimizers[0].zero_grad()
        loss.backward()
        left.optimizers[0].step()
        recorded.step(loss=loss)
        if i % 3 == 1:
            evaluate(recorded, model, left)
        del loss
    left.seen.append(_compilations())
    return left


def _compilations() -> dict[str, int]:
    """How often torch.compile had to give up, or to begin again."""
    from torch._dynamo.utils import counters

    return dict(counters["stats"]) | dict(counters["graph_break"])


for backend in ("eager", "aot_eager", "inductor"):

    @loop(f"torch.compile, {backend}, before attaching", ("probe",))
    def compiled_before(recording: Recording, backend: str = backend) -> Left:
        model = SmallNet()
        compiled = afresh(model, lambda m: torch.compile(m, backend=backend))
        return fit_compiled(recording, model, compiled, attach_to=compiled)


@loop("torch.compile after attaching", ("probe",))
def compiled_after(recording: Recording) -> Left:
    model = Functional()
    compiled = afresh(model, lambda m: torch.compile(m, backend="eager"))
    return fit_compiled(recording, model, compiled, attach_to=model)


@loop("a model compiled in place", ("probe",))
def compiled_in_place(recording: Recording) -> Left:
    model = SmallNet()
    afresh(model, lambda m: m.compile(backend="eager"))
    return fit_compiled(recording, model, model, attach_to=model)


@loop("a part of the model compiled", ("probe", "own"))
def compiled_part(recording: Recording) -> Left:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU()), nn.Linear(4, 3)
            self.fast: Any = [afresh(self.body, lambda m: torch.compile(m, backend="eager"))]

        def forward(self, x: Tensor) -> Tensor:
            body = self.fast[0] if self.training else self.body
            return self.head(body(x).mean((2, 3)).relu())

    model = Parts()
    return fit_compiled(recording, model, model, attach_to=model)


def train_rank(rank: int, ranks: int, meeting: str, place: str) -> None:
    """One process of a distributed training; what a recorder changed in it is written to a file."""
    torch.set_num_threads(1)

    def one(recording: Recording) -> Left:
        model = SmallNet()
        data = [(x[rank::ranks], y[rank::ranks]) for x, y in stream()]
        return fit(recording, model, wrapped=DistributedDataParallel(model), data=data)

    with processes(rank, ranks, meeting):
        found = differences(one, "all", Path(place, "run"))
    Path(place, f"found{rank}").write_text(repr(found))
