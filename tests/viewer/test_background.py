"""What is worked out beside answering ends before the program does."""

import subprocess
import sys
from pathlib import Path

import pytest
from closer_run import trained

import huelapse
from huelapse.viewer import background
from huelapse.viewer.geometer import Geometer

PROGRAM = """
import sys, time
from pathlib import Path
from huelapse.viewer import background

def work():
    while not background.ending():
        time.sleep(0.01)
    time.sleep(0.3)  # what it is at is brought to an end
    Path(sys.argv[1]).write_text("ended")

background.begin("beside", work)
"""


def test_the_program_waits_for_it_to_look_up(tmp_path: Path) -> None:
    to = tmp_path / "told"
    subprocess.run([sys.executable, "-c", PROGRAM, to], check=True, timeout=60)
    assert to.read_text() == "ended"


def test_geometry_is_not_gone_on_with_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path / "run")
    monkeypatch.setattr(background, "ending", lambda: True)
    geometer = Geometer()
    assert len(geometer.geometry(run, "val")["snapshot"]) == 0
    geometer.join()
    assert len(geometer.geometry(run, "val")["snapshot"]) == 0
    monkeypatch.setattr(background, "ending", lambda: False)
    again = Geometer()
    again.geometry(huelapse.open(run.path), "val")
    again.join()
    assert len(again.geometry(run, "val")["snapshot"]) > 1
