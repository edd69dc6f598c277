"""Rules from samples to classes: checking labels and class names, counting confusions."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Int64

from huelapse.errors import ClassCountError, LabelError

UNASSIGNED = -1
"""Class index of a sample that belongs to no class: its output was not finite."""


def check_classes(classes: Sequence[str] | int) -> tuple[str, ...]:
    """Class names in order of their index; a number K names them "0" … "K-1".

    Raises:
        ClassCountError: fewer than two classes, or two with the same name.
    """
    if isinstance(classes, bool | str | bytes):
        raise ClassCountError(
            f"classes is {classes!r}; pass the class names in order of their index, "
            f"or how many classes there are"
        )
    if isinstance(classes, Integral):
        names = tuple(str(k) for k in range(int(classes)))
    else:
        given: Any = classes
        names = tuple(str(name) for name in given)
    if len(names) < 2:
        raise ClassCountError(
            f"found {len(names)} classes, expected at least 2; "
            f"pass every class the labels can name, in order of their index"
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ClassCountError(
                f"class name {name!r} stands twice; names must differ to tell classes apart"
            )
        seen.add(name)
    return names


def check_labels(labels: np.ndarray, *, classes: int, samples: int) -> Int64[np.ndarray, " sample"]:
    """Labels as int64, one per sample, each a class index.

    Raises:
        LabelError: not integers, not one per sample, or outside 0 … classes-1.
    """
    check_kind(labels.dtype.kind in "iu", str(labels.dtype), tuple(labels.shape))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.shape[0] != samples:
        raise LabelError(
            f"labels have shape {tuple(labels.shape)}, expected ({samples},): "
            f"one class index for each sample of the batch"
        )
    if labels.dtype == np.uint64:
        beyond = labels >= classes
    else:
        labels = labels.astype(np.int64, copy=False)
        beyond = (labels < 0) | (labels >= classes)
    if beyond.any():
        found = labels[beyond]
        raise LabelError(
            f"{beyond.sum()} of {samples} labels are outside 0 … {classes - 1} "
            f"(smallest {found.min()}, largest {found.max()}); "
            f"pass all classes to Recorder(classes=…), or leave such samples out"
        )
    return labels.astype(np.int64, copy=False)


def check_kind(integral: bool, dtype: str, shape: tuple[int, ...]) -> None:
    """
    Raises:
        LabelError: labels that are no class indices: soft ones (mixup, smoothing), or one-hot.
    """
    if integral:
        return
    if len(shape) > 1:
        raise LabelError(
            f"labels are {dtype} of shape {shape}, expected one integer class index per sample. "
            f"Soft labels (mixup, CutMix, distillation) belong to no one class: record such a "
            f"training by a probe, or pass labels=None to count its samples by predicted class "
            f"alone. For one-hot labels pass labels.argmax(1); for several classes per sample "
            f"say Recorder(multilabel=True)"
        )
    raise LabelError(f"labels are {dtype}, expected integer class indices: labels.long()")


def confusion(
    true: Int64[np.ndarray, " sample"],
    predicted: Int64[np.ndarray, " sample"],
    classes: int,
) -> Int64[np.ndarray, "class predicted_class"]:
    """How many samples of each class were predicted as each; unassigned ones are left out."""
    known = (true >= 0) & (predicted >= 0)
    pairs = true[known] * classes + predicted[known]
    return (
        np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)
    )
