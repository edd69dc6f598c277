"""What one forward of a batch gave, and what nobody has waited for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from huelapse.capture.responses import Response


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something on a device that would be wrong if it were not 0, and that nobody waited for."""

    count: Tensor
    error: Callable[[int], Exception]

    def resolve(self) -> None:
        """Waits for the device, and raises the error if it must."""
        count = int(self.count)
        if count:
            raise self.error(count)


@dataclass(frozen=True, slots=True)
class Forward:
    """What one forward of a batch gave. Nothing here is part of a graph."""

    responses: Mapping[Response, Tensor]
    """[sample, unit] float32, of each response that is recorded."""
    probabilities: Tensor
    """[sample, output] float32."""
    predicted: Tensor
    """[sample] int64, -1 for none; with multi-label [sample, class] bool."""
    output: Tensor
    """[sample, class] as the model gave it."""
    training: bool
    """Whether the model was in train mode."""

    @property
    def samples(self) -> int:
        return len(self.probabilities)

    def part(self, start: int, stop: int) -> "Forward":
        """Some of its samples."""
        return Forward(
            responses={name: r[start:stop] for name, r in self.responses.items()},
            probabilities=self.probabilities[start:stop],
            predicted=self.predicted[start:stop],
            output=self.output[start:stop],
            training=self.training,
        )
