"""Pictures of the probe's samples: the data set's own, or the model's inputs made visible again."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset

from huelapse.capture.thumbnails import (
    Thumbnails,
    image_of,
    normalization_of,
    of_dataset,
    of_inputs,
    thumbnails,
)

Image = pytest.importorskip("PIL.Image")  # a development dependency

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


class Normalize:
    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = mean, std

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(s)[:, None, None] for s in (self.mean, self.std))
        return (x - mean) / std


class Compose:
    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x


def to_tensor(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)


class Pictures(Dataset):
    """As torchvision's data sets are made: a picture, through `transform` where there is one."""

    def __init__(self, sizes: list[tuple[int, int]], transform: Any = None) -> None:
        rng = np.random.default_rng(0)
        self.raw = [rng.integers(0, 255, (y, x, 3)).astype(np.uint8) for y, x in sizes]
        self.transform = transform
        self.target_transform = None
        self.reads = 0

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        image: Any = Image.fromarray(self.raw[i])
        random.random()  # as an augmentation would
        if self.transform is not None:
            image = self.transform(image)
        return image, i % 3


def normalized(sizes: list[tuple[int, int]]) -> Pictures:
    return Pictures(sizes, Compose([to_tensor, Normalize(MEAN, STD)]))


def inputs(data: Dataset, n: int) -> list[torch.Tensor]:
    return [torch.stack([data[i][0] for i in range(n)])]


# --- the data set's own --------------------------------------------------------------------------


def test_pictures_are_those_before_the_transform_and_the_data_set_is_untouched() -> None:
    data = normalized([(20, 30)] * 6)
    before, state = data.transform, random.getstate()
    found = of_dataset(data, [4, 0, 2], np.array([1, 0, 2]))
    assert found is not None
    np.testing.assert_array_equal(found, np.stack([data.raw[i] for i in (4, 0, 2)]))
    assert data.transform is before
    assert random.getstate() == state
    through = Subset(Subset(data, [5, 4, 3]), [1, 2])
    found = of_dataset(through, [1, 0])
    np.testing.assert_array_equal(found, np.stack([data.raw[3], data.raw[4]]))


def test_pictures_of_several_sizes_keep_their_shape_on_one_canvas() -> None:
    data = Pictures([(200, 100), (30, 40), (64, 64)], transform=to_tensor)
    found = of_dataset(data, [0, 1, 2])
    assert found is not None
    assert found.shape == (3, 64, 64, 3)
    np.testing.assert_array_equal(found[2], data.raw[2])
    np.testing.assert_array_equal(found[1, 17:47, 12:52], data.raw[1])  # nothing is made larger
    assert (found[1, :17] == 128).all()
    assert (found[0, :, :16] == 128).all()
    inner = found[0, :, 16:48].astype(float)
    blocks = data.raw[0][:198, :96].reshape(66, 3, 32, 3, 3).mean((1, 3))
    assert abs(inner.mean() - blocks.mean()) < 2


class Reads(Dataset):
    """Some data set of somebody's."""

    def __init__(self, item: Any, **attributes: Any) -> None:
        self.item = item
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        return self.item(self, i)


def always_transforms(self: Any, i: int) -> Any:
    return self.transform(np.zeros((8, 8, 3), np.uint8)), 0


def counts(self: Any, i: int) -> Any:
    return np.zeros((8, 8, 3), np.uint8), i + 5


def words(self: Any, i: int) -> Any:
    return "a text", 0


def several(self: Any, i: int) -> Any:
    return np.zeros((8, 8, 3), np.uint8), 0, "more"


@pytest.mark.parametrize(
    "data",
    [
        Reads(always_transforms, transform=lambda x: x),
        Reads(counts, transform=lambda x: x),  # other labels than the probe's
        Reads(words, transform=lambda x: x),
        Reads(several, transform=lambda x: x),
        Reads(counts),  # no transform: what it gives is what the model is given
        torch.utils.data.TensorDataset(torch.rand(2, 3, 8, 8), torch.tensor([0, 0])),
        None,
    ],
)
def test_a_data_set_that_cannot_be_read_safely_is_not(data: Any) -> None:
    assert of_dataset(data, [0, 1], np.array([0, 0])) is None


def test_arrays_of_bytes_are_pictures_too() -> None:
    gray = np.random.default_rng(1).integers(0, 255, (2, 8, 9)).astype(np.uint8)
    found = of_dataset(Reads(lambda s, i: (gray[i], 0), transform=lambda x: x), [0, 1])
    assert found is not None
    np.testing.assert_array_equal(found, np.repeat(gray[..., None], 3, 3))


