"""A small distributed training, as torchrun starts it: python training.py OUT '{"options": …}'.

Each rank leaves in OUT what its own forwards gave (`truth-R.npz`, by hooks of its own and in float64)
and what its weights and gradients were after each step (`weights-R.npz`).
"""

import gc
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

LAYERS = ("relu1", "relu2")
CLASSES = 3


class Net(nn.Module):
    """Conv → BatchNorm → ReLU → Linear → ReLU → Linear; statistics of a batch differ by rank."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.relu1 = nn.ReLU()
        self.fc = nn.Linear(80, 7)
        self.relu2 = nn.ReLU()
        self.head = nn.Linear(7, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.norm(self.conv(x))).flatten(1)
        return self.head(self.relu2(self.fc(x)))


class Images(Dataset[Any]):
    def __init__(self, n: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(n) % CLASSES
        shift = self.labels[:, None, None, None] * 0.5
        self.images = torch.randn(n, 2, 6, 6, generator=generator) + shift

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, int]:
        return self.images[i], self.labels[i], i


class Truth:
    """What each forward gave, seen by hooks that know nothing of huelapse."""

    def __init__(self, model: Net) -> None:
        self.rows: list[np.ndarray] = []
        self.known: list[tuple[int, int, int]] = []
        self._now: dict[str, np.ndarray] = {}
        for name in LAYERS:
            model.get_submodule(name).register_forward_hook(
                lambda _m, _i, output, name=name: self._see(name, output)
            )
        self.on = False

    def _see(self, name: str, output: Tensor) -> None:
        wide = output.detach().double()
        self._now[name] = (wide.mean((2, 3)) if wide.ndim == 4 else wide).numpy()

    def forward(self, step: int, logits: Tensor, labels: Tensor, ids: Tensor) -> None:
        own = [*(self._now[name] for name in LAYERS), logits.detach().double().softmax(1).numpy()]
        self.rows.append(np.concatenate(own, 1))
        self.known += [
            (step, int(y), int(i)) for y, i in zip(labels.tolist(), ids.tolist(), strict=True)
        ]


def digest(tensors: list[Tensor | None]) -> str:
    hashed = hashlib.sha256()
    for tensor in tensors:
        hashed.update(b"none" if tensor is None else tensor.detach().numpy().tobytes())
    return hashed.hexdigest()


def main(out: Path, told: dict[str, Any]) -> None:
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    train(out, told, rank, ranks)
    if told.get("twin"):  # the same training, of which nothing is recorded
        torch.distributed.barrier()
        (out / "twin").mkdir(exist_ok=True)
        train(out / "twin", {**told, "record": False}, rank, ranks)
    torch.distributed.barrier()
    # A DDP model is in a cycle and holds the group: without this, threads of gloo were still there when
    # Python ended, and of 14 trainings in which huelapse had no part one was aborted ("terminate called
    # without an active exception": pytorch pull request 179291).
    gc.collect()
    torch.distributed.destroy_process_group()


def train(out: Path, told: dict[str, Any], rank: int, ranks: int) -> None:
    torch.manual_seed(0)
    model = Net()
    truth = Truth(model)
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(wrapped.parameters(), 0.1, momentum=0.9)
    data = Images(told.get("samples", 96))
    sampler = DistributedSampler(data, ranks, rank, shuffle=True, seed=3)
    loader = DataLoader(data, batch_size=told.get("batch", 4), sampler=sampler)

    recorder = None
    if told.get("record", True):
        import huelapse
        from huelapse.store import committing

        committing.DEADLINE = told.get("deadline", 60.0)
        place = told.get("paths", [str(out / "run")] * ranks)[rank]
        if told.get("as_wrapped", True):
            given: nn.Module = wrapped
        else:
            given = model
        recorder = huelapse.Recorder(
            given,
            place,
            classes=CLASSES,
            probe=Images(30, 1) if told.get("probe") else None,
            label_fn=lambda batch: (batch[0], batch[1]),
            window=told.get("window", 24),
            schedule=told.get("schedule", 4),
            window_schedule=1,
            probe_budget=None,
            layers=list(LAYERS),
            **told.get("options", {}),
        )
    hashes: list[str] = []
    step = 0
    for epoch in range(told.get("epochs", 2)):
        sampler.set_epoch(epoch)
        for images, labels, ids in loader:
            time.sleep(told.get("pace", 0.0))
            happen(told, rank, step, recorder)
            if recorder is None:
                logits = wrapped(images)
            else:
                named = {"ids": ids} if told.get("ids") else {}
                with recorder.window(labels, **named):
                    logits = wrapped(images)
            truth.forward(step, logits, labels, ids)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            hashes.append(digest([p.grad for p in model.parameters()]))
            optimizer.step()
            hashes.append(digest([*model.parameters(), *model.buffers()]))
            step += 1
            if recorder is not None:
                recorder.step(loss=loss, epoch=epoch)
    np.savez(
        out / f"truth-{rank}.npz", rows=np.concatenate(truth.rows), known=np.array(truth.known)
    )
    (out / f"hashes-{rank}.json").write_text(json.dumps(hashes))
    happen(told, rank, "last", recorder)
    began = time.monotonic()
    if recorder is not None and rank not in told.get("unclosed", []):
        recorder.close()
    (out / f"closed-{rank}.txt").write_text(str(time.monotonic() - began))


def happen(told: dict[str, Any], rank: int, step: object, recorder: Any) -> None:
    """What is to go wrong on this rank at this step."""
    what = told.get("faults", {}).get(f"{rank}:{step}")
    if what == "kill":
        parts = Path(recorder.run) / "partial"
        while not any(parts.glob(told.get("awaited", "*"))):  # so far its writer shall have come
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif what == "late":  # this rank's parts do not come until it ends
        from huelapse.store import sending

        write = sending.write_partial

        def late(*args: Any) -> Path:
            time.sleep(told["late"])
            return write(*args)

        sending.write_partial = late


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
