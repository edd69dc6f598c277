"""The geometry of a run through training, worked out in the background while somebody looks at it."""

import logging
import threading
import time

import numpy as np

from huelapse.committed import GEOMETRY
from huelapse.errors import SelectionError
from huelapse.geometry import OUTLINE, outline, similar_to
from huelapse.geometry.outlining import last_kept
from huelapse.run import Run
from huelapse.viewer import background

logger = logging.getLogger(__name__)

MOST = 129
"""Snapshots of which the geometry is worked out, evenly spread; enough for a curve."""
PATIENCE = 15.0
"""Seconds after which nobody looks any more, and the work ends."""
EXPORTED = 17
"""Snapshots of which an export works it out, if it is not there."""

Arrays = dict[str, np.ndarray]


class Geometer:
    """What there is of the geometry of a run's splits, and one thread that works out the rest, from the
    coarse to the fine. It ends with the program, and when nobody has asked for a while; what is done
    is kept in the run's cache."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: dict[str, Arrays] = {}
        self._lost: set[str] = set()
        """Keys of those that could not be worked out."""
        self._at_work: threading.Thread | None = None
        self._looked_at: tuple[Run, str] | None = None
        self._asked = float("-inf")

    def geometry(self, run: Run, split: str, *, at_least: int = 0) -> Arrays:
        """What there is by now; the rest is begun.

        Args:
            at_least: of so many snapshots, which are waited for, and of no others.

        Returns:
            `snapshot` uint32 [known], in order; the numbers of `outline` float32 [known, layer];
            `wanted` uint32 [1]: how many snapshots there will be. One that is damaged is left out.
        """
        wanted = coarse_to_fine(len(run.coordinate("step", split)))
        if at_least:
            wanted = wanted[:at_least]
            for index in wanted:
                self._work_out(run, split, index)
        found = {index: self._find(run, split, index) for index in wanted}
        known = sorted(index for index, one in found.items() if one is not None)
        lost = sum(run.geometry_key(split, i) in self._lost for i in wanted)
        if len(known) + lost < len(wanted):
            self._begin(run, split)
        empty = np.zeros((0, len(run.layers)), np.float32)
        rows = [one for _, one in sorted(found.items()) if one is not None]
        return {
            "snapshot": np.array(known, np.uint32),
            "wanted": np.array([len(wanted) - lost], np.uint32),
            **{name: np.stack([r[name] for r in rows]) if rows else empty for name in OUTLINE},
        }

    def join(self) -> None:
        """Wait until what was begun is done."""
        if self._at_work is not None:
            self._at_work.join()

    def _find(self, run: Run, split: str, index: int) -> Arrays | None:
        key = run.geometry_key(split, index)
        if key not in self._done and key not in self._lost:
            found = run.cache.find(GEOMETRY, key)
            shape = (len(run.layers),)
            if found is None or {n: a.shape for n, a in found.items()} != dict.fromkeys(
                OUTLINE, shape
            ):
                return None
            self._done[key] = found
        return self._done.get(key)

    def _begin(self, run: Run, split: str) -> None:
        with self._lock:
            self._asked = time.monotonic()
            self._looked_at = run, split
            if self._at_work is None or not self._at_work.is_alive():
                self._at_work = background.begin("huelapse-geometer", self._work)

    def _next(self) -> tuple[Run, str, int] | None:
        """What is looked at now, and the first of its snapshots that is missing."""
        with self._lock:
            nobody = time.monotonic() - self._asked > PATIENCE
            if self._looked_at is None or nobody or background.ending():
                self._at_work = None
                return None
            run, split = self._looked_at
            for index in coarse_to_fine(len(run.coordinate("step", split))):
                lost = run.geometry_key(split, index) in self._lost
                if not lost and self._find(run, split, index) is None:
                    return run, split, index
            self._at_work = None
            return None

    def _work(self) -> None:
        while (task := self._next()) is not None:
            self._work_out(*task)

    def _work_out(self, run: Run, split: str, index: int) -> None:
        key = run.geometry_key(split, index)
        if key in self._lost or self._find(run, split, index) is not None:
            return
        try:
            layers: list[dict[str, float]] = []
            for layer in run.layers:
                if background.ending():
                    return
                layers.append(outline(run, split, index, layer))
        except Exception as error:  # it is beside the point: the others go on
            logger.warning("the geometry of snapshot %d of %s: %s", index, run.place, error)
            self._lost.add(key)
            return
        found = {name: np.array([one[name] for one in layers], np.float32) for name in OUTLINE}
        run.cache.keep(GEOMETRY, key, found)
        self._done[key] = found


def similarity(run: Run, split: str, index: int) -> Arrays:
    """`cka` [layer, layer at the last kept snapshot], and `last` [1], which that is.

    Raises:
        SelectionError: nothing was kept, in this split or at this snapshot.
    """
    last = last_kept(run, split)
    if last is None:
        raise SelectionError(f"no responses were kept of split {split!r}")
    return {"cka": similar_to(run, split, index, last), "last": np.array([last], np.uint32)}


def coarse_to_fine(total: int) -> list[int]:
    """Up to `MOST` snapshots: the last, the first, then those half-way between, and so on."""
    if total == 0:
        return []
    chosen = np.unique(np.linspace(0, total - 1, min(total, MOST)).round().astype(int)).tolist()
    order = dict.fromkeys([chosen[-1], chosen[0]])
    stride = 1 << max(0, (len(chosen) - 1).bit_length())
    while stride >= 1:
        order |= dict.fromkeys(chosen[::stride])
        stride //= 2
    return list(order)
