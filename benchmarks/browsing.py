"""A real Chromium for the benchmarks that look at pages."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

READY = "() => Boolean(globalThis.huelapse && globalThis.huelapse.ready)"
SIZE = {"width": 1440, "height": 900}


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's, without a graphics card; the script ends where there is none."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        sys.exit("no Chromium was found")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def until(page: Any, condition: str, seconds: float = 120) -> None:
    """Wait until the page says yes."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.01)


def transferred_mb(page: Any) -> float:
    """What has come over the wire for a page, as it came."""
    return (
        page.evaluate(
            "() => performance.getEntriesByType('resource')"
            ".reduce((sum, one) => sum + one.transferSize, 0)"
        )
        / 1e6
    )


class Heap:
    """How much a page's scripts hold."""

    def __init__(self, page: Any) -> None:
        self._client = page.context.new_cdp_session(page)

    def mb(self) -> tuple[float, float]:
        """Objects, and arrays beside them, after all that is no longer used was thrown away."""
        self._client.send("HeapProfiler.collectGarbage")
        usage = self._client.send("Runtime.getHeapUsage")
        return usage["usedSize"] / 1e6, usage["backingStorageSize"] / 1e6
