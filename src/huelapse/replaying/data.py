"""Samples from what a user has: a function that gives them, an npz, a folder of images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from huelapse.errors import FactoryError, MissingExtraError
from huelapse.grouping import check_classes
from huelapse.replaying.asked import Asked, Data
from huelapse.replaying.named import call

PAIRS = (
    *(("inputs", "labels"), ("images", "labels"), ("x", "y"), ("X", "y")),
    *(("test_images", "test_labels"), ("x_test", "y_test"), ("X_test", "y_test")),
)
"""Names under which an npz usually holds inputs and labels."""
NAMES = ("classes", "class_names", "label_names")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
COLUMNS = ("image", "img", "picture")
LABELS = ("label", "labels", "fine_label")


def samples_of(data: Data) -> Any:
    """A Dataset, DataLoader, pair of tensors or iterable of batches.

    Raises:
        FactoryError: there are none, or not in this form.
    """
    if data.kind == "npz":
        return _npz(data)
    if data.kind == "folder":
        return ImageFolder(data)
    found = call(data.source, "data") if data.kind == "factory" else data.source
    if found is None:
        raise FactoryError(
            "data: the function gave None, expected a Dataset, DataLoader or batches"
        )
    return _hugging_face(found, data) if _is_hugging_face(found) else found


def classes_of(asked: Asked, source: Any) -> tuple[str, ...]:
    """Names of the classes: the user's, or the data's own.

    Raises:
        FactoryError: neither says.
        ClassCountError: they cannot be.
    """
    if asked.classes is not None:
        given: Any = asked.classes
        return check_classes(given)
    dataset = getattr(source, "dataset", source)
    own = getattr(dataset, "class_to_idx", None) or getattr(dataset, "classes", None)
    if isinstance(own, Mapping | list | tuple):
        return check_classes(own)
    raise FactoryError(
        "nobody says which classes there are: name them in order of their index (--classes "
        "cat,dog,…), say how many there are (--classes 10), or give data with `.classes`"
    )


# --- npz -----------------------------------------------------------------------------------------


class Arrays(Dataset[tuple[Tensor, Tensor]]):
    """Inputs and labels in memory, images as float32 from 0 to 1, channels first."""

    def __init__(self, inputs: np.ndarray, labels: np.ndarray, data: Data) -> None:
        self._inputs, self._labels = inputs, labels
        self._normal = _normalization(data)
        self.classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        one = torch.from_numpy(np.array(self._inputs[index]))
        if one.dtype == torch.uint8:
            one = one.float() / 255
            if one.ndim == 2:
                one = one[None]
            elif one.ndim == 3 and one.shape[2] in (1, 3, 4) and one.shape[0] not in (1, 3, 4):
                one = one.permute(2, 0, 1)
            one = self._normal(one)
        return one, torch.as_tensor(self._labels[index])


def _npz(data: Data) -> Arrays:
    path = Path(data.source)
    try:
        with np.load(path, allow_pickle=False) as file:
            pairs = [data.arrays] if data.arrays else PAIRS
            found = next((p for p in pairs if p[0] in file and p[1] in file), None)
            held = file.files
            inputs, labels = (None if found is None else np.asarray(file[n]) for n in found or "  ")
            named = next((file[name] for name in NAMES if name in file), None)
    except Exception as error:  # a damaged zip raises what it likes
        raise FactoryError(f"{path} cannot be read as npz: {error}") from error
    if inputs is None or labels is None:
        raise FactoryError(
            f"{path} holds {', '.join(held)}; say which are inputs and labels: --arrays inputs,labels"
        )
    if len(inputs) != len(labels):
        raise FactoryError(f"{path} has {len(inputs)} inputs and {len(labels)} labels")
    if inputs.dtype == np.float64:
        inputs = inputs.astype(np.float32)
    arrays = Arrays(inputs, labels, data)
    if named is not None and named.ndim == 1 and named.dtype.kind == "U":
        arrays.classes = tuple(str(name) for name in named)
    return arrays


# --- images ----------------------------------------------------------------------------------------


class ImageFolder(Dataset[tuple[Tensor, int]]):
    """A folder for each class, by name; images in them by path."""

    def __init__(self, data: Data) -> None:
        folder = Path(data.source)
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        names = [p.name for p in inside if p.is_dir() and not p.name.startswith(".")]
        self._items = [
            (path, index)
            for index, name in enumerate(names)
            for path in sorted((folder / name).rglob("*"))
            if path.suffix.lower() in PICTURES
        ]
        if not self._items:
            raise FactoryError(
                f"{folder} holds no images: expected a folder for each class, with "
                f"{', '.join(PICTURES[:4])} … in them"
            )
        self.classes = tuple(names)
        self._picture = picture_reader(data)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self._items[index]
        try:
            return self._picture(path), label
        except OSError as error:
            raise FactoryError(f"{path} cannot be read as an image: {error}") from error


def picture_reader(data: Data) -> Callable[[Any], Tensor]:
    """From a path or a picture of Pillow to float32 [3, y, x] from 0 to 1, or normalized.

    Raises:
        MissingExtraError: Pillow is not there.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading images needs Pillow: pip install pillow") from error
    normal, size = _normalization(data), data.image_size

    def read(given: Any) -> Tensor:
        opened: Any = given if hasattr(given, "convert") else Image.open(given)
        picture: Any = opened.convert("RGB")
        if size is not None:
            shorter = min(picture.size)
            wide, high = (max(size, round(n * size / shorter)) for n in picture.size)
            picture = picture.resize((wide, high), Image.Resampling.BILINEAR)
            left, top = (wide - size) // 2, (high - size) // 2
            picture = picture.crop((left, top, left + size, top + size))
        pixels = torch.from_numpy(np.array(picture, np.uint8)).permute(2, 0, 1)
        return normal(pixels.float() / 255).contiguous()

    return read


