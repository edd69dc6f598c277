"""Fixtures shared by all tests. Shapes in signatures are checked at run time, here alone."""

from jaxtyping import install_import_hook

# Not capture, grouping and snapshot: to check a container, beartype draws from Python's `random`,
# which tests/harmless must find untouched. What they make passes through Moments, checked here.
with install_import_hook("huelapse", "beartype.beartype"):
    import huelapse.color
    import huelapse.measures
    import huelapse.moments
    import huelapse.palette  # noqa: F401

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from huelapse.demo.model import FashionNet
from huelapse.demo.training import Trained, train

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


PATIENT = ("viewer", "geometry", "events")
"""Folders whose tests look at what was recorded: that a busy disk is given up is no news to them."""


@pytest.fixture(autouse=True, scope="module")
def patient(request: pytest.FixtureRequest) -> Iterator[None]:
    """Recorders wait for their writer as long as it takes."""
    with pytest.MonkeyPatch.context() as patched:
        if request.path.parent.name in PATIENT:
            patched.setattr("huelapse.recording.begun.SECONDS", 120.0)
        yield


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Trained:
    """The whole demo, as `huelapse demo` trains it. Once, whichever process of the tests asks first:
    each gets a copy of its own."""
    own = tmp_path_factory.mktemp("demo") / "demo"
    if worker_id == "master":  # the only one
        return train(own)
    shared = tmp_path_factory.getbasetemp().parent / "demo"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = shared / "trained.json"
        if not told.exists():
            trained = train(shared / "run")
            torch.save(trained.model.state_dict(), shared / "weights.pt")
            told.write_text(json.dumps({"accuracy": trained.accuracy, "cost": trained.cost}))
    shutil.copytree(shared / "run", own)
    model = FashionNet().eval()
    model.load_state_dict(torch.load(shared / "weights.pt", weights_only=True))
    return Trained(run=own, model=model, **json.loads(told.read_text()))


@pytest.fixture
def small_net() -> nn.Module:
    """Conv → ReLU → Linear → ReLU → Linear on [B, 2, 6, 6], three classes."""
    torch.manual_seed(1)
    return SmallNet()


class SmallNet(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.relu1 = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(80, 7)
        self.relu2 = nn.ReLU()
        self.head = nn.Linear(7, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.relu1(self.norm(self.conv(x))).flatten(1))
        return self.head(self.relu2(self.fc(x)))


def batches(n: int = 90, classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs [n, 2, 6, 6] that carry their labels, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    inputs = torch.randn(n, 2, 6, 6, generator=generator) + labels[:, None, None, None] * 0.5
    return inputs, labels


def find_browser() -> str | None:
    named = os.environ.get("HUELAPSE_CHROMIUM")
    if named:
        return named
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        found = shutil.which(name)
        if found:
            return found
    return None


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A real Chromium. Missing, it skips loudly; with HUELAPSE_REQUIRE_BROWSER=1 it fails."""
    path = find_browser()
    if path is None:
        message = (
            "NO BROWSER FOUND: the viewer was not tested. Install Chromium (Debian: apt-get "
            "install chromium) or set HUELAPSE_CHROMIUM to its path"
        )
        if os.environ.get("HUELAPSE_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(run: Any) -> Iterator[str]:
    """A viewer on the module's own run, in tests/viewer."""
    from viewing import served

    with served(run) as url:
        yield url


@pytest.fixture
def viewer(address: str, browser: object) -> Iterator[Any]:
    """A page on it, whose console must say nothing."""
    from viewing import looked_at

    with looked_at(browser, address) as page:
        yield page


@pytest.fixture(scope="session")
def closer_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small training with everything kept that the page can look at; for tests that only look."""
    from closer_run import trained

    return trained(tmp_path_factory.mktemp("closer") / "run")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        r for r in terminalreporter.stats.get("skipped", []) if "NO BROWSER" in str(r.longrepr)
    ]
    if skipped:
        terminalreporter.write_sep("!", "NO BROWSER FOUND: the viewer was NOT tested", red=True)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return tmp_path / "run"
