"""Making a run fast to look at, in the background, while it is looked at."""

import logging
import threading

from huelapse.run import Run
from huelapse.viewer import background

logger = logging.getLogger(__name__)

MOST_BYTES = 4 * 2**30
"""Histories of more than this, before compression, are kept only by `huelapse compact`."""


class Keeper:
    """Keeps the histories of a split and grouping once one of its units was asked for.

    One at a time, in a thread that ends with the program; never of a run on another machine, which
    would be fetched as a whole.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, str], str] = {}
        self._at_work: threading.Thread | None = None

    def unit_was_asked(self, run: Run, split: str, grouping: str) -> None:
        """To be called after the answer; returns at once."""
        with self._lock:
            busy = self._at_work is not None and self._at_work.is_alive()
            if run.remote or busy or self._asked.get((split, grouping)) == run.version:
                return
            self._asked[split, grouping] = run.version  # once it has grown there may be more
            self._at_work = background.begin(
                "huelapse-keeper", lambda: self._keep(run, split, grouping)
            )

    def join(self) -> None:
        """Wait until what was begun is done."""
        if self._at_work is not None:
            self._at_work.join()

    @staticmethod
    def _keep(run: Run, split: str, grouping: str) -> None:
        try:
            run.keep_series(split)
            if run.units_to_keep(split, grouping) <= MOST_BYTES:
                for _ in run.keep_units(split, grouping):
                    if background.ending():
                        return
        except Exception as error:  # it only costs time
            logger.debug("the histories of %s could not be kept: %s", run.place, error)
