"""The built wheel, outside the checkout and without Node: a model of one's own, recorded and viewed."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

OWN = """
import torch
from torch import nn
import huelapse

print(huelapse.__file__)
torch.manual_seed(0)
inputs = torch.randn(1200, 10)
labels = inputs[:, :4].argmax(1)
model = nn.Sequential(nn.Linear(10, 32), nn.GELU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4))
optimizer = torch.optim.Adam(model.parameters(), 0.01)
recorder = huelapse.Recorder(
    model, "runs/own", probe=(inputs[:400], labels[:400]), classes=["n", "e", "s", "w"]
)
for step in range(300):
    batch = torch.randint(400, 1200, (64,))
    loss = nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    recorder.step(loss=loss)
recorder.close()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_page_the_data_and_the_notices(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        size = sum(i.compress_size for i in archive.infolist() if "/static/" in i.filename)
    for name in (
        "huelapse/viewer/static/index.html",
        "huelapse/viewer/static/main.js",
        "huelapse/viewer/static/bundle.json",
        "huelapse/demo/data/fashion-10k.npz",
        "huelapse/palettes/palettes.npz",
        "huelapse/py.typed",
    ):
        assert name in names, name
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert not any("node_modules" in name or name.endswith(".ts") for name in names)
    assert size < 250_000  # page and font


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_ones_own_model_is_recorded_and_viewed_from_the_wheel(
    wheel: Path, tmp_path: Path, browser: Any
) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel],
        check=True,
    )
    outside = tmp_path / "outside"
    outside.mkdir()
    environment = {
        **{k: v for k, v in os.environ.items() if k != "PATH"},
        "PYTHONPATH": str(site),
        "PATH": "/usr/bin:/bin" if not Path("/usr/bin/node").exists() else "/nowhere",
    }
    done = subprocess.run(
        [sys.executable, "-c", OWN],
        cwd=outside,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(site) in done.stdout.splitlines()[0]  # the wheel's, not the checkout's
    viewer = subprocess.Popen(
        [sys.executable, "-u", "-m", "huelapse", "view", "runs/own", "--no-browser"],
        cwd=outside,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert viewer.stdout is not None
        address = next(w for w in viewer.stdout.readline().split() if w.startswith("http://"))
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda m: said.append(m.text))
        page.on("pageerror", lambda e: said.append(str(e)))
        page.goto(address)
        deadline = time.monotonic() + 30
        while not page.evaluate("() => Boolean(globalThis.huelapse?.ready)"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        text = page.locator("body").inner_text()
        assert "output" in text
        assert "own" in text
        assert said == []
        page.close()
    finally:
        viewer.send_signal(2)
        viewer.communicate(timeout=30)
