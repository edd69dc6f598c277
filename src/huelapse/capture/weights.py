"""First weights: those that work on the input itself, and can be looked at."""

from typing import Any

import torch
from torch import Tensor, nn

from huelapse.capture.assigning import Rows
from huelapse.capture.forward import Forward
from huelapse.capture.keeping import Values
from huelapse.schema import ExtraArray

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

MOST_BYTES = 8 * 2**20
"""Larger first weights (a dense layer on large images) are not kept at each snapshot."""

POSITIONS = {0: (), 1: ("weight_x",), 2: ("weight_y", "weight_x")} | {
    3: ("weight_z", "weight_y", "weight_x")
}


class FirstWeighted:
    """While entered, sees which convolution or linear module runs first in the model's forwards."""

    def __init__(self, model: nn.Module) -> None:
        self.path: str | None = None
        """None where nothing of the kind has run."""
        self._model = model
        self._handles: list[Any] = []

    def __enter__(self) -> "FirstWeighted":
        named: list[tuple[str, nn.Module]] = list(self._model.named_modules())
        for path, module in named:
            if isinstance(module, WEIGHTED):
                self._handles.append(module.register_forward_pre_hook(self._hook(path)))
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, path: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any) -> None:
            if self.path is None:
                self.path = path

        return hook


class FirstWeights:
    """Weights of one module as they are now, [out, in, …] float32."""

    def __init__(self, path: str, weight: Tensor) -> None:
        """
        Args:
            path: of the module.
            weight: copied, as the training goes on to change it.
        """
        self.path = path
        with torch.no_grad():
            self._weight = weight.detach().to(torch.float32, copy=True)

    def layer(self, index: int, output: Tensor) -> None:
        """Nothing: weights are no responses."""

    def samples(self, forward: Forward, rows: Rows) -> None:
        """Nothing, likewise."""

    @property
    def nbytes(self) -> int:
        return self._weight.nbytes

    def arrays(self) -> tuple[ExtraArray, ...]:
        shape = tuple(self._weight.shape)
        return (
            ExtraArray(
                path="first_weights",
                dims=("weight_out", "weight_in", *POSITIONS[len(shape) - 2]),
                shape=shape,
                dtype="float32",
                attributes={"module": self.path},
            ),
        )

    def static(self) -> Values:
        return {}

    def result(self) -> Values:
        return {"first_weights": self._weight.cpu().numpy()}


def first_weights(model: nn.Module, path: str | None) -> FirstWeights | None:
    """The weights of the module at `path`, or None where they are too large to be kept.

    Args:
        model: as it is at this snapshot.
        path: as `FirstWeighted` found it.
    """
    module = dict(model.named_modules()).get(path) if path is not None else None
    if path is None or not isinstance(module, WEIGHTED):
        return None
    weight = module.weight
    if weight.numel() * 4 > MOST_BYTES:
        return None
    return FirstWeights(path, weight)
