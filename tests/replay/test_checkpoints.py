"""Every layout of checkpoints is read, none is run, and what is wrong with one is told of it alone."""

import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from replayed import build, moments, replay
from safetensors.torch import save_file
from torch import nn

import huelapse
from conftest import SmallNet
from huelapse.errors import CheckpointError, ReplayError
from huelapse.replaying import reading
from huelapse.replaying.checkpoints import places_of
from huelapse.replaying.files import identity_of
from huelapse.replaying.steps import said_inside, step_of
from huelapse.replaying.weights import find_weights, load


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return SmallNet().state_dict()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in weights().items()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("expected")
    torch.save(weights(), folder / "step=7.pt")
    report = replay(folder / "step=7.pt", folder / "run")
    assert report.committed == [7]
    return moments(folder / "run")[7, "true"].mean


def pt(content: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(content, folder / "step=7.pt")
        return folder / "step=7.pt"

    return write


def safetensors(folder: Path) -> Path:
    save_file(weights(), folder / "step=7.safetensors")
    return folder / "step=7.safetensors"


def said_in_metadata(folder: Path) -> Path:
    save_file(weights(), folder / "last.safetensors", {"step": "7"})
    return folder / "last.safetensors"


def before_zip(folder: Path) -> Path:
    torch.save(weights(), folder / "step=7.pt", _use_new_zipfile_serialization=False)
    return folder / "step=7.pt"


def transformers(folder: Path) -> Path:
    saved = folder / "checkpoint-7"
    saved.mkdir()
    save_file(weights(), saved / "model.safetensors")
    torch.save({"state": {}}, saved / "optimizer.pt")
    (saved / "trainer_state.json").write_text(json.dumps({"global_step": 7}))
    return saved


def transformers_bin(folder: Path) -> Path:
    saved = folder / "checkpoint-7"
    saved.mkdir()
    torch.save(weights(), saved / "pytorch_model.bin")
    return saved


def sharded(folder: Path) -> Path:
    saved = folder / "checkpoint-7"
    saved.mkdir()
    names = list(weights())
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        own = {name: tensor for name, tensor in weights().items() if files[name] == file}
        save_file(own, saved / file)
    index = {"metadata": {}, "weight_map": files}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))
    return saved


def lightning(folder: Path) -> Path:
    content = {
        "epoch": 2,
        "global_step": 7,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {**prefixed("model."), "loss.weight": torch.ones(3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}],
        "hyper_parameters": {"lr": 0.1},
    }
    torch.save(content, folder / "last.ckpt")
    return folder / "last.ckpt"


def averages_beside(folder: Path) -> Path:
    other = {name: tensor + 1 for name, tensor in weights().items()}
    torch.save({"ema": other, "model": weights(), "step": 7}, folder / "last.pth")
    return folder / "last.pth"


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "plain": pt(weights()),
    "safetensors": safetensors,
    "step in metadata": said_in_metadata,
    "before zip": before_zip,
    "DistributedDataParallel": pt(prefixed("module.")),
    "compiled": pt(prefixed("_orig_mod.")),
    "both": pt({"model": prefixed("module._orig_mod.")}),
    "compiled inside": pt(
        {name.replace("conv.", "conv._orig_mod."): t for name, t in weights().items()}
    ),
    "any prefix": pt({"net": prefixed("backbone.encoder.")}),
    "any key": pt({"a": {"b.c": {"deep": weights()}}, "optimizer": {"lr": 0.1}}),
    "half": pt({name: t.half() if t.is_floating_point() else t for name, t in weights().items()}),
    "without counters": pt({n: t for n, t in weights().items() if "num_batches" not in n}),
    "averages beside": averages_beside,
    "lightning": lightning,
    "transformers": transformers,
    "transformers .bin": transformers_bin,
    "transformers in several files": sharded,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_snapshot(
    layout: str, expected: Any, tmp_path: Path, run_path: Path
) -> None:
    report = replay(LAYOUTS[layout](tmp_path), run_path)
    assert not report.failed, report.failed
    assert report.committed == [7]
    found = moments(run_path)[7, "true"].mean
    np.testing.assert_allclose(found, expected, atol=0 if layout != "half" else 2e-2)


