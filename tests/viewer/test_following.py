"""A run that is recorded while the page is open, in a real Chromium."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from made import Units, begin, snapshot
from viewing import Viewer, looked_at, served

import huelapse

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TRAINING = """
import sys, threading
import torch
from torch import nn
import huelapse

torch.manual_seed(0)
x = torch.randn(150, 6)
y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
optimizer = torch.optim.Adam(model.parameters(), 0.05)
done = threading.Semaphore(0)
recorder = huelapse.Recorder(
    model, sys.argv[1], probe=(x, y), classes=3, schedule=1, probe_budget=None,
    on_commit=lambda split, step: done.release(),
)
done.acquire()
print("ready", flush=True)
for line in sys.stdin:  # how many steps to make
    for _ in range(int(line)):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
        done.acquire()
    print("made", flush=True)
recorder.close()
"""


class Training:
    """A program that trains and records as many steps as it is told to."""

    def __init__(self, path: Path) -> None:
        self.program = subprocess.Popen(
            [sys.executable, "-c", TRAINING, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.program.stdout is not None
        assert self.program.stdout.readline() == "ready\n"

    def make(self, steps: int) -> None:
        assert self.program.stdin is not None and self.program.stdout is not None
        self.program.stdin.write(f"{steps}\n")
        self.program.stdin.flush()
        assert self.program.stdout.readline() == "made\n"

    def end(self) -> None:
        assert self.program.stdin is not None
        self.program.stdin.close()
        assert self.program.wait(60) == 0


@contextmanager
def training(path: Path) -> Iterator[Training]:
    it = Training(path)
    try:
        yield it
    finally:
        it.program.kill()
        for stream in (it.program.stdin, it.program.stdout):
            if stream is not None:
                stream.close()
        it.program.wait()


def grown_to(viewer: Viewer, snapshots: int) -> None:
    viewer.until(
        "() => document.querySelector('[data-testid=scrubber]')"
        f"?.getAttribute('aria-valuemax') === '{snapshots - 1}'"
    )


def state_is(viewer: Viewer, words: str) -> None:
    there = "(document.querySelector('[data-testid=run-state]')?.innerText ?? '')"
    viewer.until(f"() => {there} === '{words}'", seconds=60)  # asked for every ten seconds at most


def test_the_page_grows_with_the_run_and_nothing_else_moves(browser: Any, tmp_path: Path) -> None:
    with training(tmp_path / "run") as it:
        it.make(4)
        run = huelapse.open(tmp_path / "run")
        with served(run) as address, looked_at(browser, address) as viewer:
            viewer.page.evaluate("() => (globalThis.same = true)")
            state_is(viewer, "live")
            assert viewer.snapshot() == 4
            assert viewer.by("playhead").inner_text() == "step 4 · live"
            places = [viewer.place_of(unit) for unit in range(27)]
            assert viewer.by("place-anew").count() == 0

            it.make(8)  # who is at the newest goes along
            grown_to(viewer, 13)
            assert viewer.snapshot() == 12
            assert viewer.by("playhead").inner_text() == "step 12 · live"
            assert "Step 12" in viewer.by("title").inner_text()
            viewer.ready()
            assert [viewer.place_of(unit) for unit in range(27)] == places
            viewer.by("place-anew").click()
            viewer.until("() => document.querySelector('[data-testid=place-anew]') === null")
            now = run.refreshed()
            assert run.layers == now.layers
            assert viewer.cell_colors([26])[0][3] == 255

            viewer.until("() => document.querySelector('[data-testid=events]') !== null")
            viewer.until(
                "() => document.querySelector('[data-testid=events] small').innerText"
                f".includes('of {len(now.events())} events')"
            )

            viewer.page.keyboard.press("ArrowLeft")  # who is not, stays
            viewer.page.mouse.click(*viewer.place_of(18))
            viewer.until("() => document.body.innerText.includes('Through training')")
            it.make(8)
            grown_to(viewer, 21)
            assert viewer.snapshot() == 11
            assert viewer.by("playhead").inner_text() == "step 11"
            assert "Step 11" in viewer.by("title").inner_text()
            assert "unit 2" in viewer.by("inspector").locator("h1").inner_text()
            viewer.until("() => document.body.innerText.includes('Through training')")
            viewer.page.keyboard.press("Escape")
            viewer.until(
                "() => document.querySelector('[data-testid=events] small')?.innerText"
                f".includes('of {len(run.refreshed().events())} events')"
            )

            it.end()
            state_is(viewer, "")
            assert viewer.page.evaluate("() => globalThis.same")  # all of it without a reload


def test_a_view_that_is_open_grows_too(browser: Any, tmp_path: Path) -> None:
    with training(tmp_path / "run") as it:
        it.make(3)
        run = huelapse.open(tmp_path / "run")
        with served(run) as address, looked_at(browser, address) as viewer:
            for view, there in (("confusion", "confusion"), ("samples", "samples")):
                viewer.open(f"view={view}")
                viewer.by(there).wait_for()
                viewer.page.evaluate("() => (globalThis.same = true)")
                it.make(2)
                at = run.refreshed().steps[-1]
                viewer.until(
                    "() => document.querySelector('[data-testid=title]').innerText"
                    f".startsWith('Step {at}: ')"
                )
                viewer.by(there).wait_for()
                assert viewer.page.evaluate("() => globalThis.same")
            it.end()


def test_a_run_that_stops_says_for_how_long_and_that_it_was_interrupted(
    browser: Any, tmp_path: Path
) -> None:
    store = begin(tmp_path / "run")
    units = Units.of([0] * 22)
    since = time.time() - 250 - 9 * 10
    for t in range(10):
        store.commit(snapshot(t, units, wall_time=since + 10 * t))
    with (
        served(huelapse.open(tmp_path / "run")) as address,
        looked_at(browser, address) as viewer,
    ):
        state_is(viewer, "no new snapshot for 4 min")
        store.commit(snapshot(10, units, wall_time=time.time()))
        state_is(viewer, "live")
        grown_to(viewer, 11)
        store.abandon()
        state_is(viewer, "interrupted")
        assert viewer.by("playhead").inner_text() == "step 10"


def test_a_run_without_a_snapshot_is_shown_as_soon_as_it_has_one(
    browser: Any, tmp_path: Path
) -> None:
    store = begin(tmp_path / "run")
    with served(huelapse.open(tmp_path / "run")) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_test_id("problem").wait_for()
        assert "Waiting for the first snapshot" in page.get_by_test_id("problem").inner_text()
        store.commit(snapshot(0, Units.of([0] * 22), wall_time=time.time()))
        page.get_by_test_id("title").wait_for()
        assert "One snapshot so far: step 0." in page.get_by_test_id("timeline").inner_text()
        page.close()
    store.close()


def free_port() -> int:
    """Not one of those that the servers of other tests, which come and go beside this, take first."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_server_that_is_gone_and_back_takes_nothing_away(browser: Any, tmp_path: Path) -> None:
    store = begin(tmp_path / "run")
    for t in range(6):
        store.commit(snapshot(t, Units.of([t % 4] * 22), wall_time=time.time() + t))
    run = huelapse.open(tmp_path / "run")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    port = free_port()
    with served(run, port=port) as address:
        viewer = Viewer(page, address)
        state_is(viewer, "live")
    viewer.until("() => document.querySelector('[data-testid=banner]') !== null")
    assert viewer.by("banner").inner_text() == "Showing what was loaded; reconnecting"
    page.keyboard.press("Home")  # what is here can still be looked at
    assert "before training" in viewer.by("title").inner_text()
    page.mouse.click(*viewer.place_of(3))  # what is not, comes later
    store.commit(snapshot(6, Units.of([3] * 22), wall_time=time.time() + 6))
    with served(run, port=port):
        viewer.until("() => document.querySelector('[data-testid=banner]') === null")
        grown_to(viewer, 7)
        viewer.until("() => document.body.innerText.includes('Through training')")
        assert viewer.snapshot() == 0
    page.close()
    store.close()
    assert all("ERR_CONNECTION_REFUSED" in line for line in viewer.said), viewer.said


