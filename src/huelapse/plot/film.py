"""A film of pictures as MP4 (H.264), by PyAV: FFmpeg's libraries, which its wheel brings along."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from huelapse.errors import ExportError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

RATE = 10
"""Frames a second. A picture stands for several: players that expect an even rate show it as meant."""
STANDS, LAST = 2, 18
"""How many of them a picture stands for, and the last one."""
ENCODERS = {"libx264": {"crf": "12", "preset": "medium", "tune": "stillimage"}, "libopenh264": {}}
"""In order of preference, with what keeps cells' colors within a few steps of 255."""
BT709 = 1
"""The primaries, transfer and matrix that players assume of a film of this size; told all the same."""


def check() -> None:
    """
    Raises:
        MissingExtraError: PyAV is not installed.
        ExportError: its FFmpeg cannot make H.264.
    """
    _encoder(_library())


def _library() -> Any:
    try:
        import av
    except ModuleNotFoundError as error:
        if error.name != "av":  # it is there, but broken
            raise
        raise MissingExtraError(
            "an MP4 needs PyAV: pip install 'huelapse[video]'; or name the file .gif", name="av"
        ) from error
    return av


def _encoder(av: Any) -> str:
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise ExportError(
        f"the FFmpeg of PyAV {av.__version__} has none of {', '.join(ENCODERS)}, and makes no H.264; "
        f"name the file .gif, or install PyAV's own wheel"
    )


def write(frames: Iterator[Image.Image], path: Path) -> int:
    """Write frames of one size; only one is in memory at a time.

    Returns:
        how many pictures there are.
    """
    av = _library()
    encoder = _encoder(av)
    number = 0
    before: np.ndarray | None = None
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = None
        for frame in frames:
            if before is not None:
                _put(container, stream, before, STANDS, av)
            before = _even(np.asarray(frame))
            number += 1
            if stream is None:
                stream = container.add_stream(encoder, rate=RATE, options=ENCODERS[encoder])
                stream.height, stream.width = before.shape[:2]
                stream.pix_fmt = "yuv420p"  # all players show it
                context = stream.codec_context
                context.time_base = Fraction(1, RATE)
                context.color_primaries = context.color_trc = context.colorspace = BT709
                context.color_range = 1  # 16 … 235
        assert before is not None
        _put(container, stream, before, LAST, av)
        container.mux(stream.encode(None))
    return number


def _even(picture: np.ndarray) -> np.ndarray:
    """With even sides, as the format asks for: the last row and column are repeated."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _put(container: Any, stream: Any, picture: np.ndarray, times: int, av: Any) -> None:
    whole = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="yuv420p",
        src_colorspace="ITU709",
        dst_colorspace="ITU709",
        dst_color_range="MPEG",
        interpolation="AREA",
    )
    for _ in range(times):
        whole.pts = None
        container.mux(stream.encode(whole))