def test_lightning_says_the_epoch(tmp_path: Path, run_path: Path) -> None:
    replay(lightning(tmp_path), run_path)
    assert huelapse.open(run_path).coordinate("epoch")[0] == 2


class Tied(nn.Module):
    """Two layers that share a matrix, which is saved once."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight


def test_tied_weights_may_be_saved_once() -> None:
    model = Tied()
    load(model, find_weights({"a.weight": torch.eye(4)}, model))
    assert torch.equal(model.b.weight, torch.eye(4))
    with pytest.raises(CheckpointError, match="lacks 1"):
        untied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
        find_weights({"0.weight": torch.eye(4)}, untied)


# --- what is wrong ---------------------------------------------------------------------------------


class Payload:
    """Would make a file if its pickle were run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def hostile(folder: Path) -> Path:
    path = folder / "step=1.pt"
    torch.save({**weights(), "x": Payload(folder / "RAN")}, path)
    return path


def plain_pickle(folder: Path) -> Path:
    path = folder / "step=1.pt"
    path.write_bytes(pickle.dumps(Payload(folder / "RAN"), 2))
    return path


def cut_short(folder: Path) -> Path:
    path = folder / "step=1.pt"
    torch.save(weights(), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def cut_safetensors(folder: Path) -> Path:
    path = safetensors(folder).rename(folder / "step=1.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    return path


def empty(folder: Path) -> Path:
    path = folder / "step=1.pt"
    path.touch()
    return path


def other_model(folder: Path) -> Path:
    return _saved(folder, {**weights(), "conv.weight": torch.ones(5, 2, 5, 5)})


def lacking(folder: Path) -> Path:
    return _saved(folder, {n: t for n, t in weights().items() if not n.startswith("fc.")})


def more(folder: Path) -> Path:
    return _saved(folder, {**weights(), "extra.weight": torch.ones(2)})


def stranger(folder: Path) -> Path:
    return _saved(folder, {"stem.kernel": torch.ones(2)})


def nan(folder: Path) -> Path:
    own = weights()
    own["fc.weight"][0, 0] = torch.nan
    return _saved(folder, own)


def module(folder: Path) -> Path:
    return _saved(folder, SmallNet())


def nothing(folder: Path) -> Path:
    return _saved(folder, {"lr": 0.1})


def twice(folder: Path) -> Path:
    return _saved(folder, {"student": weights(), "teacher": weights()})


def both_prefixes(folder: Path) -> Path:
    return _saved(folder, {**prefixed("student."), **prefixed("teacher.")})


def zip_of_something(folder: Path) -> Path:
    path = folder / "step=1.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    return path


def text(folder: Path) -> Path:
    path = folder / "step=1.pt"
    path.write_text("<html>404 not found</html>\n" * 40)
    return path


def folder_of_nothing(folder: Path) -> Path:
    path = folder / "checkpoint-1"
    path.mkdir()
    return path


def index_outside(folder: Path) -> Path:
    path = folder / "checkpoint-1"
    path.mkdir()
    save_file(weights(), folder / "outside.safetensors")
    index = {"weight_map": dict.fromkeys(weights(), "../outside.safetensors")}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return path


def _saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "step=1.pt")
    return folder / "step=1.pt"


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "hostile": (hostile, "holds more than tensors and plain values, and nothing of it was run"),
    "plain pickle": (plain_pickle, "nothing of it was run|cut short or damaged"),
    "a module": (module, "holds more than tensors"),
    "cut short": (cut_short, "cut short or damaged"),
    "cut safetensors": (cut_safetensors, "cut short or damaged"),
    "empty": (empty, "cut short or damaged"),
    "no checkpoint": (text, "nothing of it was run|damaged"),
    "zip of something": (zip_of_something, "cut short or damaged"),
    "other shapes": (other_model, r"1 have another shape.*\[5, 2, 5, 5\].*\[5, 2, 3, 3\]"),
    "lacks": (lacking, "lacks 2 tensors of the model: 'fc.weight', 'fc.bias'"),
    "more": (more, "has 1 the model does not: 'extra.weight'"),
    "stranger": (stranger, "none of its tensors is named as one of the model.*'stem.kernel'"),
    "NaN": (nan, "1 of 11 tensors hold NaN or infinity .*'fc.weight'.*--non-finite"),
    "no tensors": (nothing, "holds no tensors by name"),
    "several": (twice, "stand in 2 places .*--key student"),
    "several prefixes": (both_prefixes, "several times, under the prefixes"),
    "empty folder": (folder_of_nothing, "expected one of model.safetensors"),
    "index outside": (index_outside, "which is not beside it"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_checkpoint_is_told_and_the_others_are_committed(
    kind: str, tmp_path: Path, run_path: Path
) -> None:
    make, why = BAD[kind]
    torch.save(weights(), tmp_path / "step=0.pt")
    torch.save(weights(), tmp_path / "step=2.pt")
    bad = make(tmp_path)
    report = replay([tmp_path / "step=0.pt", bad, tmp_path / "step=2.pt"], run_path)
    assert report.committed == [0, 2]
    (failed,) = report.failed
    assert failed.checkpoint == str(bad)
    assert re.search(why, failed.why), failed.why
    assert "\n" not in failed.why
    assert not (tmp_path / "RAN").exists()
    assert huelapse.open(run_path).status == "interrupted"


def test_a_place_that_is_named_is_taken(tmp_path: Path, run_path: Path) -> None:
    other = {name: tensor + 1 for name, tensor in weights().items()}
    torch.save({"student": weights(), "teacher": other}, tmp_path / "step=1.pt")
    for key in ("student", "teacher"):
        report = replay(tmp_path / "step=1.pt", run_path, key=key, split=key)
        assert report.committed == [1]
    a, b = (moments(run_path, key)[1, "true"].mean for key in ("student", "teacher"))
    assert not np.array_equal(a, b)
    report = replay(tmp_path / "step=1.pt", run_path, key="none", split="none")
    assert "nothing by name under 'none'; at its top are 'student', 'teacher'" in (
        report.failed[0].why
    )


def test_weights_that_are_not_finite_are_replayed_where_asked(
    tmp_path: Path, run_path: Path
) -> None:
    report = replay(nan(tmp_path), run_path, non_finite=True)
    assert report.committed == [1]
    assert moments(run_path)[1, "true"].nonfinite.any()


@pytest.mark.parametrize("version", ["2.5.1", "2.6.0", "2.9.1+cu128"])
def test_pickles_are_not_read_by_a_torch_with_a_hole(version: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"CVE-\d+-\d+.*\.safetensors"):
        reading.check_torch(tmp_path / "step=1.pt", version)


@pytest.mark.parametrize("version", ["2.10.0", "2.13.0+cpu", "3.0.0a0+git"])
def test_pickles_are_read_by_one_without(version: str, tmp_path: Path) -> None:
    reading.check_torch(tmp_path / "step=1.pt", version)


def test_nothing_is_ever_unpickled_in_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    loaded = torch.load

    def watched(*arguments: Any, **options: Any) -> Any:
        asked.append(options.get("weights_only"))
        return loaded(*arguments, **options)

    monkeypatch.setattr(torch, "load", watched)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(CheckpointError, match="nothing of it was run"):
        reading.read(hostile(tmp_path))
    assert asked
    assert set(asked) == {True}
    assert not (tmp_path / "RAN").exists()


# --- steps and names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step=1200.pt", 1200),
        ("epoch=3-step=1200.ckpt", 1200),
        ("epoch=03-step=0-val_loss=0.23.ckpt", 0),
        ("checkpoint-500/model.safetensors", 500),
        ("runs/7/checkpoint-500", 500),
        ("global_step1200/pytorch_model.bin", 1200),
        ("iter_20000.pth", 20000),
        ("ckpt-12.pt", 12),
        ("model_0040.pt", 40),
        ("resnet18_32x32_epoch12.pt", 12),
        ("epoch_3_of_90_acc_0.71.pt", 90),
        ("s3://bucket/run/step=30.pt", 30),
    ],
)
def test_steps_are_told_by_names(name: str, step: int) -> None:
    assert step_of(name, "auto", dict) == step


