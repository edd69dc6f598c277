"""Several ranks record one run: exact, and no rank ever waits for another because of it."""

from pathlib import Path

import pytest
from exact import check_moments
from launching import Seen, hashes, torchrun, train, window_of

import huelapse

SHARE = 12


def check_windows(out: Path, ranks: int, windows: int, *, share: int = SHARE) -> None:
    """All counts exactly, all moments as float32 holds them."""
    run = huelapse.open(out / "run")
    seen = [Seen(out, rank) for rank in range(ranks)]
    truths = [window_of(seen, index, share) for index in range(windows)]
    assert run.coordinate("step", "train").tolist() == [step for step, _ in truths]
    for index, (_, truth) in enumerate(truths):
        check_moments(run.moments(index, "true", "train"), truth)
        assert run.confusion_at(index, "train").sum() == ranks * share


@pytest.mark.parametrize("ranks", [2, 4])
def test_windows_of_all_ranks_are_one_process_over_the_same_samples(
    tmp_path: Path, ranks: int
) -> None:
    told = {"probe": True, "batch": 5, "window": SHARE * ranks, "samples": 48 * ranks}
    ended = torchrun(tmp_path, ranks, told)
    assert ended.returncode == 0, ended.stderr
    check_windows(tmp_path, ranks, windows=8)
    run = huelapse.open(tmp_path / "run")
    assert run.status == "complete"
    assert run.incomplete("train") == ()
    assert [layer.path for layer in run.layers] == ["relu1", "relu2", "output"]
    facts = run.split("train").facts
    assert (facts["ranks"], facts["samples"]) == (ranks, SHARE * ranks)
    assert "twice" in facts["padding"]
    assert run.split("val").facts["samples"] == 30
    assert run.moments(0, "true", "val").count.sum() == 30
    assert run.facts["gaps"] == []
    assert not list((tmp_path / "run/partial").iterdir())
    assert not (tmp_path / "run/ranks").exists()
    assert huelapse.open(tmp_path / "run").id
    (tmp_path / "without").mkdir()
    train(tmp_path / "without", ranks, {**told, "record": False})
    assert hashes(tmp_path, ranks) == hashes(tmp_path / "without", ranks)
