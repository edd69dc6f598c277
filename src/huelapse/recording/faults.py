"""A fault of ours: one warning, a marked gap, and silence. Never an exception in the user's loop."""

import logging
import warnings
from typing import Any

from huelapse.errors import HuelapseWarning, without_frames

logger = logging.getLogger(__name__)


class Faults:
    """What went wrong in a recording, and whether it goes on."""

    def __init__(self, run: object, *, strict: bool) -> None:
        """
        Args:
            run: where it is recorded, for messages.
            strict: raise faults instead of warning of them.
        """
        self.strict = strict
        self.failed = False
        self.gaps: list[dict[str, Any]] = []
        self._run = run
        self._warned = False

    def fail(self, error: Exception, step: int, *, marked: bool = False) -> None:
        """One warning, a marked gap, and nothing more; or the error itself where strict.

        Args:
            error: what went wrong.
            step: of the training.
            marked: the writer, whose error it is, has marked the gap already.
        """
        self.failed = True
        if not marked:
            self.gaps.append({"step": step, "reason": f"{type(error).__name__}: {error}"})
        if self.strict:
            raise error
        logger.debug("recording failed", exc_info=error)
        without_frames(error)
        text = (
            f"huelapse stopped recording {self._run} at step {step}; the training goes on, "
            f"and what was recorded before is safe. Reason: {type(error).__name__}: {error}"
        )
        if self._warned:
            logger.warning(text)
        else:
            self._warned = True
            self.warn(text)

    def missed(self, step: int, error: Exception) -> None:
        """One warning that the disk did not take a snapshot, and may not take more.

        Recording goes on, and what is missing is marked by the writer.

        Args:
            step: of the first that is missing.
            error: what the disk said; raised where strict.
        """
        if self._warned:
            return
        if self.strict:
            raise error
        self._warned = True
        self.warn(
            f"huelapse could not write the snapshot of step {step} to {self._run}; the training goes "
            f"on, and later snapshots are tried again: free space there, or see what the disk "
            f"has. What is missing is marked in the run, and what was recorded before is safe. "
            f"Reason: {type(error).__name__}: {error}"
        )

    def warn(self, text: str) -> None:
        """A warning that never becomes an exception in the user's loop."""
        try:
            warnings.warn(text, HuelapseWarning, stacklevel=6)
        except HuelapseWarning:  # the user turns warnings into errors, but not this loop's
            logger.warning(text)
