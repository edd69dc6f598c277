"""What samples of a probe were predicted as: all at one snapshot, or a few through training."""

import numpy as np

from huelapse.kept import PREDICTIONS
from huelapse.run import Run

WHOLE_BYTES = 64 * 2**20
"""Up to which all predictions of a split are read once and kept in memory."""


class Predicted:
    """Of one split. Many predictions are read as they are asked for: a snapshot, or some samples."""

    def __init__(self, run: Run, split: str) -> None:
        """
        Raises:
            SelectionError: the split kept none.
        """
        self._run = run
        self._split = split
        snapshots, samples = run.shape_of(PREDICTIONS, split)
        small = 8 * snapshots * samples <= WHOLE_BYTES
        self._whole = run.predictions_through_time(split) if small else None

    def at(self, index: int) -> np.ndarray:
        """[sample] int64; `kept.NOBODY` where nothing was kept, -1 for none."""
        if self._whole is not None:
            return self._whole[index]
        return self._run.predictions_at(index, self._split)

    def of(self, samples: np.ndarray) -> np.ndarray:
        """[snapshot, sample] of these."""
        if self._whole is not None:
            return self._whole[:, samples]
        return self._run.predictions_of(samples, self._split)
