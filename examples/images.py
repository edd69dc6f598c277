"""A network trained on a folder of color images, with all pictures recorded that the page can show.

    python examples/images.py pictures/ runs/pictures
    huelapse view runs/pictures

`pictures/` has a folder for each class, with image files in it. What is huelapse's: the recorder, with
thumbnails of the held-out images, mean maps of where units respond, the feature maps of a few watched
images, and the weights that work on the image itself; and `step` after each optimizer step.
"""

import argparse
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import huelapse

BATCH = 64
HELD_OUT = 0.25
KINDS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}


class Images:
    """Images of a folder of classes, held in memory, some of each class held out."""

    def __init__(self, folder: Path, *, size: int, most: int, together: str = "") -> None:
        """
        Args:
            folder: holds a folder for each class.
            size: pixels per side that images are brought to.
            most: images of a class, so that a large one does not drown the others.
            together: files whose names are the same up to this character are variants of one picture:
                all are held out, or none. "" where each file stands for itself.
        """
        self.classes = sorted(inner.name for inner in folder.iterdir() if inner.is_dir())
        if len(self.classes) < 2:
            raise SystemExit(
                f"{folder} holds {len(self.classes)} folders of images; two are needed"
            )
        drawn = np.random.default_rng(0)
        train: list[tuple[Path, int]] = []
        held: list[tuple[Path, int]] = []
        for label, name in enumerate(self.classes):
            groups: dict[str, list[Path]] = defaultdict(list)
            for file in sorted((folder / name).iterdir()):
                if file.suffix.lower() in KINDS:
                    groups[file.stem.split(together)[0] if together else file.name].append(file)
            keys = sorted(groups)
            drawn.shuffle(keys)
            keep = round(HELD_OUT * len(keys))
            for part, chosen, room in (
                (held, keys[:keep], int(HELD_OUT * most)),
                (train, keys[keep:], most),
            ):
                files = [file for key in chosen for file in groups[key]]
                part += [(file, label) for file in files[:room]]
        self.train, self.train_labels = self._read(train, size)
        self.held, self.held_labels = self._read(held, size)

    @staticmethod
    def _read(files: Sequence[tuple[Path, int]], size: int) -> tuple[Tensor, Tensor]:
        """[sample, 3, y, x] of 0 … 1, and labels. Clear ground becomes one color, another each time."""
        drawn = np.random.default_rng(0)
        pixels = np.empty((len(files), size, size, 3), np.uint8)
        for i, (file, _) in enumerate(files):
            with Image.open(file) as image:
                picture = image.convert("RGBA").resize((size, size))
            ground = Image.new("RGBA", picture.size, (*drawn.integers(0, 256, 3).tolist(), 255))
            pixels[i] = np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return images, torch.tensor([label for _, label in files])


def network(classes: int) -> nn.Module:
    """Three convolutions, the first wide enough that its weights can be looked at."""

    def block(inputs: int, units: int, kernel: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(
                inputs, units, kernel, padding=kernel // 2, padding_mode="reflect", bias=False
            ),  # with zeros around it, many units would respond to the border
            nn.BatchNorm2d(units), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip

    layers = {
        "conv1": block(3, 24, 7), "conv2": block(24, 32, 5), "conv3": block(32, 48, 3),
        "pool": nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten()),
        "fc": nn.Sequential(nn.Linear(48 * 9, 64), nn.ReLU()),
        "output": nn.Linear(64, classes),
    }  # fmt: skip
    return nn.Sequential(OrderedDict(layers))


def train(images: Images, out: Path, *, steps: int) -> Path:
    """Train on them; returns where it was recorded."""
    torch.manual_seed(0)
    model = network(len(images.classes))
    # a strong decay takes away what the weights began with: what is then seen was learned
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.3)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    recorder = huelapse.Recorder(
        model,
        out,
        probe=(images.held, images.held_labels),
        classes=images.classes,
        total_steps=steps,
        probe_budget=None,
        thumbnails=True,
        maps=True,
        watch=2 * len(images.classes),
        first_weights=True,
    )
    step = 0
    with recorder:
        while step < steps:
            for part in torch.randperm(len(images.train)).split(BATCH):
                inputs, labels = images.train[part], images.train_labels[part]
                if step % 2:
                    inputs = inputs.flip(3)
                loss = nn.functional.cross_entropy(model(inputs), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                slower.step()
                step += 1
                recorder.step(loss=loss, epoch=step * BATCH / len(images.train))
                if step == steps:
                    break
    return recorder.run


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on a folder of color images, recorded.")
    parser.add_argument("folder", type=Path, help="holds a folder of images for each class")
    parser.add_argument("out", type=Path, help="the run's directory")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--size", type=int, default=40, help="pixels per side")
    parser.add_argument("--most", type=int, default=400, help="training images of a class")
    parser.add_argument("--together", default="", help="variants are named the same up to this")
    given = parser.parse_args()
    images = Images(given.folder, size=given.size, most=given.most, together=given.together)
    print(f"{len(images.train)} images to train on, {len(images.held)} held out")
    run = train(images, given.out, steps=given.steps)
    print(f"recorded: huelapse view {run}")


if __name__ == "__main__":
    main()
