"""Where in its picture a unit responds: maps of layers, shrunk to a few positions per side."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from huelapse.capture.assigning import Rows
from huelapse.capture.forward import Forward
from huelapse.capture.keeping import Values
from huelapse.errors import LayerError
from huelapse.schema import TRUE, ExtraArray, Layer, layer_name

MAP_SIZE = 14
"""Most positions per side of a class's mean map."""

WATCHED_SIZE = 32
"""Most positions per side of a watched sample's map."""


def map_size(layer: Layer, size: int = MAP_SIZE, *, images: bool = True) -> tuple[int, int] | None:
    """(y, x) of a layer's map, or None where it has no positions.

    [C, H, W] is shrunk to at most `size` per side; of [C, D, H, W] the mean over D is taken; [C, L]
    becomes one row. Tokens [T, D] are an image's patches if the model's inputs are images and T, or
    T less a class token, is a square; else one row.
    """
    axis = layer.unit_axis - 1
    positions = [n for i, n in enumerate(layer.shape) if i != axis]
    if math.prod(positions) <= 1:
        return None
    if len(positions) > 1:
        return min(positions[-2], size), min(positions[-1], size)
    side = _side(positions[0]) if images and axis == 1 else None
    if side is not None:
        return min(side, size), min(side, size)
    return 1, min(positions[0], size)


def _side(tokens: int) -> int | None:
    """Patches per side of a square image, with or without a class token before them."""
    for patches in (tokens, tokens - 1):
        side = math.isqrt(max(patches, 0))
        if side > 1 and side * side == patches:
            return side
    return None


def shrunk(output: Tensor, layer: Layer, to: tuple[int, int]) -> Tensor:
    """A layer's output as maps [sample, unit, y, x] float32, by adaptive average pooling.

    Never a view of `output`. NaN all over where tokens were patches of an image when recording
    began, and now their number is not that of a square.

    Raises:
        LayerError: the output has other axes than when recording began.
    """
    if output.ndim != len(layer.shape) + 1:
        raise LayerError(
            f"layer {layer.path!r} gave {output.ndim} axes, but {len(layer.shape) + 1} when "
            f"recording began"
        )
    maps = output.detach().movedim(layer.unit_axis, 1)
    if maps.ndim == 3 and to[0] > 1:
        side = _side(maps.shape[2])
        if side is None:
            return maps.new_full((*maps.shape[:2], *to), math.nan, dtype=torch.float32)
        maps = maps[:, :, -side * side :].unflatten(2, (side, side))
    elif maps.ndim == 3:
        maps = maps[:, :, None]
    elif maps.ndim > 4:
        maps = maps.mean(tuple(range(2, maps.ndim - 2)), dtype=torch.float32)
    maps = maps.float()
    return maps.clone() if maps.shape[2:] == to else F.adaptive_avg_pool2d(maps, to)


def _declare(
    folder: str, first: str, entries: int, layer: Layer, to: tuple[int, int]
) -> ExtraArray:
    name = layer_name(layer.path)
    return ExtraArray(
        path=f"{folder}/{name}",
        dims=(first, f"unit@{name}", f"y@{name}", f"x@{name}"),
        shape=(entries, layer.units, *to),
        dtype="float32",
        attributes={"layer": layer.path},
    )


