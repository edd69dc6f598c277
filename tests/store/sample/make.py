"""Makes the sample run of format 1, and what it must read as for ever. Not to be run again.

What it must read as is taken from what went in, not from reading the run back.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from extra_run import begin, snapshot, split, static  # noqa: E402

from huelapse.care.pruning import plan_pruning, prune  # noqa: E402
from huelapse.store.pack import pack_run  # noqa: E402
from huelapse.store.values import values_of  # noqa: E402

STAYS = (0, 2, 3, 4, 6)
"""Steps that are shown in the end: 1 was pruned, and 4 made again."""


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    run = folder / "run"
    store = begin(run)
    store.add_split(split(), static())
    for step in range(6):  # 4 and 5 are given up
        store.commit(snapshot(step))
    store.note(gaps=[{"step": 5, "reason": "OSError: No space left on device"}], dropped=1)
    store.close("interrupted")
    store = begin(run, first_step=3, resume=True)
    store.add_split(split(), static())
    for step in (4, 6):
        store.commit(snapshot(step + 100 if step == 4 else step, step=step))
    store.close()
    plan = plan_pruning(run, every=99)
    for one in plan:
        one.gone[:] = one.steps == 1
    prune(run, plan)
    pack_run(run, HERE / "format-1.hue.zip", force=True)
    expected = {}
    for step in STAYS:
        taken = snapshot(step + 100 if step == 4 else step, step=step)
        segment = int(step in (4, 6))
        for path, value in values_of(taken, ("mean", "peak"), segment=segment).items():
            expected.setdefault(path, []).append(np.asarray(value))
    arrays = {path: np.stack(values) for path, values in expected.items()}
    arrays |= {f"val/{path}": value for path, value in static().items()}
    np.savez_compressed(HERE / "format-1.npz", **arrays)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
