"""The built wheel, outside the checkout and without Node: a model of one's own, recorded and viewed."""

import ast
import gzip
import os
import subprocess
import sys
import time
import zipfile
from email import message_from_bytes
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import huelapse

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
        "huelapse/viewer/static/film.js",
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


def test_all_of_the_page_is_at_most_150_kb_over_the_wire(wheel: Path) -> None:
    """What is loaded on demand too, whatever it is called; the font is told apart."""
    with zipfile.ZipFile(wheel) as archive:
        parts = {
            name: len(gzip.compress(archive.read(name)))
            for name in archive.namelist()
            if "/static/" in name and name.endswith((".js", ".css", ".html"))
        }
    assert {Path(name).name for name in parts} >= {"main.js", "main.css", "film.js"}
    assert sum(parts.values()) <= 150_000, parts


DECLARED_AS = {"PIL": "pillow"}
"""Import name → distribution, where they differ."""
ALSO_IN = {
    "torch": ("capture/", "demo/", "replaying/"),
    "ray": ("replaying/engines/ray.py",),
    "pillow": ("replaying/data.py",),
}
"""Where a library is imported beside the folder of its extra."""


def requirements_of(wheel: Path) -> dict[str, set[str]]:
    """Distribution → extras that install it ("" where it always is), as the wheel's metadata say."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        told = message_from_bytes(archive.read(name))
    extras = ["", *(told.get_all("Provides-Extra") or [])]
    found: dict[str, set[str]] = {}
    for line in told.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        found.setdefault(canonicalize_name(requirement.name), set()).update(
            extra for extra in extras if marker is None or marker.evaluate({"extra": extra})
        )
    return found


def imports_of(wheel: Path) -> dict[str, set[str]]:
    """Distribution → files of the package that import it."""
    found: dict[str, set[str]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.endswith(".py"):
                continue
            for node in ast.walk(ast.parse(archive.read(name))):
                named: list[str] = []
                if isinstance(node, ast.Import):
                    named = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    named = [node.module]
                for module in {module.partition(".")[0] for module in named}:
                    if module != "huelapse" and module not in sys.stdlib_module_names:
                        distribution = canonicalize_name(DECLARED_AS.get(module, module))
                        found.setdefault(distribution, set()).add(name)
    return found


def test_every_library_that_is_imported_is_declared(wheel: Path) -> None:
    """In its extra where that file alone needs it; always where reading and viewing need it."""
    declared, imported = requirements_of(wheel), imports_of(wheel)
    assert len(imported) > 8
    for library, files in imported.items():
        assert library in declared, f"{library} is imported by {sorted(files)}"
        if "" in declared[library]:
            continue
        homes = ALSO_IN.get(library, ())
        extras = declared[library]
        homes += ("export/",) if extras & {"export", "xarray"} else ("integrations/",)
        homes = ("plot/", *ALSO_IN.get(library, ())) if extras & {"plot", "video"} else homes
        for file in files:
            assert file.removeprefix("huelapse/").startswith(homes), f"{library} in {file}"
    always = {library for library, extras in declared.items() if "" in extras}
    assert always <= imported.keys(), "declared, but not used"
    assert declared["torch"] == {"torch", "lightning", "transformers", "ray"}


def test_the_libraries_at_hand_are_those_the_wheel_asks_for(wheel: Path, tmp_path: Path) -> None:
    """The wheel, installed with its metadata: what runs in these tests satisfies what it declares."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path, wheel],
        check=True,
    )
    (installed,) = metadata.distributions(name="huelapse", path=[str(tmp_path)])
    required = [Requirement(line) for line in installed.requires or []]
    assert len(required) > 8
    for requirement in required:
        if requirement.marker is None or requirement.marker.evaluate({"extra": "torch"}):
            found = metadata.version(requirement.name)
            assert requirement.specifier.contains(found), f"{requirement}, found {found}"
    (script,) = installed.entry_points.select(group="console_scripts", name="huelapse")
    assert script.value == "huelapse.cli:main"
    assert installed.version == huelapse.__version__


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
