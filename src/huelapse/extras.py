"""What a run may hold beside its statistics: kept responses, maps, weights, pictures."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from huelapse import kept
from huelapse.committed import Committed
from huelapse.errors import FormatError, LabelError, SelectionError
from huelapse.moments import Moments
from huelapse.schema import LABELS, layer_name

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From labels [sample] and probabilities [sample, output] to a class index for each sample."""

MAPS = "true/maps"
WATCHED = "watched"
WEIGHTS = "first_weights"
THUMBNAILS = "thumbnails"

SNAPSHOTS = 64
"""That are read at once where only a little of each is kept."""


class Extras(Committed):
    """Reads optional arrays. What was not recorded is a `SelectionError` that says so.

    Methods take `step` (default: the last snapshot), `layer` (a path; default: all units) and
    `split` (default: the first).
    """

    def extras(self, split: str | None = None) -> tuple[str, ...]:
        """Paths of the optional arrays of a split."""
        return tuple(extra.path for extra in self.split(split).extras)

    def has(self, path: str, split: str | None = None) -> bool:
        """Whether a split has an optional array, such as "responses" or "thumbnails"."""
        return path in self.extras(split)

    # --- kept responses --------------------------------------------------------------------------

    def responses(
        self, step: int | None = None, layer: str | None = None, split: str | None = None
    ) -> Float32[np.ndarray, "sample unit"]:
        """The responses themselves, of every sample of the probe.

        Off by at most 2⁻¹¹ of each unit's spread; zeros, signs and constant units are exact.

        Raises:
            SelectionError: they were not kept, in this run or at this snapshot.
            FormatError: a part of them is missing.
        """
        return self.responses_at(self.index(step, split), layer, split)

    def responses_at(
        self, index: int, layer: str | None = None, split: str | None = None
    ) -> Float32[np.ndarray, "sample unit"]:
        """The same at the `index`-th snapshot: a step that was made again has several."""
        path = self._extra(kept.RESPONSES, split, "kept responses")
        units = self._slice(layer)
        base = self.split(split).name
        ref = self._reader.read(f"{base}/{kept.REF}", (index, units))
        scale = self._reader.read(f"{base}/{kept.SCALE}", (index, units))
        codes = self._reader.read(path, (index, slice(None), units))
        unknown, empty = np.isnan(scale), _without_any(codes)
        if unknown.all() and empty.all():
            raise SelectionError(
                f"{self.place} kept no responses at step {self._step(index, split)} of split {base!r}"
            )
        if unknown.any() or (empty & np.isfinite(scale)).any():
            raise FormatError(f"{self.place}: part of {path} is missing or damaged")
        return kept.decode(codes, ref, scale)

    def probabilities(
        self, step: int | None = None, split: str | None = None
    ) -> Float32[np.ndarray, "sample output"]:
        """The model's output for every sample of the probe, as probabilities."""
        return self.probabilities_at(self.index(step, split), split)

    def probabilities_at(
        self, index: int, split: str | None = None
    ) -> Float32[np.ndarray, "sample output"]:
        """The same at the `index`-th snapshot."""
        return self._at(kept.PROBABILITIES, index, split, "kept probabilities")

    def probability_of(
        self, sample: int, split: str | None = None
    ) -> Float32[np.ndarray, "snapshot output"]:
        """The same of one sample at every snapshot; NaN where none were kept."""
        path = self._extra(kept.PROBABILITIES, split, "kept probabilities")
        samples = self._reader.shape(path)[1]
        if not 0 <= sample < samples:
            raise SelectionError(f"{self.place} has no sample {sample}: there are {samples}")
        return self._reader.read(path, (slice(None), sample))

    def predictions(
        self, step: int | None = None, split: str | None = None
    ) -> Int64[np.ndarray, " sample"]:
        """The predicted class of every sample of the probe, -1 where the output was not finite.

        What the confusion counts count: it may differ from the argmax of `probabilities` where
        rounding ties them.
        """
        found = self._at(kept.PREDICTIONS, self.index(step, split), split, "kept responses")
        return self._indices(found)

    def predictions_through_time(
        self, split: str | None = None
    ) -> Int64[np.ndarray, "snapshot sample"]:
        """The same at every snapshot; all of a snapshot are `kept.NOBODY` where none were kept."""
        found = self._reader.read(self._extra(kept.PREDICTIONS, split, "kept responses"))
        return found.astype(np.int64)

    def labels(self, split: str | None = None) -> Int64[np.ndarray, " sample"]:
        """The true class of every sample of the probe, -1 for none. The same at every snapshot."""
        return self._indices(self._reader.read(self._extra(LABELS, split, "kept responses")))

    def predictions_at(self, index: int, split: str | None = None) -> Int64[np.ndarray, " sample"]:
        """What each sample was predicted as at the `index`-th snapshot; all are `kept.NOBODY` where
        nothing was kept."""
        path = self._extra(kept.PREDICTIONS, split, "kept responses")
        return self._reader.read(path, index).astype(np.int64)

    def predictions_of(
        self, samples: Int64[np.ndarray, " some"], split: str | None = None
    ) -> Int64[np.ndarray, "snapshot some"]:
        """The same of a few samples at every snapshot; never all of them at once in memory."""
        path = self._extra(kept.PREDICTIONS, split, "kept responses")
        total = self._reader.shape(path)[0]
        parts = [
            self._reader.read(path, (slice(t, min(t + SNAPSHOTS, total)),))[:, samples]
            for t in range(0, total, SNAPSHOTS)
        ]
        return np.concatenate([np.zeros((0, len(samples)), np.int64), *parts]).astype(np.int64)

    def response_of(
        self, sample: int, index: int, split: str | None = None
    ) -> Float32[np.ndarray, " unit"] | None:
        """The responses of one sample at the `index`-th snapshot; None where none were kept."""
        path = self._extra(kept.RESPONSES, split, "kept responses")
        base = self.split(split).name
        scale = self._reader.read(f"{base}/{kept.SCALE}", index)
        if np.isnan(scale).all():
            return None
        codes = self._reader.read(path, (index, slice(sample, sample + 1)))
        ref = self._reader.read(f"{base}/{kept.REF}", index)
        return kept.decode(codes, ref, scale)[0]

    def regroup(
        self,
        classes: Int64[np.ndarray, " sample"] | Rule,
        *,
        number: int | None = None,
        step: int | None = None,
        layer: str | None = None,
        split: str | None = None,
    ) -> Moments:
        """Statistics by a grouping that nobody thought of while recording, from kept responses.

        Args:
            classes: the class index of each sample, -1 for none; or a function of
                (labels, probabilities) that gives them.
            number: how many classes there are; default: those up to the greatest index.
            step, layer, split: which responses.

        Raises:
            LabelError: not one index for each sample, or indices beyond `number`.
            SelectionError: no responses were kept.
        """
        index = self.index(step, split)
        return self._regrouped(classes, number, index, layer, split)

    def _regrouped(
        self,
        classes: Int64[np.ndarray, " sample"] | Rule,
        number: int | None,
        index: int,
        layer: str | None,
        split: str | None,
    ) -> Moments:
        responses = self.responses_at(index, layer, split)
        if callable(classes):
            classes = classes(self.labels(split), self.probabilities_at(index, split))
        found = np.asarray(classes)
        if found.shape != (len(responses),) or found.dtype.kind not in "iu":
            raise LabelError(
                f"the grouping gave {found.dtype} of shape {found.shape}, expected "
                f"({len(responses)},) integers: the class of each sample, or -1 for none"
            )
        greatest = int(found.max(initial=-1))
        number = max(greatest + 1, 1) if number is None else number
        if greatest >= number or int(found.min(initial=0)) < -1:
            raise LabelError(
                f"the grouping gave indices {found.min()} … {greatest}, expected -1 … {number - 1}"
            )
        return Moments.from_samples(
            responses.astype(np.float64), found.astype(np.int64), classes=number
        )

    def cell(
        self,
        true: int | str,
        predicted: int | str,
        *,
        step: int | None = None,
        layer: str | None = None,
        split: str | None = None,
    ) -> Moments:
        """The units of one confusion cell: its samples against the rest of their true class.

        Args:
            true, predicted: class names, or their indices.
            step, layer, split: which responses.

        Returns:
            Statistics of two classes: samples of class `true` that were predicted as `predicted`,
            and all others of class `true`. Either may be empty.
        """
        return self.cell_at(self.index(step, split), true, predicted, layer=layer, split=split)

    def cell_at(
        self,
        index: int,
        true: int | str,
        predicted: int | str,
        *,
        layer: str | None = None,
        split: str | None = None,
    ) -> Moments:
        """The same at the `index`-th snapshot."""
        row, column = self._class(true, split), self._class(predicted, split)
        own = self.labels(split) == row
        told = self._at(kept.PREDICTIONS, index, split, "kept responses")
        inside = self._indices(told) == column
        classes = np.where(own, np.where(inside, 0, 1), -1)
        return self._regrouped(classes, 2, index, layer, split)

    # --- maps, weights, pictures -----------------------------------------------------------------

    def maps(
        self,
        layer: str,
        step: int | None = None,
        split: str | None = None,
        *,
        classes: slice = slice(None),
        units: slice = slice(None),
    ) -> Float32[np.ndarray, "class unit y x"]:
        """Mean response of each unit at each position, by true class; NaN where there is no data,
        or where any response was not finite. `classes` and `units` (of the layer) read a part."""
        return self.maps_at(self.index(step, split), layer, split, classes=classes, units=units)

    def maps_at(
        self,
        index: int,
        layer: str,
        split: str | None = None,
        *,
        classes: slice = slice(None),
        units: slice = slice(None),
    ) -> Float32[np.ndarray, "class unit y x"]:
        """The same at the `index`-th snapshot."""
        path = f"{MAPS}/{self._name(layer)}"
        return self._at(path, index, split, "maps of this layer", classes, units)

    def watched(
        self,
        layer: str,
        step: int | None = None,
        split: str | None = None,
        *,
        samples: slice = slice(None),
    ) -> Float32[np.ndarray, "watched unit y x"]:
        """Feature maps of the watched samples; `watched_samples` says which those are, and
        `samples` (counted among them) reads a part."""
        return self.watched_at(self.index(step, split), layer, split, samples=samples)

    def watched_at(
        self,
        index: int,
        layer: str,
        split: str | None = None,
        *,
        samples: slice = slice(None),
    ) -> Float32[np.ndarray, "watched unit y x"]:
        """The same at the `index`-th snapshot."""
        return self._at(f"{WATCHED}/{self._name(layer)}", index, split, "watched samples", samples)

    def watched_samples(self, split: str | None = None) -> Int64[np.ndarray, " watched"]:
        """Which samples of the probe are watched, as indices along `sample`."""
        for path in self.extras(split):
            if path.startswith(f"{WATCHED}/"):
                full = f"{self.split(split).name}/{path}"
                return np.asarray(self._reader.attributes_of(full)["samples"], np.int64)
        raise SelectionError(f"{self.place} has no watched samples in split {self._named(split)!r}")

    def first_weights(
        self, step: int | None = None, split: str | None = None
    ) -> Float32[np.ndarray, "out in *size"]:
        """Weights of the first module that has any: those one can look at."""
        return self.first_weights_at(self.index(step, split), split)

    def first_weights_at(
        self, index: int, split: str | None = None
    ) -> Float32[np.ndarray, "out in *size"]:
        """The same at the `index`-th snapshot."""
        return self._at(WEIGHTS, index, split, "first weights")

    def thumbnails(self, split: str | None = None) -> UInt8[np.ndarray, "sample y x rgb"]:
        """Small pictures of the probe's samples; how they came about stands in their attributes."""
        return self._reader.read(self._extra(THUMBNAILS, split, "thumbnails"))

    def shape_of(self, path: str, split: str | None = None) -> tuple[int, ...]:
        """Of an optional array, `snapshot` first where it is not static."""
        return self._reader.shape(self._extra(path, split, f"array {path!r}"))

    def attributes_of(self, path: str, split: str | None = None) -> dict[str, object]:
        """What is said of an optional array: a layer's path, a module's, how pictures were made."""
        return dict(self._reader.attributes_of(self._extra(path, split, f"array {path!r}")))

    # --- finding ---------------------------------------------------------------------------------

    def _at(self, path: str, index: int, split: str | None, what: str, *part: slice) -> np.ndarray:
        return self._reader.read(self._extra(path, split, what), (index, *part))

    def _extra(self, path: str, split: str | None, what: str) -> str:
        name = self._named(split)
        if not self.has(path, split):
            there = ", ".join(self.extras(split)) or "nothing beside statistics"
            raise SelectionError(
                f"{self.place} has no {what} in split {name!r}; recorded was {there}"
            )
        return f"{name}/{path}"

    def _named(self, split: str | None) -> str:
        return self.split(split).name

    def _name(self, layer: str) -> str:
        return layer_name(self.layer(layer).path)

    def _step(self, index: int, split: str | None) -> int:
        return int(self.coordinate("step", split)[index])

    def _class(self, given: int | str, split: str | None) -> int:
        names = self.grouping(split=split).classes
        if isinstance(given, str) and given in names:
            return names.index(given)
        if isinstance(given, str) or not 0 <= given < len(names):
            raise SelectionError(f"{self.place} has no class {given!r}; it has {', '.join(names)}")
        return int(given)

    def _indices(self, values: np.ndarray) -> Int64[np.ndarray, " sample"]:
        if (values == kept.NOBODY).any():
            raise FormatError(
                f"{self.place}: classes of samples are missing or damaged, or were not kept at this "
                f"snapshot"
            )
        return values.astype(np.int64)


def _without_any(codes: np.ndarray) -> np.ndarray:
    """[unit] bool, whether all codes are NaN. Of float16 `isnan` is slow, and few units need it."""
    empty = np.asarray(np.isnan(codes[:1]).all(0))
    empty[empty] = np.isnan(codes[:, empty]).all(0)
    return empty
