"""Where the responses of one batch are put, one place for each layer, used again and again."""

import torch
from torch import Tensor

from huelapse.capture.responses import Response

VIEWS = 10_000
"""Of parts of blocks that are kept; making them anew would cost as much as a reduction's call."""


class Buffers:
    """Contiguous blocks [sample, unit] float32, one for each response and layer."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[Response, int], Tensor] = {}
        self._views: dict[tuple[Response, int, int], Tensor] = {}

    def block(
        self, response: Response, index: int, samples: int, units: int, like: Tensor
    ) -> Tensor:
        """The place of one layer's responses, [sample, unit], on the device of `like`."""
        view = self._views.get((response, index, samples))
        if view is not None:
            return view
        block = self._blocks.get((response, index))
        if block is None or len(block) < samples:
            with torch.inference_mode(False):  # buffers made inside could not be written outside
                block = torch.empty((samples, units), dtype=torch.float32, device=like.device)
            self._blocks[response, index] = block
            for key in [key for key in self._views if key[:2] == (response, index)]:
                del self._views[key]
        if len(self._views) > VIEWS:  # a training with batches of very many sizes
            self._views.clear()
        view = self._views[response, index, samples] = block[:samples]
        return view
