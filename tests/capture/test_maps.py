"""Maps of layers, against what plain hooks and numpy make of the same pass."""

import numpy as np
import pytest
import torch
from passes import Y, captured, make_layer, outputs, pooled
from torch import nn
from torch.nn import functional as F  # noqa: N812

from conftest import SmallNet
from huelapse.capture import Capture
from huelapse.capture.maps import SpatialMaps, WatchedSamples, map_size, shrunk, some_of_each
from huelapse.errors import LayerError


class Wide(nn.Module):
    """Feature maps of 30 × 23, larger than a map may be."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, (30, 23), mode="bilinear")
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("make", [SmallNet, Wide])
def test_mean_maps_are_the_classes_means_of_shrunk_maps(make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = make()
    capture = Capture(model, classes=3)
    captured(model, [], capture)  # traces it
    maps = SpatialMaps(dict(enumerate(capture.layers)), 3)
    values = captured(model, [maps], capture).result()
    path = "relu1" if make is SmallNet else "relu"
    raw = outputs(model, path)
    size = (4, 4) if make is SmallNet else (14, 14)
    expected = np.stack([pooled(raw[Y.numpy() == k], *size).mean(0) for k in range(3)])
    assert list(values) == [f"true/maps/{path}"]  # others have no positions
    found = values[f"true/maps/{path}"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    (array,) = maps.arrays()
    assert array.shape == found.shape
    assert array.dims == ("class", f"unit@{path}", f"y@{path}", f"x@{path}")
    assert array.attributes == {"layer": path}


def test_maps_of_no_data_and_of_what_is_not_finite_are_nan() -> None:
    layer = make_layer((2, 3, 3), 1)
    maps = SpatialMaps({4: layer}, 4)
    output = torch.rand(6, 2, 3, 3)
    output[1, 0, 1, 1] = torch.nan
    output[2, 1, 0, 0] = torch.inf
    labels = torch.tensor([0, 0, 1, -1, 1, 3])
    maps.layer(4, output)
    maps.layer(3, output)  # another layer: not ours
    maps.labels(labels)
    (found,) = maps.result().values()
    raw = output.numpy()
    assert np.isnan(found[2]).all()
    assert np.argwhere(np.isnan(found[0])).tolist() == [[0, 1, 1]]
    assert np.argwhere(np.isnan(found[1])).tolist() == [[1, 0, 0]]
    np.testing.assert_allclose(found[3], raw[5], rtol=1e-6)
    fine = np.isfinite(found[0])
    np.testing.assert_allclose(found[0][fine], raw[:2].mean(0)[fine], rtol=1e-6)


def test_a_sample_of_several_classes_is_in_the_map_of_each() -> None:
    maps = SpatialMaps({0: make_layer((2, 3, 3), 1)}, 3)
    output = torch.rand(4, 2, 3, 3)
    output[3] = torch.nan
    own = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.bool)
    maps.layer(0, output)
    maps.labels(own)
    (found,) = maps.result().values()
    np.testing.assert_allclose(found[0], output[0].numpy(), rtol=1e-6)
    np.testing.assert_allclose(found[1], output[:2].mean(0).numpy(), rtol=1e-6)
    assert np.isnan(found[2]).all()


@pytest.mark.parametrize(
    ("shape", "axis", "images", "size"),
    [
        ((8, 32, 20), 1, True, (14, 14)),
        ((8, 5, 20), 1, True, (5, 14)),
        ((32, 32, 8), 3, True, (14, 14)),  # channels last
        ((8, 50), 1, True, (1, 14)),  # a convolution along a line
        ((8, 49), 1, True, (1, 14)),
        ((49, 8), 2, True, (7, 7)),  # patches
        ((197, 8), 2, True, (14, 14)),  # patches after a class token
        ((197, 8), 2, False, (1, 14)),  # words
        ((48, 8), 2, True, (1, 14)),
        ((8, 4, 6, 30), 1, True, (6, 14)),  # a volume
        ((8,), 1, True, None),
        ((8, 1, 1), 1, True, None),
        ((1, 8), 2, True, None),
        ((2, 8), 2, True, (1, 2)),
    ],
)
def test_every_kind_of_layer_has_its_size_of_map(
    shape: tuple[int, ...], axis: int, images: bool, size: tuple[int, int] | None
) -> None:
    layer = make_layer(shape, axis)
    assert map_size(layer, images=images) == size
    if size is None:
        return
    raw = torch.randn(3, *shape)
    before = raw.clone()
    for dtype in (torch.float32, torch.bfloat16):
        found = shrunk(raw.to(dtype), layer, size)
        assert found.shape == (3, layer.units, *size)
        assert found.dtype == torch.float32
    plain = np.moveaxis(raw.numpy(), axis, 1).astype(np.float64)
    if plain.ndim == 3 and size[0] > 1:
        side = int(plain.shape[2] ** 0.5)
        plain = plain[:, :, -side * side :].reshape(3, -1, side, side)
    elif plain.ndim == 3:
        plain = plain[:, :, None]
    elif plain.ndim == 5:
        plain = plain.mean(2)
    found = shrunk(raw, layer, size)
    np.testing.assert_allclose(found.numpy(), pooled(plain, *size), rtol=1e-4, atol=1e-5)
    found.zero_()  # never a view of what the model goes on with
    assert torch.equal(raw, before)


def test_maps_of_outputs_that_have_changed_are_never_wrong_numbers() -> None:
    patches = make_layer((50, 8), 2)
    size = map_size(patches)
    assert size == (7, 7)
    assert shrunk(torch.rand(2, 40, 8), patches, size).isnan().all()
    assert shrunk(torch.rand(2, 82, 8), patches, size).shape == (2, 8, 7, 7)
    with pytest.raises(LayerError, match="gave 4 axes, but 3 when recording began"):
        shrunk(torch.rand(2, 8, 7, 7), patches, size)


def test_watched_samples_have_the_very_maps_a_forward_gives(small_net: nn.Module) -> None:
    capture = Capture(small_net, classes=3)
    captured(small_net, [], capture)
    which = [3, 31, 32, 89, 70]  # across batches, in any order
    watched = WatchedSamples(which, dict(enumerate(capture.layers)))
    values = captured(small_net, [watched], capture).result()
    np.testing.assert_allclose(
        values["watched/relu1"], outputs(small_net, "relu1")[which], rtol=1e-5, atol=1e-6
    )
    (array,) = watched.arrays()
    assert array.attributes == {"layer": "relu1", "samples": which}
    assert array.shape == values["watched/relu1"].shape
    assert watched.nbytes == values["watched/relu1"].nbytes


def test_a_watched_sample_that_never_came_is_nan() -> None:
    watched = WatchedSamples([0, 7], {0: make_layer((2, 3, 3), 1)})
    watched.layer(0, torch.ones(5, 2, 3, 3))
    watched.passed(5)
    (found,) = watched.result().values()
    assert (found[0] == 1).all()
    assert np.isnan(found[1]).all()


def test_some_of_each_class_are_watched() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2, 1, 0])
    assert some_of_each(labels, 3) == [0, 3, 4]
    assert some_of_each(labels, 5) == [0, 1, 3, 4, 6]
    assert some_of_each(labels, 100) == list(range(8))