def test_steps_are_told_by_what_a_checkpoint_holds() -> None:
    assert step_of("last.pt", "auto", lambda: {"global_step": torch.tensor(12)}) == 12
    assert step_of("epoch=3.pt", "auto", lambda: {"global_step": 12}) == 12
    assert step_of("step=5.pt", "auto", lambda: {"global_step": 12}) == 5
    assert step_of("step=5.pt", "checkpoint", lambda: {"global_step": 12}) == 12
    assert step_of("a9.pt", lambda place: len(place), dict) == 5
    assert said_inside({"step": 1.5, "iteration": True}) is None
    with pytest.raises(CheckpointError, match="nothing says which step"):
        step_of("resnet18.pt", "auto", dict)
    with pytest.raises(CheckpointError, match="whole number"):
        step_of("a.pt", lambda place: "x", dict)


def test_checkpoints_of_one_step_are_refused(tmp_path: Path, run_path: Path) -> None:
    for name in ("step=1.pt", "other-step=1.pt"):
        torch.save(weights(), tmp_path / name)
    with pytest.raises(ReplayError, match="both of step 1"):
        replay(tmp_path, run_path)
    assert not run_path.exists()


def test_checkpoints_are_named_by_globs_folders_and_lists(tmp_path: Path) -> None:
    for name in ("step=1.pt", "step=2.safetensors", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3/model.safetensors").touch()
    (tmp_path / "list.txt").write_text(
        f"# mine\n\n{tmp_path}/step=2.safetensors\ns3://b/step=9.pt\n"
    )
    names = [Path(p).name for p in places_of(tmp_path)]
    assert names == ["checkpoint-3", "step=1.pt", "step=2.safetensors"]
    assert places_of(f"{tmp_path}/*.pt") == [f"{tmp_path}/step=1.pt"]
    assert places_of(f"@{tmp_path}/list.txt")[1] == "s3://b/step=9.pt"
    assert len(places_of([tmp_path / "step=1.pt", f"{tmp_path}/*.pt"])) == 1
    for wrong, why in ((f"{tmp_path}/*.bin", "no checkpoint matches"), ("@none", "cannot be read")):
        with pytest.raises(ReplayError, match=why):
            places_of(wrong)


def test_content_tells_checkpoints_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "step=1.pt"
    path.write_bytes(bytes(1000))
    first = identity_of(path)
    os.utime(path, (1, 1))
    assert identity_of(path) == first
    path.write_bytes(bytes(999) + b"x")
    assert identity_of(path) != first
    monkeypatch.setattr("huelapse.replaying.files.WHOLE_BYTES", 10)
    monkeypatch.setattr("huelapse.replaying.files.BLOCK", 10)
    large = identity_of(path)
    path.write_bytes(b"x" + bytes(999))
    assert identity_of(path) != large


def test_a_checkpoint_that_was_written_anew_is_replayed_anew(
    tmp_path: Path, run_path: Path
) -> None:
    torch.save(weights(), tmp_path / "step=1.pt")
    torch.save(weights(), tmp_path / "step=2.pt")
    replay(tmp_path, run_path)
    before = moments(run_path)
    torch.save(build().state_dict(), tmp_path / "step=1.pt")
    report = replay(tmp_path, run_path)
    assert report.committed == [1]
    assert report.already == 1
    after = moments(run_path)
    assert not np.array_equal(before[1, "true"].mean, after[1, "true"].mean)
    np.testing.assert_array_equal(before[2, "true"].mean, after[2, "true"].mean)
    assert list(huelapse.open(run_path).steps) == [1, 2]
    assert replay(tmp_path, run_path).already == 2
