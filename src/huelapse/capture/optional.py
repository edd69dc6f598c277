"""What else is kept of a probe, beside per-class sums: asked for, fitted, and made for each pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from huelapse.capture.guard import same_randomness
from huelapse.capture.keeping import KeptResponses, Part, Parts
from huelapse.capture.layers import Found
from huelapse.capture.maps import SpatialMaps, WatchedSamples, map_size, some_of_each
from huelapse.capture.probe import SEED, SameSamples
from huelapse.capture.responses import Response
from huelapse.capture.thumbnails import image_of, thumbnails
from huelapse.capture.weights import first_weights
from huelapse.errors import LayerError, OptionError
from huelapse.kept import Keep, bytes_per_sample, keeps
from huelapse.schema import Layer


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the user wants kept of the probe's samples."""

    responses: Keep = "auto"
    """The responses themselves: "auto" where they fit the budget, always, never, or up to bytes."""
    maps: bool | Sequence[str] = False
    """Mean map per class of layers that match these patterns; True for all with positions."""
    watch: int | Sequence[int] = 0
    """Feature maps of so many samples, spread over the classes, or of these."""
    first_weights: bool = False
    """The weights that work on the input itself."""
    thumbnails: bool | tuple[Any, Any] = False
    """Small pictures of the samples; (mean, std) undoes that normalization."""

    def check(self) -> None:
        """
        Raises:
            OptionError: something that cannot be asked for.
        """
        try:
            keeps(self.responses, 1, 1)
        except ValueError as error:
            raise OptionError(f"keep_responses: {error}") from error
        given = self.thumbnails
        if not isinstance(given, bool) and len(given) != 2:
            raise OptionError(f"thumbnails is {given!r}, expected True, False or (mean, std)")
        if isinstance(self.watch, int) and self.watch < 0:
            raise OptionError(f"watch is {self.watch}, expected how many samples, or which")


class Optional:
    """Makes, for each pass of the probe, what is to be kept of it."""

    def __init__(self, wanted: Wanted, probe: SameSamples, response: Response) -> None:
        """
        Args:
            wanted: by the user.
            probe: whose samples.
            response: which of the recorded ones is kept.
        """
        wanted.check()
        self.wanted = wanted
        self.first_path: str | None = None
        """Module of the first weights, once the model has run."""
        self._probe = probe
        self._response: Response = response
        nobody = isinstance(wanted.watch, int) and not wanted.watch  # then no label is needed yet
        self._watched = [] if nobody else self._which(wanted.watch)
        self._static: list[Part] | None = None

    def kept_bytes(self, found: Found) -> int:
        """Bytes of a snapshot's kept responses before compression; 0 where they are not kept."""
        units, outputs = _units(found), found.layers[-1].units
        if not keeps(self.wanted.responses, self._probe.samples, units, outputs):
            return 0
        return self._probe.samples * bytes_per_sample(units, outputs)

    def leave_responses_out(self) -> None:
        """Keep no responses after all."""
        self.wanted = replace(self.wanted, responses=False)

    def parts(self, model: nn.Module, found: Found) -> Parts:
        """For one pass.

        Raises:
            LayerError: a pattern of maps matches no layer that has positions.
        """
        parts: list[Part] = []
        if self.kept_bytes(found):
            parts.append(KeptResponses(self._response))
        images = self._images
        if self.wanted.maps is not False:
            layers = _matching(found, self.wanted.maps, images=images)
            parts.append(SpatialMaps(layers, self._probe.classes, images=images))
        if self._watched:
            maps = self.wanted.maps
            layers = _matching(found, True if maps is False else maps, images=images)
            parts.append(WatchedSamples(self._watched, layers, images=images))
        if self.wanted.first_weights:
            weights = first_weights(model, self.first_path)
            if weights is not None:
                parts.append(weights)
        if self._static is None:
            self._static = self._pictures()
        return Parts([*parts, *self._static])

    @cached_property
    def _images(self) -> bool:
        with same_randomness(SEED):
            return image_of(next(iter(self._probe.batches())).inputs) is not None

    def _pictures(self) -> list[Part]:
        wanted = self.wanted.thumbnails
        if wanted is False:
            return []
        mean, std = (None, None) if wanted is True else wanted
        with same_randomness(SEED):
            made = thumbnails(
                (batch.inputs for batch in self._probe.batches()),
                samples=self._probe.samples,
                dataset=self._probe.dataset,
                indices=self._probe.indices,
                labels=self._probe.labels,
                mean=mean,
                std=std,
            )
        return [] if made is None else [made]

    def _which(self, watch: int | Sequence[int]) -> list[int]:
        if not isinstance(watch, int):
            chosen = [int(i) for i in watch]
            outside = [i for i in chosen if not 0 <= i < self._probe.samples]
            if outside:
                raise OptionError(
                    f"watch names samples {outside[:5]}, but the probe has {self._probe.samples}; "
                    f"they count from 0, in the order of the probe"
                )
            return chosen
        labels = self._probe.labels
        one = labels if labels.ndim == 1 else np.where(labels.any(1), labels.argmax(1), -1)
        return some_of_each(one, watch)


def _units(found: Found) -> int:
    return sum(layer.units for layer in found.layers)


def _matching(found: Found, maps: bool | Sequence[str], *, images: bool) -> dict[int, Layer]:
    have = {
        i: layer
        for i, layer in enumerate(found.layers)
        if map_size(layer, images=images) is not None
    }
    if isinstance(maps, bool):
        return have
    patterns = [maps] if isinstance(maps, str) else list(maps)
    for pattern in patterns:
        if not any(fnmatchcase(layer.path, pattern) for layer in have.values()):
            raise LayerError(
                f"no recorded layer with positions matches {pattern!r}; those that have are "
                f"{', '.join(layer.path for layer in have.values()) or 'none'}"
            )
    return {i: x for i, x in have.items() if any(fnmatchcase(x.path, p) for p in patterns)}
