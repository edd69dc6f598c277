"""What a page holds while a run plays for a long time.

    python benchmarks/playing.py [--quick] [--json FILE]

The run is synthetic and compacted; it plays again from its start whenever it has ended.
"""

import time

import browsing
import harness
import runs

import huelapse
from huelapse.compacting import compact
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf
from store import folder

MINUTES = 10.0
CLASSES = 10
SPEED = 4
ELEMENTS = "() => document.querySelectorAll('*').length"
SHOWN = "() => globalThis.huelapse.snapshot()"


def measure(quick: bool) -> harness.Numbers:
    units, snapshots, minutes = (1_000, 20, 0.2) if quick else (27_000, 100, MINUTES)
    numbers: harness.Numbers = {"units": units, "snapshots": snapshots, "minutes": minutes}
    with folder() as path, browsing.chromium() as browser:
        runs.write(path / "run", snapshots=snapshots, units=units, classes=CLASSES)
        list(compact(huelapse.open(path / "run"), units=False))
        with in_background(Shelf([huelapse.open(path / "run")])) as address:
            page = browser.new_page(viewport=browsing.SIZE)
            page.goto(address)
            browsing.until(page, browsing.READY)
            heap = browsing.Heap(page)
            time.sleep(5)  # what is fetched ahead is here
            page.get_by_label("Speed").select_option(str(SPEED))
            numbers["elements_begun"] = page.evaluate(ELEMENTS)
            began, played = time.monotonic(), 0
            for name, until in (("early", 0.1 * minutes), ("late", minutes)):
                while time.monotonic() - began < 60 * until:
                    before = page.evaluate(SHOWN)
                    if before == snapshots - 1 or not played:  # from the end it begins again
                        page.keyboard.press("Space")
                    time.sleep(0.3)
                    played += max(0, page.evaluate(SHOWN) - before)
                numbers[f"heap_{name}_mb"], numbers[f"arrays_{name}_mb"] = heap.mb()
            numbers["elements_ended"] = page.evaluate(ELEMENTS)
            numbers["played_snapshots"] = played
            page.close()
    return numbers


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
