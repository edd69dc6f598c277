"""What many viewers of one run cost its server, and what one costs a training in the same process.

    python benchmarks/serving.py [--quick] [--json FILE]

Viewers are connections that ask for what the page asks for: when it opens, and when the run has grown
by a snapshot. They, the server and the one who writes the run are processes of their own.
"""

import asyncio
import gzip
import json
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import harness
import runs

import huelapse
from huelapse.compacting import compact
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf, run_id
from store import folder

CLASSES = 10
EVERY = 2.0
"""Seconds between two snapshots of the run that grows."""

Times = dict[str, list[float]]


def opening(run: str, last: int) -> list[str]:
    """What the page asks for when it opens, in turn: small things, curves, the last snapshots."""
    track = f"{run}/val/true/margin"
    return [
        *(f"{run}/{name}" for name in ("manifest.json", "palette.st", "val/scalars.st")),
        *(f"{track}/{name}" for name in ("summary.st", "classes.st")),
        f"{track}/paint/{last // 16}.st",
        f"{run}/val/confusion.st",
        f"{track}/events.st",
    ]


# --- a process of many viewers --------------------------------------------------------------------


class Viewer:
    """One page's connection: it asks, and waits for the answer."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._cookie = f"huelapse-{port}={token}"

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def get(self, path: str) -> tuple[float, bytes]:
        """Seconds until the whole answer was here, and its body as it came."""
        began = time.perf_counter()
        self._writer.write(
            f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nCookie: {self._cookie}\r\n"
            f"Accept-Encoding: gzip\r\n\r\n".encode()
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if not head.startswith("http/1.1 200"):
            raise RuntimeError(f"{path}: {head.splitlines()[0]}")
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        body = await self._reader.readexactly(length)
        return time.perf_counter() - began, body


async def view(port: int, token: str, run: str, viewers: int, last: int, grown: int) -> Any:
    """All of them open the page at once; then each follows the run for `grown` snapshots."""
    pages = [Viewer(port, token) for _ in range(viewers)]
    await asyncio.gather(*(page.connect() for page in pages))
    times: Times = {"open": [], "grow": []}
    received = 0

    async def ask(page: Viewer, paths: list[str], kind: str) -> None:
        nonlocal received
        for path in paths:
            took, body = await page.get(path)
            times[kind].append(took)
            received += len(body)

    await asyncio.gather(*(ask(page, opening(run, last), "open") for page in pages))
    print("opened", flush=True)

    async def follow(page: Viewer, place: int) -> None:
        seen = last + 1
        await asyncio.sleep(place / viewers)  # pages were not opened in step
        while seen < last + 1 + grown:
            _, body = await page.get(f"{run}/manifest.json")
            now = json.loads(gzip.decompress(body))["splits"][0]["snapshots"]
            if now > seen:
                seen = now
                await ask(page, opening(run, seen - 1), "grow")
            await asyncio.sleep(EVERY / 4)

    await asyncio.gather(*(follow(page, i) for i, page in enumerate(pages)))
    return {"times": times, "received": received}


# --- the server -----------------------------------------------------------------------------------


def told(kind: str, *values: object) -> subprocess.Popen[str]:
    """This script again, in a process that plays one part."""
    command = [sys.executable, __file__, f"--{kind}", *map(str, values)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def late(times: list[float], share: float) -> float:
    return 1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))]


def many(units: int, snapshots: int, viewers: int, grown: int) -> harness.Numbers:
    numbers: harness.Numbers = {"viewers": viewers, "units": units, "snapshots": snapshots}
    with folder() as path:
        place = path / "run"
        writing = told("write", place, units, snapshots, grown)
        assert writing.stdin is not None and writing.stdout is not None
        assert writing.stdout.readline() == "written\n"
        run = huelapse.open(place)
        with in_background(Shelf([run])) as address:
            port, token = address.split("/?token=")[0].rsplit(":", 1)[1], address.split("=")[1]
            began = time.process_time()
            viewing = told("view", port, token, run_id(run), viewers, snapshots - 1, grown)
            assert viewing.stdout is not None
            assert viewing.stdout.readline() == "opened\n"
            opened = time.process_time()
            writing.stdin.write("grow\n")
            writing.stdin.flush()
            given = json.loads(viewing.stdout.read())
            ended = time.process_time()
        writing.wait()
        viewing.wait()
    numbers["open_cpu_ms_per_viewer"] = 1000 * (opened - began) / viewers
    numbers["grow_cpu_ms_per_viewer_and_snapshot"] = 1000 * (ended - opened) / viewers / grown
    for kind, times in given["times"].items():
        numbers[f"{kind}_requests"] = len(times)
        numbers |= {f"{kind}_p{n}_ms": late(times, n / 100) for n in (50, 99)}
    numbers["received_mb_per_viewer"] = given["received"] / viewers / 1e6
    return numbers


def write(place: Path, units: int, snapshots: int, grown: int) -> None:
    """The one who writes: a run of some snapshots; when told so, more of them."""
    source = runs.Synthetic(units, CLASSES)
    store = runs.begin(place, source)
    for step in range(snapshots):
        store.commit(source.snapshot(step))
    print("written", flush=True)
    sys.stdin.readline()
    for step in range(snapshots, snapshots + grown):
        time.sleep(EVERY)
        store.commit(source.snapshot(step))
    store.close()


# --- a training in the same process ---------------------------------------------------------------


def held(units: int, snapshots: int, classes: int) -> harness.Numbers:
    """The longest time that a thread of pure Python waits for its turn, while one thing is asked."""
    numbers: harness.Numbers = {}
    with folder() as path:
        runs.write(path / "run", snapshots=snapshots, units=units, classes=classes)
        list(compact(huelapse.open(path / "run"), units=False))
        run = huelapse.open(path / "run")
        track = f"{run_id(run)}/val/true/margin"
        paths = {
            **{p.rsplit("/", 1)[1].split(".")[0]: p for p in opening(run_id(run), snapshots - 1)},
            "glance": f"{run_id(run)}/glance.st",
            "alike": f"{run_id(run)}/val/alike.st",
            "unit": f"{track}/unit/7.st",
            "table": f"{track}/table/{snapshots - 1}/5.st",
            "heat": f"{run_id(run)}/val/true/heat/{snapshots - 1}/5.st",
            "geometry": f"{run_id(run)}/val/geometry.st",
        }
        paint = f"{track}/paint/"
        paths["paint"] = paths.pop(next(name for name, p in paths.items() if p.startswith(paint)))
        if classes <= CLASSES:
            paths["fresh_paint"] = f"{run_id(run)}/val/true/informedness/paint/0.st"
        with in_background(Shelf([run])) as address:
            port, token = address.split("/?token=")[0].rsplit(":", 1)[1], address.split("=")[1]
            start = f"held_{classes}_ms"
            numbers[f"{start}_nothing"] = 1000 * waited(lambda: time.sleep(0.5))
            for name, path_ in paths.items():
                numbers[f"{start}_{name}"] = 1000 * waited(lambda p=path_: ask(port, token, p))
            # the geometry is answered at once, and worked out in the background
            working = [t for t in threading.enumerate() if t.name == "huelapse-geometer"]
            numbers[f"{start}_background"] = 1000 * waited(lambda: [t.join() for t in working])
    return numbers


def ask(port: str, token: str, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", int(port), timeout=600)
    connection.request("GET", f"/{path}", headers={"Cookie": f"huelapse-{port}={token}"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, (path, answer.status)
    connection.close()


def waited(do: Any) -> float:
    """Seconds of the longest turn that others took from a thread while `do` was done."""
    going, longest = True, 0.0

    def train() -> None:
        nonlocal longest
        before = time.perf_counter()
        while going:
            now = time.perf_counter()
            longest = max(longest, now - before)
            before = now
            time.sleep(0)  # a training lets others run at each of its operations

    thread = threading.Thread(target=train)
    thread.start()
    try:
        do()
    finally:
        going = False
        thread.join()
    return longest


def measure(quick: bool) -> harness.Numbers:
    units, snapshots = (1_000, 20) if quick else (27_000, 60)
    numbers = many(units, snapshots, 5 if quick else 50, 2 if quick else 10)
    numbers |= held(units, snapshots, CLASSES)
    return numbers | held(units, 3, 100 if quick else 1_000)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--write", place, units, snapshots, grown]:
            write(Path(place), int(units), int(snapshots), int(grown))
        case ["--view", port, token, run, *counts]:
            viewers, last, grown = map(int, counts)
            print(json.dumps(asyncio.run(view(int(port), token, run, viewers, last, grown))))
        case _:
            harness.main(__doc__ or "", measure)
