"""What the page costs in a real Chromium: a step of the slider, the first picture, a unit's history.

    python benchmarks/viewer.py [--quick] [--json FILE]

Runs are synthetic: 10 classes, compacted. A step is all that the page does for one: signals, text, the
canvas, a pixel read back, so that the drawing is done and not just queued, and the layout.
"""

import time
from pathlib import Path
from typing import Any

import browsing
import harness
import runs

import huelapse
from huelapse.compacting import compact
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf
from store import folder, seconds

CLASSES = 10

STEP = """async ({ steps, snapshots, canvas }) => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const read = () => {
        const of = document.querySelector(`[data-testid=${canvas}]`);
        of.getContext("2d").getImageData(0, 0, 1, 1);
        return document.body.offsetHeight;
    };
    const whole = [], drawing = [];
    for (let i = 0; i < steps; i++) {
        await frame();
        let began = 0;
        requestAnimationFrame(() => (began = performance.now()));  // before the page's own
        const asked = performance.now();
        globalThis.huelapse.show((7 * i) % snapshots);
        const told = performance.now();
        await frame();                                              // after the page's own
        read();
        whole.push(told - asked + performance.now() - began);
        drawing.push(globalThis.huelapse.timings.network);
    }
    const middle = (v) => v.sort((a, b) => a - b)[Math.floor(v.length / 2)];
    const late = (v) => v[Math.floor(0.95 * v.length)];
    return [middle(whole), late(whole), middle(drawing)];
}"""


def scrubbing(browser: Any, units: int, snapshots: int, steps: int) -> harness.Numbers:
    """Steps of the slider over all snapshots, in each view."""
    numbers: harness.Numbers = {}
    with folder() as path:
        runs.write(path / "run", snapshots=snapshots, units=units, classes=CLASSES)
        list(compact(huelapse.open(path / "run"), units=False))
        run = huelapse.open(path / "run")
        with in_background(Shelf([run])) as address:
            page = browser.new_page(viewport=browsing.SIZE)
            numbers[f"u{units}_first_picture_seconds"] = seconds(
                lambda: (page.goto(address), browsing.until(page, browsing.READY))
            )
            time.sleep(3)  # what is fetched ahead is here
            numbers[f"u{units}_transferred_mb"] = browsing.transferred_mb(page)
            base = page.url.partition("#")[0]
            for view, canvas in (
                ("network", "network"), ("layer", "kymograph"), ("classes", "trellis"),
                ("confusion", "confusion"),
            ):  # fmt: skip
                page.goto("about:blank")
                page.goto(f"{base}#view={view}")
                browsing.until(page, browsing.READY)
                time.sleep(1.5)  # what is fetched ahead is here
                given = {"steps": steps, "snapshots": snapshots, "canvas": canvas}
                page.evaluate(STEP, {**given, "steps": 10})
                median, late, drawing = page.evaluate(STEP, given)
                numbers[f"u{units}_{view}_step_ms"] = median
                numbers[f"u{units}_{view}_step_p95_ms"] = late
                if view == "network":
                    numbers[f"u{units}_network_canvas_ms"] = drawing
            page.close()
    return numbers


def history(browser: Any, units: int, snapshots: int) -> harness.Numbers:
    """From a click on a unit to its history, over many snapshots."""
    with folder() as path:
        runs.write(path / "run", snapshots=snapshots, units=units, classes=CLASSES)
        list(compact(huelapse.open(path / "run")))
        with in_background(Shelf([huelapse.open(path / "run")])) as address:
            page = browser.new_page(viewport=browsing.SIZE)
            page.goto(address)
            browsing.until(page, browsing.READY)
            time.sleep(2)
            times: list[float] = []
            for unit in range(3, 3 + 12):
                took = page.evaluate(
                    """async (unit) => {
                        const { canvas, x, y } = globalThis.huelapse.cellPixel(unit);
                        const box = canvas.getBoundingClientRect();
                        const scale = box.width / canvas.width;
                        const at = { clientX: box.x + x * scale, clientY: box.y + y * scale };
                        const began = performance.now();
                        canvas.dispatchEvent(new MouseEvent("click", { ...at, bubbles: true }));
                        const there = () => document.querySelector("svg.history");
                        while (document.querySelector(".heading")?.textContent.includes(`unit ${unit}`)
                               !== true || !there())
                            await new Promise((resolve) => setTimeout(resolve, 1));
                        return performance.now() - began;
                    }""",
                    unit,
                )
                times.append(took)
            page.close()
    return {
        "history_snapshots": snapshots,
        "history_units": units,
        "history_click_ms": harness.median(times[2:]),
    }


ZOOM = """async (turns) => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const area = document.querySelector('[data-testid=scrubber]');
    const strip = document.querySelector('[data-testid=strip]');
    const box = area.getBoundingClientRect();
    const took = [], drawing = [];
    for (let i = 0; i < turns; i++) {
        await frame();
        const at = { clientX: box.x + box.width * 0.4, clientY: box.y + 100, bubbles: true };
        const deltaY = Math.floor(i / 20) % 2 ? 200 : -200;
        const began = performance.now();
        area.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY, cancelable: true }));
        await Promise.resolve();               // the page's own rendering, strip and marks included
        strip.getContext('2d').getImageData(0, 0, 1, 1);
        document.body.offsetHeight;
        took.push(performance.now() - began);
        drawing.push(globalThis.huelapse.timings.strip);
    }
    const middle = (v) => v.sort((a, b) => a - b)[Math.floor(v.length / 2)];
    return [middle(took), took[Math.floor(0.95 * took.length)], middle(drawing)];
}"""


def long(browser: Any, path: Path, steps: int) -> harness.Numbers:
    """A run of very many snapshots: the first picture, a step of the slider, a turn of the wheel."""
    run = huelapse.open(path)
    snapshots = len(run.steps)
    with in_background(Shelf([run])) as address:
        page = browser.new_page(viewport=browsing.SIZE)
        first = seconds(lambda: (page.goto(address), browsing.until(page, browsing.READY)))
        whole = seconds(
            lambda: browsing.until(
                page, "() => document.querySelector('[data-testid=events]') !== null", 600
            )
        )
        given = {"steps": steps, "snapshots": snapshots, "canvas": "strip"}
        page.evaluate(STEP, {**given, "steps": 10})
        step, late, _ = page.evaluate(STEP, given)
        zoom, slow, strip = page.evaluate(ZOOM, steps)
        page.close()
    return {
        "long_snapshots": float(snapshots),
        "long_first_picture_seconds": first,
        "long_all_curves_seconds": first + whole,
        "long_step_ms": step,
        "long_step_p95_ms": late,
        "long_zoom_ms": zoom,
        "long_zoom_p95_ms": slow,
        "long_strip_ms": strip,
    }


def measure(quick: bool) -> harness.Numbers:
    numbers: harness.Numbers = {"viewport_pixels": float(1440 * 900)}
    with browsing.chromium() as browser:
        for units in (1_000,) if quick else (1_000, 27_000, 80_000):
            numbers |= scrubbing(browser, units, 20 if quick else 100, 20 if quick else 120)
        with folder() as path:
            runs.write(path / "run", snapshots=300 if quick else 10_000, units=420, classes=CLASSES)
            numbers |= long(browser, path / "run", 20 if quick else 200)
        numbers |= history(browser, 300 if quick else 2_000, 40 if quick else 1_000)
    return numbers


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
