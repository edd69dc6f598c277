"""Small pictures of the probe's samples, so that people see what the numbers are of."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import Subset

from huelapse.capture.assigning import Rows
from huelapse.capture.batches import members_of, tensors_of
from huelapse.capture.forward import Forward
from huelapse.capture.guard import same_randomness
from huelapse.capture.keeping import Values
from huelapse.schema import ExtraArray

SIDE = 64
"""Most pixels per side."""

BYTES = 64 * 10**6
"""The most that all thumbnails of a split may take; many samples get smaller ones."""

LEAST_SIDE = 4
"""What is smaller is no picture."""

PAD = 128
"""Gray around pictures that are not as wide or high as others."""

Statistics = Sequence[float] | Tensor | np.ndarray


class Thumbnails:
    """uint8 [sample, y, x, 3], and how they came about. A static part of a split."""

    def __init__(self, pictures: np.ndarray, **made: Any) -> None:
        """
        Args:
            pictures: uint8 [sample, y, x, 3].
            made: `source` is "dataset" for pictures as they were before any transform, and "inputs"
                for what the model is given; then `normalization` is "none", "undone" (with the
                `mean` and `std` that were used) or "guessed": least to greatest of each channel over
                the probe (`low`, `high`), so that colors are not the picture's own.
        """
        self.pictures = pictures
        self.made = made

    def layer(self, index: int, output: Tensor) -> None:
        """Nothing: pictures do not change."""

    def samples(self, forward: Forward, rows: Rows) -> None:
        """Nothing, likewise."""

    @property
    def nbytes(self) -> int:
        """None that are held for one snapshot: pictures stay for the run."""
        return 0

    def arrays(self) -> tuple[ExtraArray, ...]:
        return (
            ExtraArray(
                path="thumbnails",
                dims=("sample", "thumbnail_y", "thumbnail_x", "rgb"),
                shape=self.pictures.shape,
                dtype="uint8",
                static=True,
                attributes=self.made,
            ),
        )

    def static(self) -> Values:
        return {"thumbnails": self.pictures}

    def result(self) -> Values:
        return {}


def thumbnails(
    batches: Iterable[Any],
    *,
    samples: int,
    dataset: Any = None,
    indices: Sequence[int] = (),
    labels: np.ndarray | None = None,
    mean: Statistics | None = None,
    std: Statistics | None = None,
) -> Thumbnails | None:
    """Pictures of all samples; None where the inputs are no images.

    The data set's own pictures before its transform, where it gives them; else the model's inputs,
    with their normalization undone where it is known (given, or found in the data set's transform).

    Args:
        batches: inputs of the model, in order.
        samples: how many there are.
        dataset: where they come from, if known.
        indices: which of its items they are.
        labels: theirs, against which those of items read again are checked.
        mean, std: of the normalization, per channel.
    """
    side = _side(samples)
    if dataset is not None and len(indices) == samples:
        pictures = of_dataset(dataset, indices, labels, side=side)
        if pictures is not None:
            return Thumbnails(pictures, source="dataset")
    if mean is None and std is None:
        mean, std = normalization_of(dataset)
    return of_inputs(batches, mean=mean, std=std, side=side)


def _side(samples: int) -> int:
    return max(LEAST_SIDE, min(SIDE, int((BYTES / 3 / max(samples, 1)) ** 0.5)))


# --- what the data set holds -----------------------------------------------------------------------


def of_dataset(
    dataset: Any, indices: Sequence[int], labels: np.ndarray | None = None, *, side: int = SIDE
) -> np.ndarray | None:
    """Pictures as a data set holds them, before its `transform` (as torchvision's have one).

    They are read from a shallow copy without the transform; the data set itself is not touched.
    None where that cannot be done safely: no `transform` of its own, an item that cannot be read
    without, is no picture, or has another label than before.
    """
    try:
        with same_randomness(0):
            bare = _without_transform(dataset)
            if bare is None:
                return None
            found: list[np.ndarray] = []
            for place, index in enumerate(indices):
                item = members_of(bare[index]) or []
                picture = _picture(item[0], side) if len(item) == 2 else None
                if picture is None or (labels is not None and not _same(item[1], labels[place])):
                    return None
                found.append(picture)
    except Exception:  # somebody else's code, in a state it was not written for
        return None
    return _on_one_canvas(found) if found else None


def _without_transform(dataset: Any) -> Any:
    if type(dataset) is Subset:
        inner = _without_transform(dataset.dataset)
        return None if inner is None else Subset(inner, dataset.indices)
    own = getattr(dataset, "__dict__", {})
    if not callable(own.get("transform")):
        return None
    bare = copy.copy(dataset)
    if bare is dataset or vars(bare) is own:
        return None
    bare.transform = None
    if "transforms" in own:  # where torchvision joins transforms of image and target
        bare.transforms = None
    return bare


def _picture(image: Any, side: int) -> np.ndarray | None:
    """A PIL image, or an array of bytes [y, x] or [y, x, 1 or 3], as bytes [y, x, 3]."""
    if hasattr(image, "convert") and hasattr(image, "thumbnail"):  # PIL, without importing it
        small = image.convert("RGB")
        small = small.copy() if small is image else small
        small.thumbnail((side, side))
        return np.asarray(small, np.uint8)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        pixels = torch.from_numpy(np.ascontiguousarray(image))
        if pixels.ndim == 3 and pixels.shape[2] in (1, 3):
            pixels = pixels.permute(2, 0, 1)
        elif pixels.ndim == 2:
            pixels = pixels[None]
        else:
            return None
        return _bytes(_shrunk(pixels[None], side) / 255)[0]
    return None


def _same(label: Any, expected: Any) -> bool:
    return bool(np.array_equal(np.asarray(label), np.asarray(expected)))


def _on_one_canvas(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of several sizes, each in the middle."""
    height, width = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    canvas = np.full((len(pictures), height, width, 3), PAD, np.uint8)
    for place, picture in zip(canvas, pictures, strict=True):
        y, x = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        place[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return canvas


def normalization_of(dataset: Any) -> tuple[Any, Any]:
    """Mean and std of a `Normalize` among a data set's transforms; (None, None) where there is none."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    transform = getattr(dataset, "transform", None)
    steps: Any = getattr(transform, "transforms", None) or [transform]
    try:
        found = [step for step in steps if type(step).__name__ == "Normalize"]
    except TypeError:
        return None, None
    if len(found) != 1:
        return None, None
    return getattr(found[0], "mean", None), getattr(found[0], "std", None)


# --- what the model is given -------------------------------------------------------------------------


def of_inputs(
    batches: Iterable[Any],
    *,
    mean: Statistics | None = None,
    std: Statistics | None = None,
    side: int = SIDE,
) -> Thumbnails | None:
    """Pictures of the model's inputs; None where those are no images of 1 or 3 channels."""
    shrunk: list[Tensor] = []
    whole = True
    with torch.no_grad():
        for inputs in batches:
            images = image_of(inputs)
            if images is None or (shrunk and images.shape[1] != shrunk[0].shape[1]):
                return None
            whole = whole and not images.is_floating_point()
            shrunk.append(_shrunk(images, side).cpu())
    if not shrunk or len({one.shape[1:] for one in shrunk}) > 1:
        return None
    pictures = torch.cat(shrunk).nan_to_num(0.0, 0.0, 0.0)
    low, high = pictures.amin((0, 2, 3)), pictures.amax((0, 2, 3))
    if whole:
        return _thumbnails(pictures / 255, normalization="none")
    if mean is not None and std is not None:
        own, spread = (torch.as_tensor(s, dtype=torch.float32).flatten() for s in (mean, std))
        if len(own) in (1, pictures.shape[1]) and len(own) == len(spread):
            undone = pictures * spread[:, None, None] + own[:, None, None]
            scale = 255.0 if float(undone.max()) > 1.5 else 1.0  # they may be of bytes
            return _thumbnails(
                undone / scale, normalization="undone", mean=own.tolist(), std=spread.tolist()
            )
    if float(low.min()) >= 0 and float(high.max()) <= 1:
        return _thumbnails(pictures, normalization="none")
    spread = torch.where(high > low, high - low, 1.0)
    return _thumbnails(
        (pictures - low[:, None, None]) / spread[:, None, None],
        normalization="guessed",
        low=low.tolist(),
        high=high.tolist(),
    )


def image_of(inputs: Any) -> Tensor | None:
    """The one image tensor among a batch's inputs, as [sample, 1 or 3, y, x]."""
    found = [tensor for tensor in tensors_of(inputs) if tensor.ndim == 4]
    if len(found) != 1:
        return None
    images = found[0]
    if images.shape[1] not in (1, 3):
        if images.shape[3] not in (1, 3):
            return None
        images = images.movedim(3, 1)
    if min(images.shape[2:]) < LEAST_SIDE or images.is_complex():
        return None
    return images if images.is_floating_point() or images.dtype == torch.uint8 else None


def _shrunk(images: Tensor, side: int) -> Tensor:
    """[sample, channel, y, x] float32 of at most `side` per side; nothing is made larger."""
    y, x = images.shape[2:]
    factor = min(1.0, side / max(y, x))
    size = max(1, round(y * factor)), max(1, round(x * factor))
    images = images.detach().float()
    return images if size == (y, x) else F.adaptive_avg_pool2d(images, size)


def _thumbnails(pictures: Tensor, **made: Any) -> Thumbnails:
    return Thumbnails(_bytes(pictures), source="inputs", **made)


def _bytes(pictures: Tensor) -> np.ndarray:
    """[sample, 1 or 3, y, x] of 0 … 1 as uint8 [sample, y, x, 3]."""
    scaled = (pictures.clamp(0, 1) * 255).round().to(torch.uint8)
    return scaled.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()