def _normalization(data: Data) -> Callable[[Tensor], Tensor]:
    if (data.mean is None) != (data.std is None):
        raise FactoryError("give mean and std both, one number for each channel")
    if data.mean is None or data.std is None:
        return lambda picture: picture
    mean, std = (torch.tensor(given, dtype=torch.float32)[:, None, None] for given in
                 (data.mean, data.std))  # fmt: skip

    def normalize(picture: Tensor) -> Tensor:
        if len(picture) != len(mean) and len(mean) != 1:
            raise FactoryError(f"mean has {len(mean)} channels, the images have {len(picture)}")
        return (picture - mean) / std

    return normalize


# --- Hugging Face ----------------------------------------------------------------------------------


def _is_hugging_face(found: Any) -> bool:
    named = hasattr(found, "features") and hasattr(found, "column_names")
    return named and not isinstance(found, Dataset)


class Columns(Dataset[Any]):
    """A Hugging Face data set of pictures and labels, as pairs."""

    def __init__(self, source: Any, picture: str, label: str, data: Data) -> None:
        self._source, self._picture, self._label = source, picture, label
        self._read = picture_reader(data)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self._source[index]
        return self._read(row[self._picture]), int(row[self._label])


class Rows(Dataset[Any]):
    """A Hugging Face data set of tensors by name, all of which but the label the model takes."""

    def __init__(self, source: Any, label: str) -> None:
        self._source, self._label = source, label

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = dict(self._source[index])
        label = row.pop(self._label)
        return {**{name: torch.as_tensor(value) for name, value in row.items()}, "labels": label}


def _hugging_face(source: Any, data: Data) -> Any:
    if not hasattr(source, "__len__"):
        return _Streamed(source, data)
    columns: Sequence[str] = list(source.column_names)
    label = next((name for name in LABELS if name in columns), None)
    if label is None:
        raise FactoryError(
            f"the data set has columns {', '.join(columns)}; expected one of {', '.join(LABELS)}: "
            f"rename it (rename_column), or give pairs"
        )
    picture = next((name for name in COLUMNS if name in columns), None)
    first: Any = source[0][picture] if picture is not None and len(source) else None
    found: Any = (
        Columns(source, picture, label, data)
        if picture is not None and hasattr(first, "convert")
        else Rows(source, label)
    )
    names = getattr(source.features[label], "names", None)
    if names:
        found.classes = list(names)
    return found


class _Streamed:
    """A streamed data set, in batches."""

    def __init__(self, source: Any, data: Data) -> None:
        self._source, self._data = source, data
        label = next((name for name in LABELS if name in (source.features or ())), "label")
        names = getattr((source.features or {}).get(label), "names", None)
        if names:
            self.classes = list(names)

    def __iter__(self) -> Iterator[Any]:
        read, held = picture_reader(self._data), []
        for row in self._source:
            picture = next(name for name in COLUMNS if name in row)
            label = next(name for name in LABELS if name in row)
            held.append((read(row[picture]), int(row[label])))
            if len(held) == 128:
                yield torch.utils.data.default_collate(held)
                held = []
        if held:
            yield torch.utils.data.default_collate(held)
