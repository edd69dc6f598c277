"""Rules from samples to classes: checking labels and class names, counting confusions."""

import re
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Int64

from huelapse.errors import ClassCountError, GroupingError, LabelError
from huelapse.schema import RESERVED

UNASSIGNED = -1
"""Class index of a sample that belongs to no class: its output was not finite."""


Classes = Sequence[str] | Mapping[str, int] | int
"""Class names in order of their index, name → index, or how many classes there are."""


def check_classes(classes: Classes) -> tuple[str, ...]:
    """Class names in order of their index; a number K names them "0" … "K-1".

    Raises:
        ClassCountError: fewer than two classes, names without an order or without a name, or two
            with the same name.
    """
    given: Any = classes
    if isinstance(given, Integral) and given is not True and given is not False:
        names = tuple(str(k) for k in range(int(given)))
    else:
        names = tuple(_in_order(given))
    for k, name in enumerate(names):
        if not name.strip():
            raise ClassCountError(f"the name of class {k} is empty; every class needs a name")
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


def check_grouping_name(name: str) -> str:
    """
    Raises:
        GroupingError: the name cannot be that of a group beside a split's own arrays.
    """
    plain = re.fullmatch(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*", name) and len(name) <= 100
    if not plain or name in RESERVED or name.startswith("metric."):
        why = "means something else in a run" if plain else "cannot be a directory"
        raise GroupingError(
            f"grouping {name!r} {why}; name it with letters, digits, '_', '-' and '.', not '.' "
            f"first, and none of {', '.join(sorted(RESERVED))}"
        )
    return name


def _in_order(given: Any) -> list[str]:
    if isinstance(given, set | frozenset):
        raise ClassCountError(
            "classes is a set, which has no order, so nobody knows which name belongs to which "
            "index; pass a list of the names in order of their index"
        )
    if isinstance(given, Mapping):
        named: Any = given
        indices = [int(k) for k in named.values() if isinstance(k, Integral)]
        if sorted(indices) != list(range(len(named))):
            raise ClassCountError(
                f"classes is a dict whose values are not exactly 0 … {len(named) - 1}; pass "
                f"name → index, as a data set's class_to_idx, or a list of the names in order of "
                f"their index"
            )
        given = sorted(named, key=named.__getitem__)
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise ClassCountError(
            f"classes is {given!r}; pass the class names in order of their index, "
            f"or how many classes there are"
        )
    listed: list[Any] = list(given)
    for k, name in enumerate(listed):
        if name is None:
            raise ClassCountError(f"the name of class {k} is None; every class needs a name")
    return [str(name) for name in listed]


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
        many = f"{beyond.sum()} of {samples} labels are outside 0 … {classes - 1} "
        many += f"(smallest {found.min()}, largest {found.max()})"
        one = f"the label {found[0]} of a sample is outside 0 … {classes - 1}"
        raise LabelError(
            f"{one if samples == 1 else many}; "
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
