"""What probing may cost: fewer snapshots rather than fewer samples."""

import time
from numbers import Real
from typing import Any

from huelapse.errors import OptionError


class ProbeBudget:
    """Keeps the time spent in probes below a share of the training's wall time.

    The probe at step 0 is outside it: it comes before the training and always runs.
    """

    def __init__(self, share: float | None) -> None:
        """
        Args:
            share: of training time, such as 0.05; None for no limit.
        """
        given: Any = share
        if given is not None and not (isinstance(given, Real) and 0 < float(given) <= 1):
            raise OptionError(
                f"probe_budget is {share!r}, expected a share of training time in (0, 1], "
                f"or None for no limit"
            )
        self.share_allowed = share
        self.spent = 0.0
        self.first = 0.0
        self.probes = 0
        self._start = time.monotonic()

    def start(self) -> None:
        """The training starts now."""
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the training started, probes included."""
        return time.monotonic() - self._start

    @property
    def share(self) -> float:
        """Share of the time since training started that went into probes (step 0's left out)."""
        return self.spent / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def expected(self) -> float:
        """Seconds the next probe will take: the mean of those so far."""
        return self.spent / self.probes if self.probes else self.first

    def affordable(self) -> bool:
        if self.share_allowed is None:
            return True
        return self.spent + self.expected <= self.share_allowed * (self.elapsed + self.expected)

    def add(self, seconds: float, *, first: bool) -> None:
        if first:
            self.first = seconds
        else:
            self.spent += seconds
            self.probes += 1
