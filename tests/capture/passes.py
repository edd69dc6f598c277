"""What the tests of parts of a pass share."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from conftest import batches
from huelapse.capture import Capture, ProbeSet, run_probe
from huelapse.capture.keeping import Part, Parts
from huelapse.schema import Layer

X, Y = batches(90)


def make_layer(shape: tuple[int, ...], axis: int) -> Layer:
    return Layer(path="l", kind="ReLU", shape=shape, unit_axis=axis, units=shape[axis - 1],
                 offset=0, signed=True)  # fmt: skip


class Given:
    """Stands in for what the user wants kept: these parts."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.given = Parts(parts)
        self.first_path: str | None = None

    def parts(self, _model: nn.Module, _found: object) -> Parts:
        return self.given


def captured(model: nn.Module, parts: Sequence[Part], capture: Capture | None = None) -> Parts:
    """The parts after a probe in three batches."""
    own = capture or Capture(model, classes=3)
    probe = ProbeSet([(X[i : i + 32], Y[i : i + 32]) for i in range(0, 90, 32)], classes=3)
    own.optional = Given(parts)  # type: ignore[assignment]
    result = run_probe(own, probe).parts
    assert result is not None
    return result


def outputs(model: nn.Module, path: str) -> np.ndarray:
    """What a module gives for all of X, by a plain hook."""
    found: list[torch.Tensor] = []
    module = model.get_submodule(path)
    handle = module.register_forward_hook(lambda _m, _i, output: found.append(output.clone()))
    with torch.no_grad():
        model.eval()(X)
    handle.remove()
    return found[0].numpy()


def pooled(maps: np.ndarray, y: int, x: int) -> np.ndarray:
    """Adaptive average pooling as it is defined: cell i spans ⌊i·H/y⌋ … ⌈(i+1)·H/y⌉."""
    height, width = maps.shape[-2:]
    result = np.empty((*maps.shape[:-2], y, x))
    for i in range(y):
        for j in range(x):
            rows = slice(i * height // y, -(-(i + 1) * height // y))
            columns = slice(j * width // x, -(-(j + 1) * width // x))
            result[..., i, j] = maps[..., rows, columns].mean((-2, -1))
    return result
