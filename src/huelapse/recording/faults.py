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

    def fail(self, error: Exception, step: int) -> None:
        """One warning, a marked gap, and nothing more; or the error itself where strict."""
        first = not self.failed
        self.failed = True
        self.gaps.append({"step": step, "reason": f"{type(error).__name__}: {error}"})
        if self.strict:
            raise error
        logger.debug("recording failed", exc_info=error)
        without_frames(error)
        if first:
            self.warn(
                f"huelapse stopped recording {self._run} at step {step}; the training goes on, "
                f"and what was recorded before is safe. Reason: {type(error).__name__}: {error}"
            )

    def warn(self, text: str) -> None:
        """A warning that never becomes an exception in the user's loop."""
        try:
            warnings.warn(text, HuelapseWarning, stacklevel=6)
        except HuelapseWarning:  # the user turns warnings into errors, but not this loop's
            logger.warning(text)