# --- the model's inputs --------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["given", "found"])
def test_a_known_normalization_is_undone(known: str) -> None:
    data = normalized([(20, 30)] * 5)
    raw = np.stack(data.raw)
    if known == "given":
        found = thumbnails(inputs(data, 5), samples=5, mean=MEAN, std=torch.tensor(STD))
    else:  # but the data set's own pictures would come first
        data.transform.transforms.insert(0, lambda x: x)
        assert normalization_of(Subset(data, [0])) == (MEAN, STD)
        found = thumbnails(inputs(data, 5), samples=5, dataset=data)
    assert found is not None
    np.testing.assert_array_equal(found.pictures, raw)
    assert found.made["source"] == "inputs"
    assert found.made["normalization"] == "undone"
    np.testing.assert_allclose(found.made["mean"], MEAN, rtol=1e-6)


def test_the_data_sets_own_pictures_come_first() -> None:
    data = normalized([(20, 30)] * 5)
    given = inputs(data, 5)
    labels = np.arange(5) % 3
    found = thumbnails(given, samples=5, dataset=data, indices=range(5), labels=labels)
    assert found is not None
    assert found.made == {"source": "dataset"}
    np.testing.assert_array_equal(found.pictures, np.stack(data.raw))


def test_an_unknown_normalization_is_guessed_and_marked_as_such() -> None:
    data = normalized([(20, 30)] * 5)
    given = inputs(data, 5)
    found = of_inputs([given[0][:2], given[0][2:]])
    assert found is not None
    assert found.made["normalization"] == "guessed"
    low = given[0].amin((0, 2, 3))
    np.testing.assert_allclose(found.made["low"], low, rtol=1e-6)
    scaled = (given[0] - low[:, None, None]) / (given[0].amax((0, 2, 3)) - low)[:, None, None]
    expected = (scaled * 255).round().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(found.pictures, expected)


def test_inputs_that_are_pictures_already_are_left_as_they_are() -> None:
    unit = torch.rand(4, 1, 10, 12)
    whole = (unit * 255).round().to(torch.uint8)
    for given, rgb in ((unit, unit * 255), (whole, whole.float())):
        found = of_inputs([{"pixel_values": given, "attention_mask": torch.ones(4, 3)}])
        assert found is not None
        assert found.made == {"source": "inputs", "normalization": "none"}
        expected = rgb.round().permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
        np.testing.assert_array_equal(found.pictures, expected)
    last = of_inputs([torch.rand(4, 10, 12, 3)])
    assert last is not None
    assert last.pictures.shape == (4, 10, 12, 3)


def test_a_normalization_of_bytes_is_undone_to_bytes() -> None:
    raw = torch.randint(0, 255, (3, 3, 8, 8)).float()
    found = of_inputs([(raw - 120) / 60], mean=(120.0,), std=(60.0,))
    assert found is not None
    np.testing.assert_array_equal(found.pictures, raw.permute(0, 2, 3, 1).numpy())


def test_large_inputs_are_shrunk_by_averaging_and_many_samples_more_so() -> None:
    given = torch.rand(3, 3, 256, 128)
    found = of_inputs([given])
    assert found is not None
    assert found.pictures.shape == (3, 64, 32, 3)
    means = given.reshape(3, 3, 64, 4, 32, 4).mean((3, 5)).permute(0, 2, 3, 1) * 255
    assert np.abs(found.pictures - means.numpy()).max() <= 0.51
    many = thumbnails([given], samples=20_000)
    assert many is not None
    assert many.pictures.shape == (3, 32, 16, 3)


@pytest.mark.parametrize(
    "given",
    [
        torch.rand(3, 20),
        torch.rand(3, 7, 20),
        torch.randint(0, 9, (3, 7)),
        torch.rand(3, 2, 8, 8),  # two channels
        torch.rand(3, 3, 2, 2),
        {"a": torch.rand(3, 3, 8, 8), "b": torch.rand(3, 3, 8, 8)},  # which of them?
        "text",
    ],
)
def test_inputs_that_are_no_images_have_no_thumbnails(given: Any) -> None:
    assert image_of(given) is None
    assert thumbnails([given], samples=3) is None


def test_batches_that_do_not_fit_together_have_none_either() -> None:
    assert of_inputs([torch.rand(2, 3, 8, 8), torch.rand(2, 3, 9, 8)]) is None
    assert of_inputs([torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8)]) is None
    assert of_inputs([]) is None


def test_what_is_not_finite_does_not_spoil_the_others() -> None:
    given = torch.rand(3, 1, 8, 8)
    given[0, 0, 0, 0], given[1, 0, 0, 0] = torch.nan, torch.inf
    found = of_inputs([given])
    assert found is not None
    assert found.made["normalization"] == "none"
    assert found.pictures[0, 0, 0].tolist() == [0, 0, 0]


def test_thumbnails_are_a_static_part() -> None:
    pictures = np.zeros((5, 8, 9, 3), np.uint8)
    one = Thumbnails(pictures, source="dataset")
    (array,) = one.arrays()
    assert array.static
    assert array.shape == pictures.shape
    assert array.attributes == {"source": "dataset"}
    assert one.static()["thumbnails"] is pictures
    assert one.result() == {}