SERVER = """
import sys
from viewing import served
import huelapse

with served(huelapse.open(sys.argv[1]), port=int(sys.argv[2])) as address:
    print(address, flush=True)
    sys.stdin.readline()
"""


def test_a_server_that_hangs_is_told_as_gone_and_what_it_was_asked_comes_later(
    browser: Any, tmp_path: Path
) -> None:
    store = begin(tmp_path / "run")
    for t in range(6):
        store.commit(snapshot(t, Units.of([t % 4] * 22), wall_time=time.time() + t))
    program = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "run"), str(free_port())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert program.stdout is not None and program.stdin is not None
    try:
        with looked_at(browser, program.stdout.readline().strip()) as viewer:
            state_is(viewer, "live")
            program.send_signal(signal.SIGSTOP)  # its port is open, and nobody there
            viewer.page.mouse.click(*viewer.place_of(3))
            viewer.until("() => document.querySelector('[data-testid=banner]') !== null", 40)
            assert viewer.by("banner").inner_text() == "Showing what was loaded; reconnecting"
            assert "Through training" not in viewer.by("inspector").inner_text()
            store.commit(snapshot(6, Units.of([3] * 22), wall_time=time.time() + 6))
            program.send_signal(signal.SIGCONT)
            viewer.until("() => document.querySelector('[data-testid=banner]') === null")
            grown_to(viewer, 7)
            viewer.until("() => document.body.innerText.includes('Through training')")
    finally:
        program.kill()
        program.stdin.close()
        program.stdout.close()
        program.wait()
    store.close()


def test_another_server_at_the_same_address_is_not_taken_for_an_end(
    browser: Any, tmp_path: Path
) -> None:
    """It has no such run, and a run that is recorded does not end by that."""
    stores = [begin(tmp_path / name) for name in ("run", "other")]
    for store in stores:
        for t in range(3):
            store.commit(snapshot(t, Units.of([t % 4] * 22), wall_time=time.time() + t))
    runs = [huelapse.open(tmp_path / name) for name in ("run", "other")]
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    port = free_port()
    with served(runs[0], port=port) as address:
        viewer = Viewer(page, address)
        state_is(viewer, "live")
    with served(runs[1], port=port):
        viewer.until("() => document.querySelector('[data-testid=banner]') !== null")
        viewer.page.wait_for_timeout(2500)  # asked again, and refused again
        assert viewer.by("banner").inner_text() == "Showing what was loaded; reconnecting"
    stores[0].commit(snapshot(3, Units.of([3] * 22), wall_time=time.time() + 3))
    with served(runs[0], port=port):
        viewer.until("() => document.querySelector('[data-testid=banner]') === null")
        grown_to(viewer, 4)
    page.close()
    for store in stores:
        store.close()
    assert all("404" in line or "CONNECTION_REFUSED" in line for line in viewer.said), viewer.said
