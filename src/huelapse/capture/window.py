"""Windows: training forwards summed up, closed at an equal number of samples."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from huelapse.capture.assigning import Samples, host_ids
from huelapse.capture.capturing import Capture
from huelapse.capture.forward import Forward
from huelapse.capture.forwards import Forwards
from huelapse.capture.sums import Captured, Sums
from huelapse.errors import ProbeError, ScheduleError


class Window:
    """The training samples since the last snapshot, weights moving: one window after another.

    Each is closed when it holds exactly `samples`; a batch that goes on past that begins the next.
    """

    def __init__(
        self,
        capture: Capture,
        samples: int,
        *,
        opens: Callable[[], bool],
        closed: Callable[[Captured], None],
        ranks: int = 1,
        grows: bool = False,
    ) -> None:
        """
        Args:
            capture: what is recorded of which model.
            samples: n of every window.
            opens: whether a window may begin now.
            closed: takes what a full window gave.
            ranks: how many processes share a window, each with n samples.
            grows: n is as many as the first batch has, where that is more.
        """
        self._ranks = ranks
        self._grows = grows
        self.samples = samples
        self.batches = 0
        """Batches recorded."""
        self.fold_seconds = 0.0
        self._capture = capture
        self._opens = opens
        self._closed = closed
        self._forwards = Forwards(capture, self._ran)
        self._assigning = capture.assigning()
        self._sums: Sums | None = None
        self._now: Samples | None = None
        self._open = False
        """Whether the next batch belongs to a window, begun or to be begun."""

    @property
    def hook_seconds(self) -> float:
        return self._forwards.seconds

    @property
    def nbytes(self) -> int:
        """Bytes of the sums of the window that is open."""
        return self._sums.nbytes if self._sums is not None else 0

    def wanted(self) -> bool:
        """Whether the next batch belongs to a window."""
        self._open = self._open or self._opens()
        return self._open

    @contextmanager
    def block(self, samples: Samples) -> Generator[None]:
        """Around the training forward of a batch; hooks are on the model only in here.

        Raises:
            LabelError, ProbeError …: what does not fit; nothing is raised into the forward.
        """
        before, raised = self._forwards.seen, self._forwards.raised
        self._now = samples
        try:
            with self._forwards.attached():
                yield
        finally:
            self._now = None
        if self._forwards.error is not None:
            raise self._forwards.error
        if self._forwards.seen > before:
            self.batches += 1
        elif self._forwards.raised == raised:  # else the user has caught what the forward raised
            raise ProbeError(self._capture.nothing_ran())

    def _ran(self, forward: Forward) -> None:
        assert self._now is not None
        started = time.perf_counter()
        assigning = self._assigning
        n = forward.samples
        if not n:  # an empty batch
            return
        if self._grows:
            self._grows, self.samples = False, max(self.samples, n)
        if n > self.samples:
            each = f" ({self.samples} on each of {self._ranks} ranks)" if self._ranks > 1 else ""
            raise ScheduleError(
                f"a window of {self.samples * self._ranks} samples{each} is smaller than a batch of "
                f"{n * self._ranks}; say Recorder(window={n * self._ranks}) at least, for one batch"
            )
        true = assigning.check(self._now, n)
        rows = assigning.rows(forward, true, self._now)
        ids = host_ids(self._now.ids, n)
        start = 0
        while start < n:
            if self._sums is None:
                if not self.wanted():
                    break  # what is left of this batch belongs to no window
                self._sums = Sums(self._capture, shared=self._ranks > 1)
            stop = min(n, start + self.samples - self._sums.samples)
            whole = start == 0 and stop == n
            self._sums.add(
                forward if whole else forward.part(start, stop),
                rows if whole else {name: row[start:stop] for name, row in rows.items()},
                ids if whole or ids is None else ids[start:stop],
            )
            if self._sums.samples >= self.samples:
                full, self._sums, self._open = self._sums, None, False
                self._closed(self._result(full))
            start = stop
        self.fold_seconds += time.perf_counter() - started

    def rest(self) -> Captured | None:
        """What an open window holds at the end of the training."""
        if self._sums is None or self._forwards.error is not None:
            return None
        last, self._sums = self._sums, None
        return self._result(last)

    def _result(self, sums: Sums) -> Captured:
        return sums.result([*self._forwards.doubts(), *self._assigning.doubts()])
