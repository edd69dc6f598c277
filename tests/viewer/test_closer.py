"""What the page reads of a layer, a confusion cell and single samples equals what Python reads."""

from pathlib import Path

import numpy as np
import pytest
from closer_run import SNAPSHOTS, trained
from safetensors.numpy import load as load_tensors

import huelapse
from huelapse.demo.training import load_data
from huelapse.errors import SelectionError
from huelapse.kept import NOBODY
from huelapse.viewer import closer
from huelapse.viewer.closer import NO_HEAT, NO_PREDICTION, NOT_KEPT, PAGE
from huelapse.viewer.resources import Resources


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("closer") / "run")


def get(run: huelapse.Run, path: str) -> dict[str, np.ndarray]:
    return load_tensors(Resources(run).get(path)[0])


def test_heat_is_how_far_each_class_stands_between_the_units_least_and_most(run) -> None:
    for t in (0, SNAPSHOTS - 1):
        for i, layer in enumerate(run.layers):
            heat = get(run, f"val/true/heat/{t}/{i}.st")["heat"]
            means = run.moments(t, "true").mean[:, layer.slice]
            low, high = means.min(0), means.max(0)
            for u in range(layer.units):
                if high[u] == low[u]:
                    assert (heat[:, u] == 0).all()
                    continue
                share = (means[:, u] - low[u]) / (high[u] - low[u])
                assert np.abs(heat[:, u] - 100 * share**2).max() <= 0.51
                assert (heat[:, u].min(), heat[:, u].max()) == (0, 100)


def test_heat_of_classes_without_samples_is_none(run) -> None:
    counts = run.moments(0, "predicted").count
    heat = get(run, "val/predicted/heat/0/0.st")["heat"]
    assert (counts < 3).any()
    assert (heat[counts < 3] == NO_HEAT).all()
    assert (heat[counts >= 3] != NO_HEAT).all()


def worst(run: huelapse.Run, t: int) -> tuple[int, int]:
    confusion = run.confusion()[t].copy()
    np.fill_diagonal(confusion, 0)
    row, column = np.unravel_index(confusion.argmax(), confusion.shape)
    return int(row), int(column)


def test_a_cells_samples_are_those_that_the_confusion_counts(run) -> None:
    for t in (0, 5, SNAPSHOTS - 1):
        row, column = worst(run, t)
        found = get(run, f"val/cell/{t}/{row}/{column}/samples.st")
        assert found["total"][0] == run.confusion()[t, row, column]
        step = int(run.steps[t])
        own = found["sample"].astype(int)
        assert (run.labels()[own] == row).all()
        assert (run.predictions(step)[own] == column).all()
        for s in range(SNAPSHOTS):
            predicted = run.predictions(int(run.steps[s]))[own]
            assert (
                found["prediction"][:, s] == np.where(predicted < 0, NO_PREDICTION, predicted)
            ).all()


def test_a_cells_units_respond_more_to_its_samples_than_to_others_of_the_class(run) -> None:
    t = SNAPSHOTS - 1
    cells = run.confusion()[t].copy()
    np.fill_diagonal(cells, 0)
    row, column = worst(run, t)
    found = get(run, f"val/cell/{t}/{row}/{column}/units.st")
    inside = (run.labels() == row) & (run.predictions() == column)
    others = (run.labels() == row) & (run.predictions() != column)
    assert found["n"].tolist() == [inside.sum(), others.sum()]
    responses = run.responses().astype(np.float64)
    for unit in found["unit"]:
        assert responses[inside, unit].mean() > responses[others, unit].mean()
    assert (np.diff(found["level"].astype(int)) <= 0).all()
    # the output of what was read instead is surely among them
    assert run.layers[-1].offset + column in found["unit"]


def test_thumbnails_are_the_images_of_the_probe(run) -> None:
    pages = [get(run, f"val/thumbnails/{page}.st")["pictures"] for page in range(5)]
    assert [len(page) for page in pages] == [PAGE, PAGE, PAGE, PAGE, 300 - 4 * PAGE]
    assert np.array_equal(np.concatenate(pages), run.thumbnails())
    images = load_data()
    mean, spread = images.normalization
    test = np.rint((images.test_images.numpy()[:, 0] * spread + mean) * 255)
    found = {picture[:, :, 0].tobytes() for picture in run.thumbnails()}
    known = {image.astype(np.uint8).tobytes() for image in test}
    assert found <= known


def test_samples_are_read_as_python_reads_them(run) -> None:
    for t in (0, SNAPSHOTS - 1):
        step = int(run.steps[t])
        found = get(run, f"val/samples/{t}.st")
        assert (found["label"] == run.labels()).all()
        assert (found["prediction"] == run.predictions(step)).all()
        own = run.probabilities(step)[np.arange(300), run.labels()]
        assert np.abs(found["right"] - 100 * own).max() <= 0.51


