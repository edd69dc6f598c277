"""Ranks that are late, gone, of another kind or elsewhere; and samples that come on two of them."""

import errno
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exact import check_moments
from together import BATCH, SHARE, Each, Together
from training import Images, Net
from typer.testing import CliRunner

import huelapse
from huelapse.cli import app
from huelapse.errors import HuelapseWarning, OptionError, ScheduleError
from huelapse.moments import Moments
from huelapse.schema import Incomplete
from huelapse.store import StoreWriter, committing, sending
from huelapse.store.meeting import Meeting, training
from huelapse.store.merging import merge

WINDOW = SHARE // BATCH
"""Steps that a window takes."""


@pytest.fixture(autouse=True)
def no_group() -> None:
    """Trainers that other tests of this process used may have left a process group."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a rank."""
    monkeypatch.setattr(committing, "DEADLINE", 0.2)
    monkeypatch.setattr("huelapse.recording.begun.SECONDS", 1.5)


def until(what: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def committed(path: Path) -> int:
    run = huelapse.open(path)
    return len(run.coordinate("step", "train")) if run.splits else 0


def said(path: Path) -> str:
    return CliRunner().invoke(app, ["info", str(path)]).stdout


def test_three_ranks_record_what_one_process_would_have(run_path: Path) -> None:
    ranks = Together(run_path, 3, response=("mean", "peak"), strict=True)
    ranks.steps(2 * WINDOW)
    ranks.close()
    run = huelapse.open(run_path)
    assert run.coordinate("step", "train").tolist() == [2, 5]
    for index in range(2):
        check_moments(run.moments(index, "true", "train"), ranks.moments(index))
    assert run.moments(1, "true", "train", response="peak").count.sum() == 3 * SHARE
    assert run.facts["ranks"] == {"expected": 3, "seen": [0, 1, 2]}
    assert run.incomplete("train") == ()
    assert sorted(p.name for p in run_path.iterdir()) == ["lock", "partial", "run.zarr"]


@pytest.mark.usefixtures("soon")
def test_a_rank_that_never_comes_is_waited_for_until_the_deadline_and_marked(
    run_path: Path,
) -> None:
    ranks = Together(run_path, 2, only=[0])
    ranks.steps(WINDOW)
    until(lambda: committed(run_path) == 1)
    with pytest.warns(HuelapseWarning, match=r"lacks rank 1 of 2.*never seen: is .*share"):
        ranks.steps(1)
    ranks.close()
    run = huelapse.open(run_path)
    assert run.incomplete("train") == (Incomplete(snapshot=0, step=2, parts=1, expected=2),)
    check_moments(run.moments(0, "true", "train"), ranks.moments(0))
    assert run.facts["ranks"] == {"expected": 2, "seen": [0]}
    assert "1 of 2 ranks were never seen" in said(run_path)


@pytest.mark.usefixtures("soon")
def test_a_part_that_comes_after_its_deadline_is_merged_when_the_recording_ends(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(monkeypatch)
    ranks = Together(run_path, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HuelapseWarning)
        ranks.steps(WINDOW)
        until(lambda: committed(run_path) == 1)
        assert huelapse.open(run_path).incomplete("train")
        late.comes()
        until(lambda: late.written == 1)
        ranks.close()
    run = huelapse.open(run_path)
    assert run.incomplete("train") == ()
    assert run.status == "complete"
    check_moments(run.moments(0, "true", "train"), ranks.moments(0))
    assert not list((run_path / "partial").iterdir())


@pytest.mark.usefixtures("soon")
def test_a_part_that_comes_after_the_end_is_merged_by_huelapse_merge(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(monkeypatch)
    ranks = Together(run_path, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HuelapseWarning)
        ranks.steps(2 * WINDOW)
        began = time.monotonic()
        ranks.close(0)
        assert time.monotonic() - began < 10
        late.comes()
        ranks.close(1)
        until(lambda: late.written == 2)
    assert [one.parts for one in huelapse.open(run_path).incomplete("train")] == [1, 1]
    assert "huelapse merge" in said(run_path)
    report = merge(run_path)
    assert [(one.complete, one.again) for one in report.merged] == [(True, True)] * 2
    run = huelapse.open(run_path)
    assert run.incomplete("train") == ()
    for index in range(2):
        check_moments(run.moments(index, "true", "train"), ranks.moments(index))


@pytest.mark.usefixtures("soon")
def test_a_rank_that_comes_to_write_only_after_the_end_still_does(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it hangs for longer than the recording takes."""
    answer, seen = Meeting.answer, []
    monkeypatch.setattr(Meeting, "answer", lambda self: answer(self) if seen else None)
    ranks = Together(run_path, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HuelapseWarning)
        ranks.steps(WINDOW)
        ranks.close(0)
        assert huelapse.open(run_path).incomplete("train")[0].parts == 1
        seen.append(True)
        ranks.close(1)
    merge(run_path)
    run = huelapse.open(run_path)
    assert run.incomplete("train") == ()
    check_moments(run.moments(0, "true", "train"), ranks.moments(0))
    assert not (run_path / "ranks").exists()


class Late:
    """Parts of other ranks are held back until they may come."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._open = False
        self.written = 0
        write = sending.write_partial

        def held_back(*args: Any) -> Path:
            while not self._open:
                time.sleep(0.02)
            path = write(*args)
            self.written += 1
            return path

        patch.setattr(sending, "write_partial", held_back)

    def comes(self) -> None:
        self._open = True


def test_a_rank_whose_recorder_has_given_up_is_not_waited_for(run_path: Path) -> None:
    ranks = Together(run_path, 2)
    ranks.steps(WINDOW)
    until(lambda: committed(run_path) == 1)
    with pytest.warns(HuelapseWarning, match="stopped recording"):
        ranks.recorders[1]._fail(RuntimeError("a fault of ours"))
    ranks.recorders[1].end("interrupted")
    ranks.recorders[1]._closed = False  # the training goes on, and calls it
    ranks.steps(WINDOW)
    until(lambda: committed(run_path) == 2)  # long before the deadline
    with pytest.warns(HuelapseWarning, match="lacks rank 1 of 2"):
        ranks.close(0)
    run = huelapse.open(run_path)
    assert [one.step for one in run.incomplete("train")] == [5]
    (gap,) = run.facts["gaps"]
    assert (gap["rank"], gap["step"]) == (1, 3)
    assert "a fault of ours" in gap["reason"]
    assert "Rank 1 stopped recording at step 3" in said(run_path)


@pytest.mark.usefixtures("soon")
def test_a_path_that_is_not_shared_is_told_on_both_sides_and_nothing_is_left_there(
    tmp_path: Path,
) -> None:
    here, there = tmp_path / "here/run", tmp_path / "there/run"
    ranks = Together([here, there])
    with pytest.warns(HuelapseWarning) as told:
        ranks.steps(WINDOW)
        ranks.close()
    texts = [str(one.message) for one in told]
    assert any("never seen: is" in text and str(here) in text for text in texts)
    assert any("rank 1 of 2 does not find rank 0's run at" in text for text in texts)
    assert not there.exists()
    assert huelapse.open(here).incomplete("train")[0].parts == 1


def test_a_rank_that_waits_long_for_the_run_says_so_while_it_trains(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.1)
    monkeypatch.setattr("huelapse.recording.begun.SECONDS", 0.5)
    ranks = Together(run_path, 2, only=[1])
    ranks.steps(WINDOW)
    writer = ranks.recorders[1]._filing._writer
    assert writer is not None
    until(lambda: writer._store.notice is not None)
    with pytest.warns(HuelapseWarning, match="does not find rank 0's run"):
        ranks.steps(1)
    with pytest.warns(HuelapseWarning, match=r"RankError.*Nothing of this rank"):
        ranks.close()
    assert not (run_path / "ranks").exists()


def test_resumed_ranks_make_steps_again_and_earlier_parts_do_not_count(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "DEADLINE", 0.2)
    monkeypatch.setattr("huelapse.recording.begun.SECONDS", 1.5)
    late = Late(monkeypatch)
    first = Together(run_path, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HuelapseWarning)
        first.steps(WINDOW)
        first.recorders[0].end("interrupted")  # rank 1's part comes after that
        late.comes()
        until(lambda: late.written == 1)
        first.recorders[1].end("interrupted")
    assert [p for p in (run_path / "partial").iterdir() if "rank-1" in p.name]
    monkeypatch.setattr(committing, "DEADLINE", 60.0)
    late = Late(monkeypatch)
    again = Together(run_path, 2, exist="resume", first_step=0)
    again.steps(WINDOW)
    writer: Any = again.recorders[0]._filing._writer
    until(lambda: writer._store._moments)
    time.sleep(0.5)
    assert writer._store._moments  # it has not been taken for this training's
    late.comes()
    again.steps(WINDOW)
    again.close()
    run = huelapse.open(run_path)
    assert run.coordinate("step", "train").tolist() == [2, 5]
    assert run.incomplete("train") == ()
    for index in range(2):
        check_moments(run.moments(index, "true", "train"), again.moments(index))
    assert not list((run_path / "partial").iterdir())


def test_with_exist_new_all_ranks_go_to_the_directory_that_rank_0_takes(run_path: Path) -> None:
    for expected in ("run", "run-2", "run-3"):
        ranks = Together(run_path, 2, exist="new", strict=True)
        ranks.steps(WINDOW)
        ranks.close()
        run = huelapse.open(run_path.with_name(expected))
        assert run.incomplete("train") == ()
        assert run.moments(0, "true", "train").count.sum() == 2 * SHARE
    assert sorted(p.name for p in run_path.parent.iterdir()) == ["run", "run-2", "run-3"]
    assert not list(run_path.parent.rglob("ranks"))


def test_a_rank_that_records_more_gives_what_rank_0_records(run_path: Path) -> None:
    ranks = Together(
        run_path,
        2,
        strict=True,
        layers=Each(["relu2"], ["relu1", "relu2"]),
        groupings=Each({}, {"odd": (2, lambda y, *_: y % 2)}),
    )
    ranks.steps(WINDOW)
    ranks.close()
    run = huelapse.open(run_path)
    assert run.incomplete("train") == ()
    whole, own = ranks.moments(0), run.moments(0, "true", "train")
    assert np.array_equal(own.mean[:, :7], whole.mean[:, 5:12].astype(np.float32))


def test_a_rank_that_lacks_a_layer_says_which_and_the_run_that_it_is_missing(
    run_path: Path,
) -> None:
    ranks = Together(run_path, 2, layers=Each(["relu1", "relu2"], ["relu2"]))
    with pytest.warns(HuelapseWarning) as told:
        ranks.steps(WINDOW)
        until(lambda: ranks.recorders[1]._filing.error is not None)
        ranks.close(1, 0)
    assert any("rank 0 records 5 units of layer 'relu1'" in str(one.message) for one in told)
    run = huelapse.open(run_path)
    assert run.incomplete("train")[0].parts == 1
    assert any("relu1" in gap["reason"] and gap["rank"] == 1 for gap in run.facts["gaps"])


def test_outputs_taken_for_different_things_are_not_mixed(run_path: Path) -> None:
    class Sure(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).softmax(1)

    ranks = Together(run_path, 2, net=Sure, output=Each("logits", "probability"))
    with pytest.warns(HuelapseWarning) as told:
        ranks.steps(WINDOW)
        until(lambda: ranks.recorders[1]._filing.error is not None)
        ranks.close(1, 0)
    expected = "a probability on rank 1 and for a logits on rank 0"
    assert any(expected in str(one.message) for one in told)
    assert huelapse.open(run_path).incomplete("train")[0].parts == 1


def test_a_full_disk_delays_a_merge_and_loses_nothing(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "IDLE", 0.1)
    commit, failed, free = StoreWriter.commit, [], []

    def full(self: StoreWriter, snapshot: Any) -> None:
        if not free:
            failed.append(snapshot.step)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        commit(self, snapshot)

    monkeypatch.setattr(StoreWriter, "commit", full)
    ranks = Together(run_path, 2)
    ranks.steps(2 * WINDOW)
    writer: Any = ranks.recorders[0]._filing._writer
    until(lambda: len(failed) > 2)
    until(lambda: not writer._store._store.merged)  # the root must not tell of what is not there
    free.append(True)
    until(lambda: committed(run_path) == 2)
    ranks.close()
    run = huelapse.open(run_path)
    assert run.incomplete("train") == ()
    for index in range(2):
        check_moments(run.moments(index, "true", "train"), ranks.moments(index))


def test_a_damaged_part_is_told_and_the_others_are_committed(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = sending.write_partial

    def damaged(*args: Any) -> Path:
        path = write(*args)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        beside = path.with_suffix(".other")
        beside.write_bytes(content)
        beside.replace(path)
        return path

    monkeypatch.setattr(sending, "write_partial", damaged)
    ranks = Together(run_path, 2)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        ranks.steps(WINDOW)
        ranks.close()
    run = huelapse.open(run_path)
    found, alone, both = run.moments(0, "true", "train"), ranks.moments(0, [0]), ranks.moments(0)
    if run.incomplete("train"):
        check_moments(found, alone)
    else:  # it was merged before it was damaged
        check_moments(found, both)


# --- samples that come twice -----------------------------------------------------------------------


def padded(rank: int) -> list[int]:
    """As DistributedSampler gives 22 samples to 4 ranks: two of them twice."""
    order = [*range(22), 0, 1]
    return order[rank::4]


def evaluated(ranks: Together, samples: Any) -> Moments:
    """Of these samples, each once."""
    rows = np.concatenate([np.concatenate(one.rows) for one in ranks.truths.values()])
    known = np.concatenate([np.array(one.known) for one in ranks.truths.values()])
    first = [int(np.flatnonzero(known[:, 2] == i)[0]) for i in samples]
    return Moments.from_samples(rows[first], known[first, 1].astype(np.int64), 3)


def test_with_ids_a_sample_that_a_sampler_padded_with_counts_once(run_path: Path) -> None:
    ranks = Together(run_path, 4, window=None, strict=True, response=("mean", "peak"))
    ranks.evaluate(padded, ids=True)
    ranks.close()
    run = huelapse.open(run_path)
    found = run.moments(0, "true", "held-out")
    check_moments(found, evaluated(ranks, range(22)))
    assert run.confusion_at(0, "held-out").sum() == 22
    assert run.moments(0, "predicted", "held-out").count.sum() == 22
    assert run.moments(0, "true", "held-out", response="peak").count.sum() == 22
    split = run.split("held-out")
    assert split.facts["samples"] == 22
    assert "padding" not in split.facts


def test_without_ids_it_counts_twice_and_the_run_says_so(run_path: Path) -> None:
    ranks = Together(run_path, 4, window=None, strict=True)
    ranks.evaluate(padded, ids=False)
    ranks.close()
    run = huelapse.open(run_path)
    assert run.moments(0, "true", "held-out").count.sum() == 24
    assert "counts twice" in run.split("held-out").facts["padding"]


def test_an_evaluation_of_one_rank_alone_is_whole(run_path: Path) -> None:
    ranks = Together(run_path, 2, window=None, strict=True)
    ranks.evaluate(lambda _: list(range(22)), ids=True, alone=True)
    ranks.close()
    run = huelapse.open(run_path)
    assert run.moments(0, "true", "held-out").count.sum() == 22
    assert run.incomplete("held-out") == ()


def test_an_evaluation_that_comes_twice_at_a_step_counts_once(run_path: Path) -> None:
    ranks = Together(run_path, 2, window=None)
    ranks.evaluate(lambda rank: [rank, 2 + rank], ids=False)
    with pytest.warns(HuelapseWarning, match="came twice at step 0"):
        ranks.evaluate(lambda rank: [4 + rank], ids=False)
        ranks.close()
    run = huelapse.open(run_path)
    assert run.coordinate("step", "held-out").tolist() == [0]
    assert run.moments(0, "true", "held-out").count.sum() == 4


# --- what cannot be ----------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_at_once(run_path: Path) -> None:
    for wrong in ((2, 2), (-1, 2), (0,), "0/2", (0.0, 2), (True, 2)):
        with pytest.raises(OptionError, match="rank of this process"):
            huelapse.Recorder(Net(), run_path, classes=3, ranks=wrong)
    with pytest.raises(ScheduleError, match="no clock in common"):
        Together(run_path, 2, window_schedule=huelapse.every(seconds=3))
    ranks = Together(run_path, 2, window=6)
    with pytest.raises(ScheduleError, match=r"6 samples \(3 on each of 2 ranks\).*window=8"):
        ranks.steps(1)


def test_by_default_a_window_holds_one_batch_of_each_rank_at_least(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.recording.recorder.default_samples", lambda _: 6)
    ranks = Together(run_path, 2, window=True, strict=True)
    ranks.steps(2)
    ranks.close()
    run = huelapse.open(run_path)
    assert [run.moments(i, "true", "train").count.sum() for i in range(2)] == [8, 8]


def test_the_launcher_tells_the_rank(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huelapse.capture import process_rank

    for rank, size, expected in (("1", "4", (1, 4)), ("4", "4", (0, 1)), ("x", "4", (0, 1))):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", size)
        assert process_rank() == expected
    assert process_rank((2, 3)) == (2, 3)


# --- how ranks meet ----------------------------------------------------------------------------------


def test_ranks_of_another_training_and_what_others_lay_there_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Meeting(tmp_path, 0, 3)
    Meeting(tmp_path, 1, 3).tell("recording", [{"step": 2, "reason": "…", "more": {}}])
    Meeting(tmp_path, 2, 3, training="another").tell("recording")
    place = tmp_path / "ranks"
    told = {"rank": 2, "training": training(), "state": "recording", "gaps": []}
    (place / "rank-2-x.json").write_text(json.dumps({**told, "nonce": "../../../etc/x"}))
    (place / "rank-2-y.json").write_text("[" * 10_000)
    (place / "rank-2-z.json").write_text(json.dumps({**told, "nonce": "0" * 16, "rank": 7}))
    (found,) = first.told()
    assert (found.rank, found.gaps) == (1, ({"step": 2, "reason": "…"},))
    first.end({})
    assert {p.name.split("-")[1] for p in place.iterdir()} >= {"2"}
    monkeypatch.setenv("MASTER_PORT", "1234")
    assert training() != first.training


def test_a_model_whose_forward_talks_to_other_ranks_is_refused_before_it_does(
    run_path: Path,
) -> None:
    from training import LAYERS

    class Talking(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = super().forward(x)
            torch.distributed.all_reduce(out)
            return out

    meeting = run_path.with_name("meeting")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=0, world_size=1
    )
    try:
        data = Images(30)
        for options in ({"probe": (data.images, data.labels)}, {"window": 24}):
            with pytest.raises(huelapse.errors.LayerError, match="talks to other ranks"):
                recorder = huelapse.Recorder(
                    Talking(), run_path, classes=3, layers=list(LAYERS), **options
                )
                with recorder.window(data.labels[:4]):
                    Talking()(data.images[:4])
                    recorder._capture.model(data.images[:4])
    finally:
        torch.distributed.destroy_process_group()


def test_a_synchronized_norm_is_traced_without_synchronizing(run_path: Path) -> None:
    from huelapse.capture.ranks import alone

    model = torch.nn.Sequential(torch.nn.SyncBatchNorm(3))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{run_path.with_name('m')}", rank=0, world_size=1
    )
    try:
        with alone(model):
            assert not model[0].training
            model(torch.randn(4, 3))
        assert model[0].training
    finally:
        torch.distributed.destroy_process_group()