class SpatialMaps:
    """Mean map per true class, [class, unit, y, x], of some layers.

    Summed in float64 and kept as float32. A position is NaN where the class has no sample, or where
    the response of any of its samples was not finite.
    """

    def __init__(
        self,
        layers: Mapping[int, Layer],
        classes: int,
        *,
        size: int = MAP_SIZE,
        images: bool = True,
    ) -> None:
        """
        Args:
            layers: index in the layer table → layer; those without positions are left out.
            classes: K.
            size: most positions per side.
            images: whether the model's inputs are images, so that tokens may be patches.
        """
        sizes = {i: map_size(layer, size, images=images) for i, layer in layers.items()}
        self._sizes = {i: found for i, found in sizes.items() if found is not None}
        self._layers = {i: layers[i] for i in self._sizes}
        self._classes = classes
        self._waiting: dict[int, Tensor] = {}
        self._count: Tensor | None = None
        self._totals: dict[int, Tensor] = {}

    def layer(self, index: int, output: Tensor) -> None:
        if index in self._layers:
            maps = shrunk(output, self._layers[index], self._sizes[index])
            self._waiting[index] = maps.cpu() if maps.device.type == "mps" else maps  # no float64

    def samples(self, forward: Forward, rows: Rows) -> None:
        self.labels(rows[TRUE])

    def labels(self, true: Tensor) -> None:
        """Classes of the samples whose maps came last.

        Args:
            true: [sample] int64, -1 for none, or [sample, class] bool.
        """
        waiting, self._waiting = self._waiting, {}
        k = self._classes
        for index, maps in waiting.items():
            device = maps.device
            if index not in self._totals:  # the last row takes samples of no class
                shape = (k + 1, *maps.shape[1:])
                self._totals[index] = torch.zeros(shape, dtype=torch.float64, device=device)
            total, row = self._totals[index], true.to(device)
            if row.dtype == torch.bool:
                for own in range(k):  # a product with 0 would spread what is not finite
                    chosen = torch.where(row[:, own, None, None, None], maps, 0.0)
                    total[own] += chosen.sum(0, dtype=torch.float64)
            else:
                total.index_add_(0, torch.where(row < 0, k, row), maps.double())
        if self._count is None:
            self._count = torch.zeros(k + 1, dtype=torch.int64, device=true.device)
        if true.dtype == torch.bool:
            self._count[:-1] += true.sum(0)
        else:
            row = torch.where(true < 0, k, true)
            self._count.index_add_(0, row, torch.ones_like(row))

    @property
    def nbytes(self) -> int:
        return sum(total.nbytes for total in self._totals.values())

    def arrays(self) -> tuple[ExtraArray, ...]:
        return tuple(
            _declare(f"{TRUE}/maps", "class", self._classes, layer, self._sizes[index])
            for index, layer in self._layers.items()
        )

    def static(self) -> Values:
        return {}

    def result(self) -> Values:
        if self._count is None:
            return {}
        n = self._count[:-1].cpu().numpy()[:, None, None, None]
        values: Values = {}
        for index, total in self._totals.items():
            sums = total[:-1].cpu().numpy()
            mean = np.divide(sums, n, out=np.full(sums.shape, np.nan), where=n > 0)
            with np.errstate(over="ignore"):
                mean = mean.astype(np.float32)
            values[f"{TRUE}/maps/{layer_name(self._layers[index].path)}"] = np.where(
                np.isfinite(mean), mean, np.float32(np.nan)
            )
        return values


class WatchedSamples:
    """Feature maps [watched, unit, y, x] float32 of a few samples, of some layers."""

    def __init__(
        self,
        samples: Sequence[int],
        layers: Mapping[int, Layer],
        *,
        size: int = WATCHED_SIZE,
        images: bool = True,
    ) -> None:
        """
        Args:
            samples: which, by their place in the pass.
            layers: index in the layer table → layer; those without positions are left out.
            size: most positions per side.
            images: whether the model's inputs are images, so that tokens may be patches.
        """
        self._which = [int(i) for i in samples]
        sizes = {i: map_size(layer, size, images=images) for i, layer in layers.items()}
        self._sizes = {i: found for i, found in sizes.items() if found is not None}
        self._layers = {i: layers[i] for i in self._sizes}
        self._seen = 0
        self._maps: dict[int, dict[int, Tensor]] = {i: {} for i in self._layers}

    def layer(self, index: int, output: Tensor) -> None:
        if index not in self._layers:
            return
        own = [i for i in self._which if self._seen <= i < self._seen + len(output)]
        if own:
            part = torch.stack([output[i - self._seen] for i in own])
            maps = shrunk(part, self._layers[index], self._sizes[index])
            self._maps[index].update(zip(own, maps, strict=True))

    def samples(self, forward: Forward, rows: Rows) -> None:
        self.passed(forward.samples)

    def passed(self, samples: int) -> None:
        """A batch of so many samples is done."""
        self._seen += samples

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for maps in self._maps.values() for one in maps.values())

    def arrays(self) -> tuple[ExtraArray, ...]:
        declared = (
            _declare("watched", "watched", len(self._which), layer, self._sizes[index])
            for index, layer in self._layers.items()
        )
        return tuple(
            ExtraArray(
                path=array.path,
                dims=array.dims,
                shape=array.shape,
                dtype=array.dtype,
                attributes={**array.attributes, "samples": list(self._which)},
            )
            for array in declared
        )

    def static(self) -> Values:
        return {}

    def result(self) -> Values:
        values: Values = {}
        for index, layer in self._layers.items():
            shape = (len(self._which), layer.units, *self._sizes[index])
            found = np.full(shape, np.nan, np.float32)
            for place, i in enumerate(self._which):
                if i in self._maps[index]:
                    found[place] = self._maps[index][i].cpu().numpy()
            values[f"watched/{layer_name(layer.path)}"] = found
        return values


def some_of_each(labels: np.ndarray, number: int) -> list[int]:
    """Places of `number` samples, of as many classes as there are: the first of each, then the
    second of each, and so on."""
    rank = np.zeros(len(labels), np.int64)
    for k in np.unique(labels):
        own = np.flatnonzero(labels == k)
        rank[own] = np.arange(len(own))
    return sorted(int(i) for i in np.lexsort((labels, rank))[:number])
