"""Samples from whatever a user has them in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from replayed import build, data, items, moments, replay, same, train
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import huelapse
from huelapse.errors import FactoryError, OptionError
from huelapse.replaying.asked import Data
from huelapse.replaying.data import ImageFolder, samples_of
from huelapse.replaying.named import find, name_of
from huelapse.replaying.sampling import ahead

SIZE = 8


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("saved"), live=False, steps=(0,))


def pictures_net() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A folder of images, the same as arrays, and a checkpoint beside them."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, SIZE, SIZE, 3), dtype=np.uint8)
    labels = np.repeat([0, 1], 6)
    for i, (one, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = tmp_path / "images" / ("cat", "dog")[label]
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(one).save(folder / f"{i:02d}.png")
    (tmp_path / "images/dog/notes.txt").write_text("not an image")
    torch.save(pictures_net().state_dict(), tmp_path / "step=1.pt")
    return tmp_path, pixels, labels


def test_images_npz_tensors_and_hugging_face_are_the_same_samples(
    pictures: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    folder, pixels, labels = pictures
    np.savez(folder / "own.npz", images=pixels, labels=labels, classes=["cat", "dog"])
    np.savez(folder / "other.npz", a=pixels, b=labels)
    tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.2, 0.1])
    normal = (tensors - mean[:, None, None]) / std[:, None, None]
    normalized: dict[str, Any] = {"mean": mean.tolist(), "std": std.tolist()}
    ways: dict[str, dict[str, Any]] = {
        "tensors": {"data": lambda: (normal, torch.from_numpy(labels)), "classes": ["cat", "dog"]},
        "folder": {"data": folder / "images", **normalized},
        "npz": {"data": folder / "own.npz", **normalized},
        "arrays": {"data": folder / "other.npz", "arrays": ("a", "b"), "classes": 2, **normalized},
        "hugging": {"data": HuggingFace(pixels, labels), **normalized},
        "streamed": {"data": Streamed(pixels, labels), **normalized},
    }
    for name, options in ways.items():
        run = folder / name
        report = replay(
            folder / "step=1.pt", run, model=pictures_net, **{"classes": None, **options}
        )
        assert not report.failed, (name, report.failed)
        same(folder / "tensors", run) if name != "tensors" else None
        if name != "arrays":
            assert huelapse.open(run).classes == ("cat", "dog"), name


class Named:
    names = ("cat", "dog")


class HuggingFace:
    """What is used of a `datasets.Dataset`."""

    features = {"image": None, "label": Named()}  # noqa: RUF012
    column_names = ("image", "label")

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, Any]:
        from PIL import Image

        return {"image": Image.fromarray(self.pixels[i]), "label": int(self.labels[i])}


class Streamed:
    """What is used of a `datasets.IterableDataset`."""

    features, column_names = HuggingFace.features, HuggingFace.column_names

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.rows = HuggingFace(pixels, labels)

    def __iter__(self) -> Any:
        return (self.rows[i] for i in range(len(self.rows)))


class Keywords(nn.Module):
    """Takes its inputs by name, as models of Transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.relu, self.head = nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, inputs_embeds: torch.Tensor) -> Any:
        return {"logits": self.head(self.relu(self.fc(inputs_embeds)))}


def test_columns_of_numbers_go_to_the_model_by_name(tmp_path: Path) -> None:
    class Rows(HuggingFace):
        features = {"inputs_embeds": None, "label": None}  # noqa: RUF012
        column_names = ("inputs_embeds", "label")

        def __getitem__(self, i: int) -> dict[str, Any]:
            return {"inputs_embeds": [float(i)] * 5, "label": i % 3}

    torch.save(Keywords().state_dict(), tmp_path / "step=1.pt")
    rows = Rows(np.zeros(9), np.arange(9) % 3)
    report = replay(tmp_path / "step=1.pt", tmp_path / "run", model=Keywords, data=rows)
    assert not report.failed, report.failed
    assert moments(tmp_path / "run")[1, "true"].count.tolist() == [3, 3, 3]


def test_images_are_cut_to_a_size(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    image.new("L", (40, 20), 255).save(tmp_path / "a/wide.png")
    image.new("RGB", (20, 60), (255, 0, 0)).save(tmp_path / "b/high.jpg")
    dataset = ImageFolder(Data(kind="folder", source=str(tmp_path), image_size=10))
    assert [tuple(dataset[i][0].shape) for i in range(2)] == [(3, 10, 10)] * 2
    assert dataset[0][0].min() == 1
    (tmp_path / "b/broken.png").write_bytes(b"no image")
    with pytest.raises(FactoryError, match=r"broken.png cannot be read as an image"):
        samples = ImageFolder(Data(kind="folder", source=str(tmp_path)))
        _ = samples[1]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("nothing.npz", "no such file"),
        ("nowhere", "no such file"),
        (3, "expected a DataLoader"),
    ],
)
def test_data_that_are_none_are_refused(saved: Path, run_path: Path, source: Any, why: str) -> None:
    try:
        report = replay(saved, run_path, data=source)
    except OptionError as error:
        assert why in str(error)
    else:
        assert why in report.failed[0].why


