"""Trains the networks whose pictures stand in the docs, beside that of `huelapse demo`.

    python tools/pictured_runs.py EMOJI.npz OUT [two|emoji|hundred ...]

EMOJI.npz holds `images` uint8 [N, y, x, RGBA], `labels`, `drawing` (which drawing an image is a
variant of), `vendor` and `classes`. Made in OUT:

- `two`: the demo's network on the two of its classes that look most alike,
- `emoji`: `examples/images.py` on the drawings, ten classes in color, with every picture recorded,
- `hundred`: a hundred drawings as a hundred classes, 20,800 units, each image on another ground,
  turned, shifted and scaled another way.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import huelapse
from huelapse.demo.model import FashionNet
from huelapse.demo.training import load_data

ROOT = Path(__file__).parents[1]
BATCH = 64
EACH = 20
"""Held-out images of each of a hundred classes."""


def two(out: Path, steps: int = 300) -> None:
    data = load_data()
    chosen = [data.classes.index(name) for name in ("T-shirt/top", "Shirt")]

    def part(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        kept = torch.isin(labels, torch.tensor(chosen))
        return images[kept], (labels[kept] == chosen[1]).long()

    images, labels = part(data.train_images, data.train_labels)
    torch.manual_seed(0)
    model = FashionNet()
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    for name, child in model.named_modules():
        if child is last:
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], nn.Linear(last.in_features, 2))
    recorder = huelapse.Recorder(
        model,
        out,
        probe=part(data.test_images, data.test_labels),
        classes=[data.classes[k] for k in chosen],
        total_steps=steps,
        probe_budget=None,
        thumbnails=data.normalization,
    )
    with recorder:
        fit(model, recorder, lambda i: (images[i], labels[i]), len(images), steps)


def emoji(file: Path, out: Path) -> None:
    script = ROOT / "examples" / "images.py"
    with np.load(file, allow_pickle=False) as arrays, TemporaryDirectory() as folder:
        names = [str(name) for name in arrays["classes"]]
        keys = ("images", "labels", "drawing", "vendor")
        for i, (pixels, label, drawing, vendor) in enumerate(
            zip(*(arrays[key] for key in keys), strict=True)
        ):
            to = Path(folder) / names[label] / f"{drawing}_{vendor}-{i}.png"
            to.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(to)
        subprocess.run([sys.executable, script, folder, out, "--together", "_"], check=True)


def hundred(file: Path, out: Path, steps: int = 700) -> None:
    with np.load(file, allow_pickle=False) as arrays:
        names = [str(name) for name in arrays["classes"]]
        images, labels, drawing = (arrays[key] for key in ("images", "labels", "drawing"))
    drawings: list[np.ndarray] = []
    classes: list[str] = []
    for k, name in enumerate(names):
        for number, one in enumerate(np.unique(drawing[labels == k])[:10]):
            drawings.append(images[drawing == one])
            classes.append(f"{name} {number + 1}")
    total = len(classes)

    def varied(which: np.ndarray, rng: np.random.Generator) -> Tensor:
        """[sample, 3, 32, 32] of 0 … 1: variants of drawings, each on a ground of its own."""
        found = np.empty((len(which), 32, 32, 3), np.uint8)
        for i, k in enumerate(which):
            own = drawings[k]
            picture = Image.fromarray(own[rng.integers(len(own))])
            picture = picture.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR)
            side = int(rng.integers(24, 32))
            ground = Image.new("RGBA", (32, 32), (*rng.integers(0, 256, 3).tolist(), 255))
            at = tuple(rng.integers(0, 33 - side, 2).tolist())
            ground.alpha_composite(picture.resize((side, side)), at)
            found[i] = np.asarray(ground.convert("RGB"))
        return torch.from_numpy(found).permute(0, 3, 1, 2).float() / 255

    held = np.repeat(np.arange(total), EACH)
    trained_on = np.repeat(np.arange(total), 80)
    held_images = varied(held, np.random.default_rng(1))
    train_images = varied(trained_on, np.random.default_rng(0))
    train_labels = torch.from_numpy(trained_on)
    torch.manual_seed(0)

    def block(inputs: int, units: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, units, 3, padding=1, bias=False),
            nn.BatchNorm2d(units), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip

    def dense(inputs: int, units: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, units, bias=False), nn.BatchNorm1d(units), nn.ReLU())

    model = nn.Sequential()
    for name, layer in {
        "conv1": block(3, 64), "conv2": block(64, 128), "conv3": block(128, 256),
        "pool": nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        "wide1": dense(1024, 10_000), "narrow": dense(10_000, 256), "wide2": dense(256, 10_000),
        "output": nn.Linear(10_000, total),
    }.items():  # fmt: skip
        model.add_module(name, layer)
    recorder = huelapse.Recorder(
        model,
        out,
        probe=(held_images, torch.from_numpy(held)),
        classes=classes,
        total_steps=steps,
        probe_budget=None,
        thumbnails=True,
    )
    with recorder:
        fit(model, recorder, lambda i: (train_images[i], train_labels[i]), len(held) * 4, steps)


def fit(
    model: nn.Module,
    recorder: huelapse.Recorder,
    data: Callable[[Tensor], tuple[Tensor, Tensor]],
    samples: int,
    steps: int,
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step = 0
    while step < steps:
        for part in torch.randperm(samples).split(BATCH):
            if step == steps or len(part) < BATCH:
                break
            inputs, labels = data(part)
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            slower.step()
            step += 1
            recorder.step(loss=loss, epoch=step * BATCH / samples)


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    file, out, *wanted = sys.argv[1:]
    for name in wanted or ["two", "emoji", "hundred"]:
        to = Path(out) / name
        if name == "two":
            two(to)
        elif name == "emoji":
            emoji(Path(file), to)
        elif name == "hundred":
            hundred(Path(file), to)
        else:
            raise SystemExit(f"no run is called {name}: expected two, emoji or hundred")
        print(f"recorded: {to}")


if __name__ == "__main__":
    main()
