"""Takes the pictures of the docs from a run: `python tools/screenshots.py RUN OUT [NAME=STATE ...]`.

STATE is the viewer's address after `#`, such as `step=51&theme=light`; `NAME@WIDTHxHEIGHT=STATE` sets
the window's size. Needs Chromium and playwright.
"""

import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

import huelapse
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
REST = 1.5
"""Seconds in which events, pictures of samples and the noise floor come."""
DEFAULT = [
    "overview=",
    "views/layer=view=layer&layer=6&step=98",
    "views/classes=view=classes&theme=light",
    "views/confusion=view=confusion&step=98",
    "views/samples=view=samples&only=wrong&theme=light",
]
"""Those of the docs, of a run of `huelapse demo`."""


def shoot(runs: list[str], out: Path, wanted: list[str]) -> list[Path]:
    """Pictures of the states in `wanted`, each NAME[@WIDTHxHEIGHT]=STATE, as OUT/NAME.png."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    shelf = Shelf([huelapse.open(run) for run in runs])
    made: list[Path] = []
    with in_background(shelf) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_context(color_scheme="dark").new_page()
        page.on("console", lambda m: print("console:", m.text))
        page.on("pageerror", lambda e: print("error:", e))
        page.goto(address)
        base = page.url.partition("#")[0]
        for entry in wanted:
            name, _, state = entry.partition("=")
            name, _, size = name.partition("@")
            width, height = (int(n) for n in (size or "1440x900").split("x"))
            page.set_viewport_size({"width": width, "height": height})
            page.goto("about:blank")
            page.goto(f"{base}#{state}")
            for _ in range(200):
                if page.evaluate("() => Boolean(globalThis.huelapse?.ready)"):
                    break
                time.sleep(0.05)
            time.sleep(REST)
            made.append(out / f"{name}.png")
            made[-1].parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=made[-1])
        browser.close()
    return made


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    run, out, *wanted = sys.argv[1:]
    shoot([run], Path(out), wanted or DEFAULT)


if __name__ == "__main__":
    main()