def test_a_samples_history_is_that_of_all_snapshots(run) -> None:
    for i in (0, 123, 299):
        found = get(run, f"val/sample/{i}.st")
        assert found["label"][0] == run.labels()[i] == found["classes"][0]
        assert len(set(found["classes"].tolist())) == 8
        for t, step in enumerate(run.steps):
            assert found["prediction"][t] == run.predictions(int(step))[i]
            whole = run.probabilities(int(step))[i]
            assert np.array_equal(found["probability"][t], whole[found["classes"]])
        most = np.stack([run.probabilities(int(step))[i] for step in run.steps]).max(0)
        left = np.setdiff1d(np.arange(10), found["classes"])
        others = found["classes"][1:]
        assert most[left].max() <= most[others].min()


def test_units_a_sample_drives_most_are_those_farthest_above_the_mean(run) -> None:
    found = get(run, f"val/sample/7/{SNAPSHOTS - 1}.st")
    responses = run.responses().astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (responses[7] - responses.mean(0)) / responses.std(0)
    score = np.where(np.isfinite(score), score, -np.inf)
    assert np.allclose(found["score"], np.sort(score)[::-1][: len(found["score"])])
    assert np.allclose(score[found["unit"]], found["score"])
    assert (found["score"] > 0).all()


def test_one_snapshots_confusion_is_that_of_all(run) -> None:
    whole = get(run, "val/confusion.st")
    for t in (0, 7):
        one = get(run, f"val/confusion/{t}.st")
        assert np.array_equal(one["confusion"], whole["confusion"][t])
        assert np.array_equal(one["samples"], whole["samples"][t])


def test_samples_without_a_prediction_are_among_those_of_their_class(tmp_path: Path) -> None:
    """Recall is of all samples of a class: one whose output is not finite is not read rightly."""
    import torch
    from torch import nn

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = self.relu(x)
            logits[0] = float("nan")
            return logits

    images, labels = torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    with huelapse.Recorder(Broken(), tmp_path / "run", probe=(images, labels), classes=3) as one:
        one.step()
    found = get(huelapse.open(tmp_path / "run"), "val/confusion.st")
    assert (found["samples"] == 4).all()
    assert sorted(found["confusion"][0].sum(1)) == [3, 4, 4]


def test_none_and_not_kept_are_told_apart() -> None:
    told = closer.classes_on_wire(np.array([0, 7, -1, NOBODY]))
    assert told.tolist() == [0, 7, NO_PREDICTION, NOT_KEPT]


def test_a_confusion_that_is_too_much_at_once_is_told_to_be_asked_for_one_by_one(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (split,) = Resources(run).manifest()["splits"]
    assert "confusion" in split["resources"]
    monkeypatch.setattr(closer, "CONFUSION_BYTES", 4 * SNAPSHOTS * 100 - 1)
    (split,) = Resources(run).manifest()["splits"]
    assert "confusion_at" in split["resources"]
    assert "confusion" not in split["resources"]


def test_a_grouping_may_be_called_as_a_resource_is(tmp_path: Path) -> None:
    from conftest import SmallNet, batches

    with huelapse.Recorder(
        SmallNet(),
        tmp_path / "run",
        probe=batches(),
        classes=3,
        groupings={"sample": (["odd", "even"], lambda labels, *_: labels % 2)},
    ) as recorder:
        recorder.step()
    own = get(huelapse.open(tmp_path / "run"), "val/sample/margin/summary.st")
    assert own["n"].shape[1] == 2


@pytest.mark.parametrize(
    "path",
    [
        "val/true/heat/99/0.st",
        "val/true/heat/0/99.st",
        "val/true/heat/x/0.st",
        "val/nothing/heat/0/0.st",
        "val/cell/0/10/0/samples.st",
        "val/cell/0/0/10/units.st",
        "val/cell/99/0/0/samples.st",
        "val/thumbnails/5.st",
        "val/confusion/12.st",
        "val/samples/12.st",
        "val/sample/300.st",
        "val/sample/0/12.st",
    ],
)
def test_what_is_not_there_is_refused(run, path: str) -> None:
    with pytest.raises(SelectionError):
        get(run, path)


def test_what_was_not_recorded_is_not_offered(tmp_path: Path) -> None:
    from conftest import SmallNet, batches

    with huelapse.Recorder(
        SmallNet(), tmp_path / "run", probe=batches(), classes=3, keep_responses=False
    ) as recorder:
        recorder.step()
    run = huelapse.open(tmp_path / "run")
    (split,) = Resources(run).manifest()["splits"]
    assert split["resources"] == ["confusion", "heat", "units", "table", "compare", "geometry"]
    for path in ("val/thumbnails/0.st", "val/cell/0/0/0/samples.st", "val/cell/0/0/0/units.st"):
        with pytest.raises(SelectionError):
            get(run, path)
