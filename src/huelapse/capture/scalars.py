"""The scalars a user passes to `Recorder.step`: their means between snapshots."""

import numbers
import re
from typing import Any

import torch
from torch import Tensor

from huelapse.errors import ScalarError

NAME = re.compile(r"[A-Za-z0-9_.\-]+")


class ScalarMeans:
    """Mean of each scalar since the last `take`. Tensors are summed where they are, unwaited."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor | float, int]] = {}

    def add(self, scalars: dict[str, Any]) -> None:
        """
        Raises:
            ScalarError: a value that is not one number; none of the others is added then.
        """
        checked = {name: _check(name, value) for name, value in scalars.items()}
        for name, value in checked.items():
            total, n = self._sums.get(name, (0.0, 0))
            with torch.inference_mode(False), torch.no_grad():
                self._sums[name] = (total + value, n + 1)

    def take(self) -> dict[str, float]:
        """Means since the last call, and start again."""
        means = {name: float(total) / n for name, (total, n) in self._sums.items()}
        self._sums.clear()
        return means


def _check(name: str, value: Any) -> Tensor | float:
    if not NAME.fullmatch(name):
        raise ScalarError(
            f"scalar name {name!r}: use letters, digits, '_', '-' and '.' only, as it names an array"
        )
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_complex():
            raise ScalarError(
                f"scalar {name!r} is a tensor of shape {tuple(value.shape)}, expected one number; "
                f"pass its mean"
            )
        if value.device.type == "cpu":
            return float(value.detach())
        # Stays on its device, so that the loop does not wait for it. Float64 where there is such;
        # a copy, as the loop may change the tensor in place.
        wide = torch.float32 if value.device.type == "mps" else torch.float64
        return value.detach().reshape(()).to(wide, copy=True)
    if isinstance(value, numbers.Real):
        return float(value)
    try:
        return float(value.item())  # numpy scalars and one-element arrays
    except (AttributeError, TypeError, ValueError) as error:
        raise ScalarError(
            f"scalar {name!r} is {type(value).__name__}, expected one number"
        ) from error
