"""What is kept of the probe beside statistics, from the recorder to the run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import record
from torch import nn

import huelapse
from huelapse.errors import HuelapseError, LayerError, OptionError, SelectionError
from huelapse.moments import Moments

Y = torch.arange(60) % 3


class Pictures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Linear(4, 3)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.conv(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture
def pictures() -> tuple[Pictures, torch.Tensor]:
    torch.manual_seed(0)
    return Pictures().eval(), torch.rand(60, 3, 8, 8)


def in_order(run: huelapse.Run, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The probe's samples in its own order, found by their thumbnails."""
    shown = torch.from_numpy(run.thumbnails().copy()).permute(0, 3, 1, 2)
    mine = (x * 255).round().to(torch.uint8)
    places = [int((mine == one).flatten(1).all(1).nonzero()[0]) for one in shown]
    assert sorted(places) == list(range(60))
    assert (y[places].numpy() == run.labels()).all()
    return x[places]


def test_everything_that_may_be_kept_is_what_the_model_gave(
    run_path: Path, pictures: tuple[Pictures, torch.Tensor]
) -> None:
    model, x = pictures
    with record(
        run_path, model, probe=(x, Y), schedule=1, maps=True, watch=5, first_weights=True,
        thumbnails=([0.0] * 3, [1.0] * 3),
    ) as recorder:  # fmt: skip
        with torch.no_grad():
            model.conv.weight.mul_(2)
        recorder.step()
    run = huelapse.open(run_path)
    own = in_order(run, x, Y)
    features = model.features(own).detach()
    responses = run.responses(step=1, layer="relu")
    spread = features.mean((2, 3)).std(0).numpy()
    assert (np.abs(responses - features.mean((2, 3)).numpy()) <= 2**-10 * 4 * spread).all()
    np.testing.assert_allclose(
        run.probabilities(step=1), model(own).softmax(1).detach(), rtol=1e-5, atol=1e-6
    )
    labels = run.labels()
    for k in range(3):
        np.testing.assert_allclose(
            run.maps("relu", step=1)[k], features[labels == k].mean(0), rtol=1e-4, atol=1e-6
        )
    which = run.watched_samples()
    np.testing.assert_allclose(
        run.watched("relu", step=1), features[list(which)], rtol=1e-5, atol=1e-6
    )
    assert len({int(labels[i]) for i in which}) == 3
    np.testing.assert_array_equal(run.first_weights(step=1), model.conv.weight.detach())
    assert not np.array_equal(run.first_weights(step=0), run.first_weights(step=1))
    cell = run.regroup(labels, step=1, layer="relu")
    truth = Moments.from_samples(responses.astype(np.float64), labels, 3)
    np.testing.assert_allclose(cell.mean, truth.mean, rtol=1e-6)


def test_the_units_of_a_confusion_cell_follow_from_kept_responses(
    run_path: Path, pictures: tuple[Pictures, torch.Tensor]
) -> None:
    model, x = pictures
    record(run_path, model, probe=(x, Y)).close()
    run = huelapse.open(run_path)
    confusion = run.confusion()[-1]
    true, predicted = np.unravel_index(confusion.argmax(), confusion.shape)
    cell = run.cell(int(true), int(predicted), layer="relu")
    assert cell.count[0] == confusion[true, predicted]
    own = (run.labels() == true) & (run.predictions() == predicted)
    np.testing.assert_allclose(cell.mean[0], run.responses(layer="relu")[own].mean(0), rtol=1e-5)


def test_what_was_not_kept_is_told(run_path: Path, pictures: tuple[Pictures, torch.Tensor]) -> None:
    model, x = pictures
    record(run_path, model, probe=(x, Y), keep_responses=False).close()
    run = huelapse.open(run_path)
    for read in (run.responses, run.first_weights, run.thumbnails, lambda: run.maps("relu")):
        with pytest.raises(SelectionError):
            read()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"keep_responses": "often"}, OptionError),
        ({"keep_responses": -1}, OptionError),
        ({"maps": ["nothing*"]}, LayerError),
        ({"watch": [99]}, OptionError),
        ({"watch": -1}, OptionError),
        ({"thumbnails": (1, 2, 3)}, OptionError),
    ],
)
def test_what_cannot_be_kept_is_refused(
    options: dict[str, object],
    error: type[HuelapseError],
    run_path: Path,
    pictures: tuple[Pictures, torch.Tensor],
) -> None:
    model, x = pictures
    with pytest.raises(error):
        record(run_path, model, probe=(x, Y), **options)


def test_keeping_changes_nothing_of_what_is_summed(
    tmp_path: Path, pictures: tuple[Pictures, torch.Tensor]
) -> None:
    model, x = pictures
    found = []
    for name, options in (
        ("a", {"keep_responses": False}),
        ("b", {"maps": True, "watch": 9, "thumbnails": True, "first_weights": True}),
    ):
        record(tmp_path / name, model, probe=(x, Y), **options).close()
        found.append(huelapse.open(tmp_path / name).moments(0))
    for statistic in ("count", "mean", "m2", "active"):
        np.testing.assert_array_equal(*(getattr(m, statistic) for m in found))


def test_maps_of_classes_and_of_watched_samples_need_not_be_of_one_size(
    run_path: Path, pictures: tuple[Pictures, torch.Tensor]
) -> None:
    """Of a layer of 20 positions per side the first are shrunk to 14, the others kept."""
    import xarray as xr

    model, _ = pictures
    record(run_path, model, probe=(torch.rand(60, 3, 20, 20), Y), maps=True, watch=2).close()
    run = huelapse.open(run_path)
    assert run.maps("relu").shape == (3, 4, 14, 14)
    assert run.watched("relu").shape == (2, 4, 20, 20)
    tree = xr.open_datatree(run_path / "run.zarr", engine="zarr")
    np.testing.assert_array_equal(tree["val/watched/relu"][0].values, run.watched("relu"))
    np.testing.assert_array_equal(tree["val/true/maps/relu"][0].values, run.maps("relu"))
