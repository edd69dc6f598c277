"""Kept responses: float16 codes that lose neither small spreads around large means nor zeros.

A response x is kept as code = (x − ref)/scale, with ref and scale chosen for each unit at each
snapshot. ref is the value between the unit's least and greatest response that is nearest to 0: 0
itself for a unit that is silent for some samples, or of either sign. So zeros stay zeros, signs
stay signs, and a constant unit is exact. scale is a power of two that brings the farthest response
to 2¹⁴ … 2¹⁵: nothing overflows, and dividing by it rounds nothing.
See docs/decisions/0008-kept-responses-as-scaled-float16.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float16, Float32

from huelapse.schema import LABELS, ExtraArray

RESPONSES = "responses"
REF = "response_ref"
SCALE = "response_scale"
PROBABILITIES = "probabilities"
PREDICTIONS = "predictions"

NOBODY = -2
"""Fill of labels and predictions, which are -1 for none: a chunk that is gone is noticed."""

TOP = 14
"""The farthest code of a unit lies in 2^TOP … 2^(TOP+1); float16 ends at 65,504."""

LEAST = -126
"""Exponent of the least scale: float32's least normal number. Subnormal responses stay exact."""

LEAST_CODE = np.float32(2.0**-24)
"""float16's least number above 0."""

GREATEST = np.float32(2.0 ** (TOP + 1) - 2.0 ** (TOP - 10))
"""float16's greatest number below 2^(TOP+1)."""

ROWS = 16
"""Samples encoded at a time, so that the float32 between stays in the processor's cache."""

BUDGET = 64 * 10**6
"""Bytes of kept responses that a snapshot may have by default: 2,000 samples × 16,000 units."""

Keep = bool | int | Literal["auto"]


@dataclass(frozen=True, slots=True)
class Codes:
    """Responses of one snapshot as they are kept. ref and scale belong to units.

    scale is infinite for a unit without any finite response, and never 0 or NaN.
    """

    codes: Float16[np.ndarray, "sample unit"]
    ref: Float32[np.ndarray, " unit"]
    scale: Float32[np.ndarray, " unit"]


def encode(*batches: Float32[np.ndarray, "sample unit"]) -> Codes:
    """Responses of all samples, given in one or several pieces, as codes.

    The error of a response is at most 2⁻¹¹ of its distance from ref, so at most 2⁻¹¹ of the unit's
    spread (greatest less least finite response). NaN and ±Inf are kept as such. Nothing of the size
    of all responses is allocated besides the codes.
    """
    if not batches:
        raise ValueError("found no batch of responses, expected at least one")
    low, high = _bounds(batches)
    known = low <= high
    ref = np.where(known, np.clip(np.float32(0), low, high), np.float32(0))
    farthest = np.maximum(np.abs(high - ref), np.abs(low - ref))
    spread = known & (farthest > 0)
    exponent = np.frexp(np.where(spread, farthest, np.float32(1)))[1] - 1 - TOP
    exponent = np.where(spread, np.maximum(exponent, LEAST), 0)
    scale = np.where(known, np.ldexp(np.float32(1), exponent), np.float32(np.inf))
    factor = np.ldexp(np.float32(1), -exponent)
    codes = np.empty((sum(len(batch) for batch in batches), len(ref)), np.float16)
    start = 0
    for batch in batches:
        _encode_into(codes[start : start + len(batch)], batch, ref, factor)
        start += len(batch)
    return Codes(codes, ref.astype(np.float32), scale.astype(np.float32))


def decode(
    codes: Float16[np.ndarray, "sample unit"],
    ref: Float32[np.ndarray, " unit"],
    scale: Float32[np.ndarray, " unit"],
) -> Float32[np.ndarray, "sample unit"]:
    """Responses again: ref + code · scale."""
    responses = codes.astype(np.float32)
    responses *= scale
    responses += ref
    return responses


def _bounds(
    batches: Sequence[Float32[np.ndarray, "sample unit"]],
) -> tuple[Float32[np.ndarray, " unit"], Float32[np.ndarray, " unit"]]:
    """Least and greatest finite response of each unit; (Inf, -Inf) where there is none."""
    units = batches[0].shape[1]
    low = np.full(units, np.inf, np.float32)
    high = np.full(units, -np.inf, np.float32)
    for batch in batches:
        if not len(batch):
            continue
        least, greatest = batch.min(0), batch.max(0)
        bad = np.flatnonzero(~(np.isfinite(least) & np.isfinite(greatest)))
        if len(bad):  # looked at once more, without what is not finite
            own = batch[:, bad]
            finite = np.isfinite(own)
            least[bad] = np.where(finite, own, np.float32(np.inf)).min(0)
            greatest[bad] = np.where(finite, own, np.float32(-np.inf)).max(0)
        np.minimum(low, least, out=low)
        np.maximum(high, greatest, out=high)
    return low, high


def _encode_into(
    codes: Float16[np.ndarray, "sample unit"],
    batch: Float32[np.ndarray, "sample unit"],
    ref: Float32[np.ndarray, " unit"],
    factor: Float32[np.ndarray, " unit"],
) -> None:
    huge = np.flatnonzero(factor == 2.0 ** (TOP - 127))
    for start in range(0, len(batch), ROWS):
        part = batch[start : start + ROWS] - ref
        away = part != 0
        part *= factor
        # what is not ref must not become ref: a response just above 0 is active
        tiny = (np.abs(part) < LEAST_CODE) & away
        if tiny.any():
            part[tiny] = np.copysign(LEAST_CODE, part[tiny])
        if len(huge):  # rounded up, they would be beyond float32
            own = part[:, huge]
            part[:, huge] = np.where(np.isfinite(own), np.clip(own, -GREATEST, GREATEST), own)
        codes[start : start + ROWS] = part


def keeps(keep: Keep, samples: int, units: int, outputs: int = 0) -> bool:
    """Whether responses of so many samples are kept.

    Args:
        keep: "auto" for where they fit the default budget, True for always, False for never, or the
            most bytes that a snapshot of them may have.
        samples: of a snapshot.
        units: of all layers together; two bytes each.
        outputs: probabilities of a sample, four bytes each.

    Raises:
        ValueError: `keep` is something else.
    """
    if isinstance(keep, bool):
        return keep
    if keep == "auto":
        keep = BUDGET
    if not isinstance(keep, int) or keep < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f'keep is {keep!r}, expected "auto", True, False or a number of bytes')
    return samples * bytes_per_sample(units, outputs) <= keep


def bytes_per_sample(units: int, outputs: int) -> int:
    """What one kept sample takes in a snapshot, before compression."""
    return 2 * units + 4 * outputs


def arrays(samples: int, units: int, outputs: int) -> tuple[ExtraArray, ...]:
    """What a split declares whose responses are kept."""
    return (
        ExtraArray(
            path=RESPONSES, dims=("sample", "unit"), shape=(samples, units), dtype="float16"
        ),
        ExtraArray(path=REF, dims=("unit",), shape=(units,), dtype="float32"),
        ExtraArray(path=SCALE, dims=("unit",), shape=(units,), dtype="float32"),
        ExtraArray(
            path=PROBABILITIES,
            dims=("sample", "output"),
            shape=(samples, outputs),
            dtype="float32",
        ),
        ExtraArray(
            path=PREDICTIONS, dims=("sample",), shape=(samples,), dtype="int32", fill=NOBODY
        ),
        ExtraArray(
            path=LABELS, dims=("sample",), shape=(samples,), dtype="int64", fill=NOBODY, static=True
        ),
    )