def test_npz_that_would_run_code_or_has_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", images=np.array([{}], object), labels=[0])
    np.savez(tmp_path / "others.npz", a=[1], b=[0])
    np.savez(tmp_path / "lengths.npz", x=[1, 2], y=[0])
    (tmp_path / "text.npz").write_text("none")
    for name, why in (
        ("objects", "allow_pickle"),
        ("others", "holds a, b; say which"),
        ("lengths", "2 inputs and 1 labels"),
        ("text", "cannot be read as npz"),
    ):
        with pytest.raises(FactoryError, match=why):
            samples_of(Data(kind="npz", source=str(tmp_path / f"{name}.npz")))


def test_classes_that_nobody_names_are_asked_for(saved: Path, run_path: Path) -> None:
    report = replay(saved, run_path, classes=None)
    assert "nobody says which classes there are" in report.failed[0].why
    assert replay(saved, run_path, classes=None, data=items, split="own").committed == [0]


def test_labels_out_of_range_are_told(saved: Path, run_path: Path) -> None:
    x, y = data()
    report = replay(saved, run_path, data=lambda: (x, y + 1))
    assert "label" in report.failed[0].why.lower()
    assert not report.committed


def test_samples_without_a_class_count_as_predicted_alone(saved: Path, run_path: Path) -> None:
    x, y = data()
    some = torch.where(torch.arange(len(y)) < 60, -100, y)
    assert not replay(saved, run_path, data=lambda: (x, some)).failed
    found = moments(run_path)
    assert found[0, "true"].count.sum() == 240
    assert found[0, "predicted"].count.sum() == 300


def test_samples_that_change_their_number_are_told(saved: Path, run_path: Path) -> None:
    class Shrinking:
        times = 0

        def __iter__(self) -> Any:
            self.times += 1
            x, y = data()
            n = 300 if self.times == 1 else 100
            return iter([(x[i : i + 50], y[i : i + 50]) for i in range(0, n, 50)])

    report = replay(saved, run_path, data=Shrinking(), memory=0)
    assert "gave 2 batches, and 6 the first time" in report.failed[0].why


def test_iterable_data_sets_are_read(saved: Path, tmp_path: Path) -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            x, y = data()
            return iter(zip(x, y, strict=True))

    assert not replay(saved, tmp_path / "a", data=DataLoader(Stream(), batch_size=128)).failed
    replay(saved, tmp_path / "b")
    same(tmp_path / "a", tmp_path / "b")


def test_balanced_samples_are_as_many_as_asked(saved: Path, run_path: Path) -> None:
    replay(saved, run_path, samples=90)
    assert moments(run_path)[0, "true"].count.tolist() == [30, 30, 30]


def test_more_parts_than_batches_are_told(saved: Path, run_path: Path) -> None:
    report = replay(saved, run_path, parts=5)
    assert "has no samples" in report.failed[0].why


def test_decoding_ahead_passes_errors_on_and_ends_with_its_reader() -> None:
    def failing() -> Any:
        yield 1
        raise ValueError("broken")

    reader = ahead(failing())
    assert next(reader) == 1  # pyright: ignore
    with pytest.raises(ValueError, match="broken"):
        next(reader)

    def endless() -> Any:
        while True:
            yield 1

    reader = ahead(endless())
    next(reader)
    reader.close()  # would wait for ever, if its thread did not end


# --- functions by name ---------------------------------------------------------------------------


def test_functions_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_to_find.py").write_text(
        "class Nets:\n    @staticmethod\n    def small(): return 7\n"
    )
    monkeypatch.chdir(tmp_path)
    assert find("mine_to_find:Nets.small", "model")() == 7
    assert find(f"{tmp_path}/mine_to_find.py:Nets.small", "model")() == 7
    assert name_of(build) == "replayed:build"
    assert name_of(lambda: 1) is None
    for named, why in (
        ("mine_to_find", "expected package.module:function"),
        ("mine_to_find:none", "has no function 'none'; it has Nets"),
        ("not_there:f", "cannot be imported: ModuleNotFoundError"),
        ("not_there.py:f", "there is no file"),
    ):
        with pytest.raises(FactoryError, match=why):
            find(named, "model")
    (tmp_path / "broken_one.py").write_text("1 / 0")
    with pytest.raises(FactoryError, match="ZeroDivisionError"):
        find("broken_one:f", "model")
