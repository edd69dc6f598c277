"""A training loop with Hugging Face Accelerate, recorded.

    python examples/accelerate_loop.py runs/accelerated
    torchrun --nproc_per_node 2 examples/accelerate_loop.py runs/accelerated

What is huelapse's: the recorder, made before `prepare`; `window` around the forward; `step` where an
optimizer step was made. Needs accelerate; the images come with huelapse.
"""

import argparse
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import huelapse
from huelapse.demo.training import load_data

BATCH, ACCUMULATED = 64, 2


def train(out: Path, *, steps: int = 200, mixed_precision: str = "no") -> Path:
    """Train a small network on Fashion-MNIST; returns where it was recorded.

    Args:
        out: the run's directory.
        steps: optimizer steps, each over two batches.
        mixed_precision: "no" or "bf16".
    """
    torch.manual_seed(0)
    accelerator = Accelerator(
        gradient_accumulation_steps=ACCUMULATED, mixed_precision=mixed_precision
    )
    data = load_data()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 5, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    ).to(accelerator.device)  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader = DataLoader(
        TensorDataset(data.train_images, data.train_labels), BATCH, shuffle=True, drop_last=True
    )

    # after Accelerator(), so that it knows its rank; before prepare(), which may wrap the model
    recorder = huelapse.Recorder(
        model,
        out,
        classes=data.classes,
        probe=(data.test_images, data.test_labels),
        window=1000,
        total_steps=steps,
    )
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    done, epoch = 0, 0
    with recorder:
        while done < steps:
            for batch, (images, labels) in enumerate(loader, start=1):
                with accelerator.accumulate(model):
                    with recorder.window(labels):
                        logits = model(images)
                    loss = nn.functional.cross_entropy(logits, labels)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                if accelerator.sync_gradients:  # an optimizer step was made
                    done += 1
                    recorder.step(loss=loss, epoch=epoch + batch / len(loader))
                    if done == steps:
                        break
            epoch += 1
    return recorder.run


def main() -> None:
    parser = argparse.ArgumentParser(description="A recorded training loop with Accelerate.")
    parser.add_argument("out", type=Path, help="the run's directory")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--mixed-precision", choices=["no", "bf16"], default="no")
    given = parser.parse_args()
    run = train(given.out, steps=given.steps, mixed_precision=given.mixed_precision)
    print(f"recorded: huelapse view {run}")


if __name__ == "__main__":
    main()
