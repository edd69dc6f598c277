"""The scalars a user passes to `Recorder.step`: their means between snapshots."""

import math
import numbers
from typing import Any

import torch
from torch import Tensor

from huelapse.errors import ScalarError
from huelapse.schema import METRIC_NAME

Sums = dict[str, tuple[Tensor | float, int]]


class ScalarMeans:
    """Mean of each scalar since the last `take`, for each split apart.

    Tensors of a device are summed there, so that the loop does not wait for them.
    """

    def __init__(self) -> None:
        self._since_start: Sums = {}
        self._since_taken: dict[str, Sums] = {}

    def add(self, scalars: dict[str, Any]) -> None:
        """
        Raises:
            ScalarError: a name or value that cannot be kept; none of them is added then.
        """
        checked = {_name(name): one_number(name, value) for name, value in scalars.items()}
        if len(checked) < len(scalars):
            raise ScalarError(f"two of the scalars {sorted(scalars)} would share one name")
        for sums in (self._since_start, *self._since_taken.values()):
            for name, value in checked.items():
                total, n = sums.get(name, (0.0, 0))
                with torch.inference_mode(False), torch.no_grad():
                    sums[name] = (_plus(total, value), n + 1)

    def take(self, split: str) -> Sums:
        """Sums and numbers since the last call for this split (at first: since the start)."""
        sums = self._since_taken.get(split, self._since_start)
        self._since_taken[split] = {}
        return dict(sums)

    def give_back(self, split: str, taken: Sums) -> None:
        """Undo a `take`: the snapshot it was for has been dropped."""
        sums = self._since_taken.setdefault(split, {})
        for name, (total, n) in taken.items():
            before, m = sums.get(name, (0.0, 0))
            with torch.inference_mode(False), torch.no_grad():
                sums[name] = (_plus(before, total), m + n)


def means(taken: Sums) -> dict[str, float]:
    """What `ScalarMeans.take` took, as means. Waits for the device."""
    return {name: float(total) / n for name, (total, n) in taken.items()}


def _name(name: str) -> str:
    """A scalar's name as that of an array: a/b, as loggers write, becomes a.b."""
    plain = name.replace("/", ".")
    if not METRIC_NAME.fullmatch(plain):
        raise ScalarError(
            f"scalar name {name!r}: use letters, digits, '_', '-', '/' and '.' only, "
            f"and no more than 100, as it names an array"
        )
    return plain


def one_number(name: str, value: Any) -> Tensor | float:
    """A number, or a tensor of one where it would have to be waited for.

    Raises:
        ScalarError: it is none, whatever it raises when asked.
    """
    try:
        return _check(name, value)
    except ScalarError:
        raise
    except Exception as error:  # a user's object may raise anything, and this stands in their loop
        raise ScalarError(
            f"scalar {name!r} is {type(value).__name__}, expected one number "
            f"({type(error).__name__}: {error})"
        ) from error


def one_epoch(value: Any) -> float:
    """
    Raises:
        ScalarError: it is not one finite number, nor NaN for none.
    """
    number = float(one_number("epoch", value))
    if math.isinf(number):
        raise ScalarError(f"epoch is {number}, expected passes over the training data so far")
    return number


def _plus(total: Tensor | float, value: Tensor | float) -> Tensor | float:
    if isinstance(total, Tensor) and isinstance(value, Tensor):
        value = value.to(total.device)  # a model in parts may compute its loss now here, now there
    return total + value


def _check(name: str, value: Any) -> Tensor | float:
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_complex() or value.is_meta:
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
    return float(value.item())  # numpy scalars and one-element arrays
