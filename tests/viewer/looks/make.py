"""Makes the run of test_looks.py, whose pictures must be made anew after."""

import shutil
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from huelapse import Recorder
from huelapse.demo.training import load_data
from huelapse.store.pack import pack_run

HERE = Path(__file__).parent
SAMPLES, SNAPSHOTS, EVERY, BATCH = 200, 8, 25, 64


def main() -> None:
    data = load_data()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(600, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )
    chosen = torch.randperm(len(data.test_labels))[:SAMPLES]
    folder = Path(tempfile.mkdtemp())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.5)
    recorder = Recorder(
        model,
        folder / "run",
        probe=(data.test_images[chosen], data.test_labels[chosen]),
        classes=list(data.classes),
        schedule=EVERY,
        probe_budget=None,
        thumbnails=data.normalization,
        keep_responses=True,
        maps=True,
        first_weights=True,
        strict=True,
    )
    with recorder:
        for _ in range(EVERY * (SNAPSHOTS - 1)):
            rows = torch.randint(len(data.train_labels), (BATCH,))
            loss = F.cross_entropy(model(data.train_images[rows]), data.train_labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    pack_run(folder / "run", HERE / "run.hue.zip", force=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
