"""Colors that a user chose reach the page; what cannot be is told before anything is served."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from viewing import Viewer, served

import huelapse
from conftest import SmallNet, batches
from huelapse.color import paint
from huelapse.errors import PaletteError
from huelapse.palette import Choice, palette
from huelapse.viewer import server
from huelapse.viewer.resources import Resources
from huelapse.viewer.shelf import Shelf, run_id

NAMES = ("cat", "dog", "fish")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("runs") / "colored"
    torch.manual_seed(6)
    with huelapse.Recorder(
        SmallNet(),
        path,
        probe=batches(),
        classes=NAMES,
        groupings={"pet": (["pet", "fish"], [0, 0, 1])},
        probe_budget=None,
    ) as recorder:
        recorder.step(loss=1.0)
    return huelapse.open(path)


def tables(resources: Resources) -> dict[str, np.ndarray]:
    return load(resources.get("palette.st")[0])


def test_without_a_choice_there_is_one_palette_per_number_of_classes(run: huelapse.Run) -> None:
    found = tables(Resources(run))
    assert sorted(found) == ["dark.2", "dark.3", "light.2", "light.3"]
    assert np.array_equal(found["light.3"], palette(3).light)


def test_a_choice_gives_each_grouping_the_colors_of_its_classes(run: huelapse.Run) -> None:
    choice = Choice(colors={"cat": "#aa3300", "pet": "#08f"})
    found = tables(Resources(run, colors=choice))
    assert np.array_equal(found["dark.3"], palette(3).dark)
    assert np.array_equal(found["dark/val/true"], choice.of(NAMES).dark)
    assert np.array_equal(found["light/val/predicted"], choice.of(NAMES).light)
    assert np.array_equal(found["light/val/pet"], choice.of(("pet", "fish")).light)
    assert found["dark/val/pet"][0, -1].tolist() == [0, 0x88, 0xFF, 255]


def test_a_grouping_of_which_nothing_was_said_needs_no_table(run: huelapse.Run) -> None:
    found = tables(Resources(run, colors=Choice(colors={"pet": "#08f"})))
    own = {name for name in found if "/" in name}
    assert own == {"dark/val/pet", "light/val/pet"}


def test_a_run_may_hold_its_colors(run: huelapse.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[str, Any] = {**(run.facts["facts"] or {}), "palette": {"palette": "tritan"}}
    monkeypatch.setattr(type(run), "facts", property(lambda _: {"facts": facts}))
    assert np.array_equal(tables(Resources(run))["dark/val/true"], palette(3, name="tritan").dark)


def test_the_choice_stays_as_a_run_grows(tmp_path: Path) -> None:
    committed = threading.Event()
    recorder = huelapse.Recorder(
        SmallNet(),
        tmp_path / "live",
        probe=batches(),
        classes=NAMES,
        probe_budget=None,
        on_commit=lambda *_: committed.set(),
    )
    assert committed.wait(20)
    live = huelapse.open(tmp_path / "live")
    page = server.Page(Shelf([live], colors=Choice(palette="tritan")))
    address = f"{run_id(live)}/palette.st"
    before = page.answer(address)
    recorder.step(loss=1.0)
    recorder.close()
    assert live.refreshed() is not live
    assert before is not None and "dark/val/true" in load(before.content)
    assert page.answer(address) == before


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_chosen_colors_are_what_the_page_draws(browser: Any, run: huelapse.Run, theme: str) -> None:
    choice = Choice(colors={"cat": "#aa3300", "fish": "#08f"}, palette="tritan")
    with served(run, colors=choice) as address:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        viewer = Viewer(context.new_page(), address)
        viewer.open(f"step=1&theme={theme}&grouping=true")
        strength = run.strength(1)
        held = np.flatnonzero(strength > 0.05)
        expected = paint(run.preferred(1)[held], strength[held], choice.of(NAMES), theme)
        assert len(np.unique(expected, axis=0)) > 3
        np.testing.assert_array_equal(np.array(viewer.cell_colors(held.tolist())), expected)
        swatches = viewer.page.evaluate(
            "() => [...document.querySelectorAll('.class *')]"
            ".map((e) => getComputedStyle(e).backgroundColor)"
        )
        assert "rgb(170, 51, 0)" in swatches
        assert viewer.said == []
        context.close()


def test_a_class_that_no_run_has_is_told_before_anything_is_served(run: huelapse.Run) -> None:
    with pytest.raises(PaletteError, match="named 'cta'; did you mean 'cat'"):
        server.serve(run.path, colors=Choice(colors={"cta": "#f00"}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--palette", "rainbow"], "no palette 'rainbow'"),
        (["--colors", {"colors": {"cta": "#f00"}}], "did you mean 'cat'"),
        (["--colors", {"colours": {}}], "have no 'colours'"),
        (["--palette", "tritan", "--colors", {"pinned": ["cow"]}], "named 'cow'"),
        (["--superclasses", "nowhere.txt"], "No such file"),
    ],
)
def test_the_command_says_what_is_wrong_with_colors(
    run: huelapse.Run, options: list[Any], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "colors.json"
    for option in options:
        if isinstance(option, dict):
            file.write_text(json.dumps(option))
    told = [str(file) if isinstance(option, dict) else option for option in options]
    done = subprocess.run(
        [sys.executable, "-m", "huelapse", "view", str(run.path), "--no-browser", *told],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_options_of_the_command_become_a_choice(tmp_path: Path) -> None:
    from huelapse.cli.looking import _choice

    file = tmp_path / "colors.json"
    file.write_text('{"palette": "standard", "colors": {"cat": "#a30"}}')
    assert _choice(None, None) is None
    assert _choice("tritan", None) == Choice(palette="tritan")
    assert _choice("tritan", file) == Choice(palette="tritan", colors={"cat": "#a30"})
    parents = tmp_path / "is-a.txt"
    parents.write_text("animal cat\nmy pets\tdog\n")
    told = {"cat": "animal", "dog": "my pets"}
    assert _choice(None, None, str(parents)) == Choice(taxonomy=told)
    assert _choice(None, file, "found") == Choice(colors={"cat": "#a30"}, found=True)
