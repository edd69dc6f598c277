"""The page in a real JupyterLab, where one is installed: here, or with the Python that HUELAPSE_JUPYTER
names. test_widget.py tests the same without Jupyter."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from closer_run import trained
from viewing import Viewer

import huelapse

LAB = os.environ.get("HUELAPSE_JUPYTER") or (sys.executable if find_spec("jupyterlab") else None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(LAB is None, reason="JupyterLab is not installed"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("lab") / "run")


def notebook(cells: list[str]) -> str:
    return json.dumps(
        {
            "cells": [
                {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": [],
                 "execution_count": None, "source": source}
                for i, source in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )  # fmt: skip


@pytest.fixture
def lab(run: huelapse.Run, tmp_path: Path) -> Iterator[str]:
    """The address of a notebook that makes a viewer, reads its selection and turns it."""
    (tmp_path / "nb.ipynb").write_text(
        notebook(
            [
                f"from huelapse.integrations.jupyter import Viewer\nv = Viewer({str(run.path)!r})\nv",
                "print(v.selection)",
                f"v.show(step={run.steps[4]})",
            ]
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    homes = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [
            *(str(LAB), "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"),
            *("--ServerApp.port_retries=0", "--IdentityProvider.token=x"),
            *(f"--ServerApp.root_dir={tmp_path}", "--LabApp.news_url=None"),
        ],
        env={**os.environ, **homes},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/lab/tree/nb.ipynb?token=x"
    finally:
        server.terminate()
        server.wait(30)


class Lab(Viewer):
    """The page in the notebook's first cell."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        page.goto(address)
        page.get_by_text("| Idle").wait_for(timeout=90_000)
        page.wait_for_timeout(2000)
        self.run_cell(0)
        page.get_by_test_id("title").wait_for(timeout=60_000)
        self.until(
            """() => {
                const host = [...document.querySelectorAll("[data-lm-suppress-shortcuts]")]
                    .find((one) => one.huelapse);
                globalThis.huelapse = host?.huelapse;
                return Boolean(host?.huelapse.ready);
            }"""
        )

    def run_cell(self, i: int) -> None:
        self.page.locator(".jp-Cell").nth(i).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")


def test_a_cell_shows_the_run_and_python_reads_and_turns_it(
    lab: str, run: huelapse.Run, browser: Any
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    viewer = Lab(page, lab)
    page.mouse.click(*viewer.place_of(45))
    viewer.until(
        """() => [...document.querySelectorAll("[data-lm-suppress-shortcuts]")].some(
            (one) => one.shadowRoot?.querySelector("[data-testid=inspector]")?.innerText
                .includes("unit 5"))"""
    )
    for key in ("ArrowLeft", "ArrowLeft", "d", "d"):  # in the notebook, D twice deletes the cell
        page.keyboard.press(key)
    assert viewer.snapshot() == len(run.steps) - 3
    assert page.locator(".jp-Cell").count() == 3
    page.wait_for_timeout(500)
    viewer.run_cell(1)
    told = page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea-output")
    told.wait_for()
    assert "layer='4'" in told.inner_text()
    assert "unit=5" in told.inner_text()
    assert f"step={run.steps[-3]}" in told.inner_text()
    viewer.run_cell(2)
    viewer.until("() => globalThis.huelapse.snapshot() === 4")
    page.close()
