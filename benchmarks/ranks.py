"""What several ranks cost, and why one of them probes for all (docs/decisions/0014-ranks.md).

    python benchmarks/ranks.py [--quick] [--json FILE]

In one process: ranks are copies of a model that take turns, their gradients averaged as
DistributedDataParallel does, with the running statistics of rank 0 at each forward's start.
"""

import copy
import tempfile
import time
from pathlib import Path

import harness
import numpy as np
import torch
from models import MODELS
from torch.nn import functional as F  # noqa: N812

from huelapse.moments import Moments
from huelapse.schema import Grouping, Layer
from huelapse.snapshot import Share
from huelapse.store.joining import Part, merge_parts
from huelapse.store.partial import write_partial
from huelapse.store.partial_file import PartialFile
from huelapse.store.sharing import part_of


def shares(classes: int, units: int) -> harness.Numbers:
    """Writing a rank's share, and merging those of two and of four."""
    rng = np.random.default_rng(0)
    shape = (classes, units)
    moments = Moments(
        count=np.full(classes, 5, np.int64),
        mean=rng.standard_normal(shape),
        m2=rng.random(shape),
        active=np.full(shape, 3, np.int64),
        nonfinite=np.broadcast_to(np.int64(0), shape),
    )
    names = tuple(map(str, range(classes)))
    layer = Layer(
        path="fc", kind="Linear", shape=(units,), unit_axis=1, units=units, offset=0, signed=True
    )
    share = Share(
        split="train",
        step=1,
        epoch=0.0,
        wall_time=1e9,
        seconds=0.0,
        moments={"true": moments},
        confusion=np.zeros((classes, classes), np.int64),
        layers=(layer,),
        output="logits",
        samples=5 * classes,
    )
    numbers: harness.Numbers = {}
    with tempfile.TemporaryDirectory(prefix="huelapse-bench-") as folder:
        parts: list[Part] = []
        took: list[float] = []
        for rank in range(4):
            started = time.process_time()
            part = part_of(
                share,
                rank=rank,
                ranks=4,
                run="",
                segment=0,
                layers=(("fc", units),),
                groupings=[Grouping(name="true", classes=names)],
            )
            path = write_partial(Path(folder), part)
            took.append(time.process_time() - started)
            with PartialFile(path) as file:
                parts.append(Part(path, file.about, file.digest))
        numbers["share_mb"] = parts[0].path.stat().st_size / 1e6
        numbers["share_write_cpu_ms"] = 1e3 * harness.median(took)
        for n in (2, 4):
            started = time.process_time()
            for part in parts[:n]:
                with PartialFile(part.path) as file:
                    file.verify()
            merge_parts(parts[:n])
            numbers[f"merge_{n}_cpu_ms"] = 1e3 * (time.process_time() - started)
    return numbers


def norms(steps: int) -> harness.Numbers:
    """How far another rank's model is from rank 0's at one step: weights equal, statistics not."""
    torch.manual_seed(0)
    first = MODELS["resnet18"](10)
    ranks = [first, copy.deepcopy(first)]
    optimizers = [torch.optim.SGD(one.parameters(), 0.05, momentum=0.9) for one in ranks]
    labels = torch.arange(10_000) % 10
    kinds = torch.randn(10, 3, 32, 32)
    for _ in range(steps):
        for own, shared in zip(ranks[1].buffers(), ranks[0].buffers(), strict=True):
            own.copy_(shared)
        for model, optimizer in zip(ranks, optimizers, strict=True):
            y = labels[torch.randint(10_000, (16,))]
            x = kinds[y] * 0.3 + torch.randn(16, 3, 32, 32)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
        for one, other in zip(ranks[0].parameters(), ranks[1].parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            mean = (one.grad + other.grad) / 2
            one.grad.copy_(mean)
            other.grad.copy_(mean)
        for optimizer in optimizers:
            optimizer.step()
    y = labels[:100]
    x = kinds[y] * 0.3 + torch.randn(100, 3, 32, 32)
    seen: list[dict[str, torch.Tensor]] = []
    for model in ranks:
        own: dict[str, torch.Tensor] = {}
        handles = [
            module.register_forward_hook(
                lambda _m, _i, out, name=name, own=own: own.__setitem__(name, out.detach())
            )
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.ReLU)
        ]
        model.eval()
        with torch.no_grad():
            own["output"] = model(x).softmax(1)
        for handle in handles:
            handle.remove()
        seen.append(own)
    apart = [
        float((seen[0][name] - seen[1][name]).square().mean().sqrt())
        / float(seen[0][name].square().mean().sqrt())
        for name in seen[0]
    ]
    agreeing = (seen[0]["output"].argmax(1) == seen[1]["output"].argmax(1)).float().mean()
    return {
        "other_rank_apart_median": harness.median(apart),
        "other_rank_apart_greatest": max(apart),
        "other_rank_predicts_alike": float(agreeing),
    }


def measure(quick: bool) -> harness.Numbers:
    torch.set_num_threads(1)
    return {
        **shares(100 if quick else 1_000, 4_000),
        **norms(2 if quick else 40),
    }


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
