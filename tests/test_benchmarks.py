"""Benchmarks run, and every number they give is explained."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SmallNet
from huelapse import Recorder

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(
    file.name for file in FOLDER.glob("*.py") if '__name__ == "__main__"' in file.read_text()
)
LONG = ("beside.py", "recording.py")
"""With --quick too: under a minute of a processor, but several where it is shared."""
BROWSED = ("beside.py", "playing.py", "rehearsal.py", "viewer.py")
PRINTED = ("training.py",)
"""Started by another one, and gives its numbers on its output."""


def explained(script: str) -> list[re.Pattern[str]]:
    """Names of numbers in the first column of the script's section of README.md, as patterns.

    `*` and `{word}` stand for anything; a name that begins with `_` ends like that.
    """
    text = (FOLDER / "README.md").read_text().split(f"\n## {script}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    names = re.findall(r"`([^`]+)`", " ".join(cells) if cells else text)
    patterns: list[re.Pattern[str]] = []
    for name in names:
        whole = f"*{name}" if name.startswith("_") else name
        escaped = re.escape(whole).replace(r"\*", ".+")
        patterns.append(re.compile(re.sub(r"\\{\w+\\}", r"\\w+", escaped)))
    return patterns


@pytest.mark.parametrize(
    "script", [pytest.param(s, marks=[pytest.mark.slow] if s in LONG else []) for s in SCRIPTS]
)
def test_the_quick_form_gives_one_flat_object_of_numbers_all_explained(
    script: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if script in BROWSED:
        request.getfixturevalue("browser")  # or it is skipped
    file = tmp_path / "numbers.json"
    told = [] if script in PRINTED else ["--json", str(file)]
    done = subprocess.run(
        [sys.executable, FOLDER / script, "--quick", *told],
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout if script in PRINTED else file.read_text())
    assert len(numbers) > 5
    patterns = explained(script)
    if script in PRINTED:  # "and what `recorder.cost()` tells"
        assert "`recorder.cost()`" in (FOLDER / "README.md").read_text()
        of_cost = Recorder(SmallNet(), tmp_path / "run", classes=3).cost()
        numbers = {name: value for name, value in numbers.items() if name not in of_cost}
        assert {"cpu_seconds", "peak_bytes"} <= numbers.keys()
    for name, value in numbers.items():
        absent = name.startswith("peer_") and value is None
        assert absent or (type(value) in (int, float) and math.isfinite(value)), (name, value)
        assert any(p.fullmatch(name) for p in patterns), f"{name} is not explained in README.md"


def test_a_number_that_nobody_explained_would_be_found() -> None:
    names = "accumulating beside exporting measuring noise palettes playing probing ranks"
    names += " recording rehearsal replay serving store training viewer"
    assert [f"{name}.py" for name in names.split()] == SCRIPTS
    patterns = explained("probing.py")
    assert any(p.fullmatch("commit_ms") for p in patterns)
    assert not any(p.fullmatch("commit_us") for p in patterns)
    patterns = explained("recording.py")
    assert any(p.fullmatch("memory_k200_of_forecast") for p in patterns)
    assert not any(p.fullmatch("memory_k200_of_disk") for p in patterns)
