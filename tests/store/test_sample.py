"""A run that was written once in format 1 is read for ever, as a pack and as a directory, bit for bit.

Where this fails the program is wrong, never the sample (tests/store/sample/make.py).
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray

import huelapse
from huelapse.care import verify
from huelapse.store import StoreReader, StoreWriter

SAMPLE = Path(__file__).parent / "sample"
STEPS = [0, 2, 3, 4, 6]
LATER = {"val/superseded"}
"""Told from the root; the array itself is for those who read without it."""


@pytest.fixture(params=["pack", "directory"])
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "pack":
        return SAMPLE / "format-1.hue.zip"
    return unpacked(tmp_path / "run")


def unpacked(path: Path) -> Path:
    with zipfile.ZipFile(SAMPLE / "format-1.hue.zip") as archive:
        archive.extractall(path / "run.zarr")
    return path


def test_every_array_reads_as_it_was_written(sample: Path) -> None:
    reader = StoreReader(sample)
    with np.load(SAMPLE / "format-1.npz", allow_pickle=False) as expected:
        assert set(reader.arrays()) == set(expected.files)
        for path in sorted(set(expected.files) - LATER):
            found = reader.read(path)
            assert found.dtype == np.dtype(reader.metadata_of(path)["data_type"])
            assert found.tobytes() == expected[path].astype(found.dtype).tobytes(), path


def test_what_it_says_of_itself(sample: Path) -> None:
    run = huelapse.open(sample)
    assert run.steps.tolist() == STEPS
    assert run.name == "test"
    assert len(run.id) == 32
    assert run.response_names == ("mean", "peak")
    assert [layer.path for layer in run.layers] == ["a/b.relu#1", "output"]
    assert run.classes == ("cat", "dog", "owl")
    assert [g.name for g in run.split().groupings] == ["true", "predicted", "size"]
    assert run.facts["gaps"] == [{"step": 5, "reason": "OSError: No space left on device"}]
    assert run.facts["dropped"] == 1
    assert run.status == "complete"
    everything = huelapse.open(sample, superseded=True)
    assert everything.steps.tolist() == [0, 2, 3, 4, 5, 4, 6]


def test_pictures_and_histories_can_be_made_of_it(sample: Path) -> None:
    run = huelapse.open(sample)
    history = run.history(3)
    for i, step in enumerate(STEPS):
        assert np.array_equal(history[i].mean, run.moments(i).mean[:, 3:4])
        assert run.strength(step).shape == (23,)


def test_xarray_alone_reads_it(tmp_path: Path) -> None:
    val = xarray.open_datatree(unpacked(tmp_path / "run") / "run.zarr", engine="zarr")["val"]
    stays = val["superseded"].values == 0
    assert val["step"].values[stays].tolist() == STEPS
    with np.load(SAMPLE / "format-1.npz", allow_pickle=False) as expected:
        found = val["true/mean"].values[stays]
        assert found.tobytes() == expected["val/true/mean"].astype(found.dtype).tobytes()


def test_it_can_be_verified_and_gone_on_with(tmp_path: Path) -> None:
    path = unpacked(tmp_path / "run")
    report = verify(path)
    assert report.whole
    assert report.snapshots == {"val": 8}
    before = StoreReader(path)
    store = StoreWriter(
        path, name="", layers=before.layers, facts={}, responses=before.responses, graph=None,
        first_step=6, resume=True,
    )  # fmt: skip
    store.add_split(before.splits[0])
    store.close()
    assert huelapse.open(path).steps.tolist() == STEPS
