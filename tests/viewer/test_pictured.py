"""The pictures the page reads are those that were recorded, on the scales they claim."""

from pathlib import Path

import numpy as np
import pytest
from pictured_run import CLASSES, SAMPLES, SNAPSHOTS, UNITS, WATCHED, trained
from safetensors.numpy import load as load_tensors

import huelapse
from huelapse.errors import SelectionError
from huelapse.viewer import alike, filters, pictured
from huelapse.viewer.filters import REACH, ZERO
from huelapse.viewer.pictured import FULL, NOTHING
from huelapse.viewer.resources import Resources

LAYERS = ("relu1", "relu2")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("pictured") / "run")


def get(run: huelapse.Run, path: str) -> dict[str, np.ndarray]:
    return load_tensors(Resources(run).get(path)[0])


def values(found: dict[str, np.ndarray]) -> np.ndarray:
    """The maps as numbers again, NaN where nothing is known."""
    low, high = found["low"].astype(float), found["high"].astype(float)
    if len(low) > 1:
        low, high = low[:, None, None], high[:, None, None]
    maps = low + (high - low) * found["maps"] / FULL
    return np.where(found["maps"] == NOTHING, np.nan, maps)


def test_the_manifest_says_which_pictures_there_are(run) -> None:
    (split,) = Resources(run).manifest()["splits"]
    pictures = {"maps", "cell_maps", "unit_maps", "watched", "first_weights", "through_layers"}
    assert pictures <= set(split["resources"])
    assert split["maps"] == [0, 1]
    assert split["watched"] == {"samples": WATCHED, "layers": [0, 1]}
    assert split["first_weights"] == {
        "module": "conv1", "filters": UNITS, "picture": [5, 5, 3], "shape": [UNITS, 3, 5, 5],
    }  # fmt: skip


def test_maps_of_a_layer_are_means_over_all_samples_each_from_0_to_its_greatest(run) -> None:
    counts = run.moments(2).count.astype(float)
    for i, path in enumerate(LAYERS):
        found = get(run, f"val/maps/2/{i}.st")
        mean = np.tensordot(counts / counts.sum(), run.maps(path, step=int(run.steps[2])), 1)
        assert found["maps"].shape == mean.shape
        assert (found["low"] == 0).all()
        assert np.allclose(found["high"], mean.max((1, 2)), rtol=1e-5)
        assert np.abs(values(found) - mean).max() <= found["high"].max() / FULL * 0.51
        alive = found["high"] > 0
        assert (found["maps"][alive].max((1, 2)) == FULL).all()


def test_maps_in_cells_are_of_the_class_a_cell_shows(run) -> None:
    """Where its class is not held, or is not of the maps' classes, they are of all samples."""
    state, preferred = run.state(step=int(run.steps[3])), run.preferred(step=int(run.steps[3]))
    held = np.isin(state, [0, 1])
    whole = get(run, "val/true/margin/maps/3.st")
    assert sorted(whole) == ["maps.0", "maps.1"]
    told = set()
    for i in range(2):
        for u, shown in enumerate(whole[f"maps.{i}"]):
            unit = run.layers[i].offset + u
            of = f"/{preferred[unit]}" if held[unit] else ""
            told.add(of)
            assert np.array_equal(shown, get(run, f"val/maps/3/{i}{of}.st")["maps"][u])
    assert len(told) > 2
    predicted = get(run, "val/predicted/margin/maps/3.st")
    for i in range(2):
        assert np.array_equal(predicted[f"maps.{i}"], get(run, f"val/maps/3/{i}.st")["maps"])


def test_maps_of_a_class_are_of_its_samples_alone(run) -> None:
    own = run.maps("relu2", step=int(run.steps[3]))
    for k in range(len(CLASSES)):
        found = get(run, f"val/maps/3/1/{k}.st")
        assert np.abs(values(found) - own[k]).max() <= found["high"].max() / FULL * 0.51


def test_a_units_maps_are_on_one_scale_for_all_classes(run) -> None:
    unit = run.layers[1].offset + 3
    found = get(run, f"val/maps/unit/{unit}/0.st")
    for t, step in enumerate(run.steps):
        own = run.maps("relu2", step=int(step))[:, 3]
        one = {"maps": found["maps"][t], "low": found["low"][t : t + 1], "high": found["high"][[t]]}
        assert found["maps"].shape == (SNAPSHOTS, *own.shape)
        assert (one["low"][0], one["high"][0]) == (0, own.max())
        assert np.abs(values(one) - own).max() <= own.max() / FULL * 0.51
        assert (one["maps"] == FULL).sum() >= 1


def test_means_of_many_classes_are_read_a_few_at_a_time(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = get(run, "val/maps/2/0.st")["maps"]
    monkeypatch.setattr(pictured, "BLOCK_BYTES", 1)
    assert np.array_equal(get(run, "val/maps/2/0.st")["maps"], whole)


def test_what_is_not_known_is_not_dark() -> None:
    found = pictured._on_one_scale(np.array([[[0.0, np.nan], [-1.0, 3.0]]]))
    assert found["maps"].tolist() == [[[round(FULL / 4), NOTHING], [0, FULL]]]
    assert (found["low"][0], found["high"][0]) == (-1, 3)
    nothing = pictured._on_one_scale(np.full((1, 2, 2), np.nan))
    assert (nothing["maps"] == NOTHING).all()
    # what is everywhere the same is not stretched to look as if it were not
    same = pictured._on_one_scale(np.full((1, 2, 2), 5.0))
    assert (same["maps"] == FULL).all()


def test_watched_maps_are_those_of_their_sample(run) -> None:
    for which in range(len(WATCHED)):
        for i, path in enumerate(LAYERS):
            found = get(run, f"val/watched/{which}/1/{i}.st")
            own = run.watched(path, step=int(run.steps[1]))[which]
            assert found["maps"].shape == own.shape
            assert np.abs(values(found) - own).max() <= own.max() / FULL * 0.51


def test_large_watched_maps_are_means_of_neighbors(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "SAMPLE_BYTES", UNITS * 7 * 7)
    found = get(run, "val/watched/0/1/0.st")
    own = run.watched("relu1", step=int(run.steps[1]))[0]
    assert found["maps"].shape == (UNITS, 7, 7)
    pooled = np.stack(
        [
            own[:, y : y + 3, x : x + 3].mean((1, 2))
            for y in range(0, 20, 3)
            for x in range(0, 20, 3)
        ],
        1,
    ).reshape(UNITS, 7, 7)
    assert np.abs(values(found) - pooled).max() <= pooled.max() / FULL * 0.51


def test_first_weights_are_around_gray_in_color(run) -> None:
    for t in (0, SNAPSHOTS - 1):
        found = get(run, f"val/first_weights/{t}.st")
        own = run.first_weights(step=int(run.steps[t])).transpose(0, 2, 3, 1)
        scale = np.abs(own).max()
        assert found["weights"].shape == own.shape
        assert found["scale"][0] == np.float32(scale)
        told = (found["weights"].astype(float) - ZERO) / REACH * scale
        assert np.abs(told - own).max() <= scale / REACH * 0.51


def test_the_film_holds_each_snapshot_by_its_own_scale(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = get(run, "val/first_weights.st")
    assert film["snapshot"].tolist() == list(range(SNAPSHOTS))
    for f, t in enumerate(film["snapshot"]):
        one = get(run, f"val/first_weights/{t}.st")
        assert np.array_equal(film["weights"][f], one["weights"])
        assert film["scale"][f] == one["scale"][0]
    assert len(set(film["scale"].tolist())) == SNAPSHOTS
    monkeypatch.setattr(filters, "FILM_FRAMES", 3)
    assert get(run, "val/first_weights.st")["snapshot"].tolist() == [0, 2, 3]
    monkeypatch.setattr(filters, "FILM_BYTES", 1)
    assert get(run, "val/first_weights.st")["snapshot"].tolist() == [0, 3]


@pytest.mark.parametrize(
    ("shape", "thumbnails", "picture"),
    [
        ((4, 3, 7, 7), None, (4, 7, 7, 3)),
        ((4, 1, 5, 6), None, (4, 5, 6, 1)),
        ((4, 16, 3, 3), None, (4, 3, 3, 1)),
        ((4, 3, 2, 5, 5), None, (4, 5, 5, 3)),
        ((4, 8, 9), None, (4, 8, 9, 1)),
        ((4, 784), (60, 28, 28, 3), (4, 28, 28, 1)),
        ((4, 2352), (60, 28, 28, 3), (4, 28, 28, 3)),
        ((4, 100), (60, 28, 28, 3), (4, 1, 100, 1)),
        ((4, 13), None, (4, 1, 13, 1)),
    ],
)
def test_weights_of_every_kind_become_pictures(
    shape: tuple[int, ...], thumbnails: tuple[int, ...] | None, picture: tuple[int, ...]
) -> None:
    class Shapes:
        def shape_of(self, path: str, split: str) -> tuple[int, ...]:
            return (9, *shape) if path == "first_weights" else thumbnails or ()

        def has(self, path: str, split: str) -> bool:
            return thumbnails is not None

    found = filters.shape(Shapes(), "val")  # type: ignore[arg-type]
    assert found == picture
    weights = np.random.default_rng(0).normal(size=shape)
    pictures = filters.pictures(weights, found)
    assert pictures.shape == picture
    if len(shape) == 5:
        assert np.allclose(pictures[1, 2, 3], weights[1, :, :, 2, 3].mean(1))
    elif len(shape) == 4:
        own = weights[1, :, 2, 1]
        assert np.allclose(pictures[1, 2, 1], own if picture[3] == 3 else own.mean())
    elif len(shape) == 3:
        assert np.array_equal(pictures[1, 2, 3, 0], weights[1, 2, 3])
    elif picture[3] == 3:
        assert np.array_equal(pictures[1, 2, 5], weights[1].reshape(3, 28, 28)[:, 2, 5])
    else:
        assert np.array_equal(pictures[1].reshape(-1), weights[1])


def test_how_a_sample_goes_through_the_layers_is_the_cosine_with_class_means(run) -> None:
    labels = run.labels()
    for i in (0, 7, 88):
        found = get(run, f"val/sample/{i}/layers.st")
        assert found["snapshot"].tolist() == list(range(SNAPSHOTS))
        for t, step in enumerate(run.steps):
            responses = run.responses(step=int(step)).astype(float)
            with np.errstate(invalid="ignore", divide="ignore"):
                z = (responses - responses.mean(0)) / responses.std(0)
            for place, layer in enumerate(run.layers):
                own = z[:, layer.slice]
                own = own[:, np.isfinite(own).all(0)]
                others = np.arange(SAMPLES) != i
                means = np.stack([own[(labels == k) & others].mean(0) for k in range(3)])
                cosines = means @ own[i] / np.linalg.norm(means, axis=1) / np.linalg.norm(own[i])
                assert found["alike"][t, place] == pytest.approx(cosines[labels[i]], abs=2e-3)
                assert found["nearest_alike"][t, place] == pytest.approx(cosines.max(), abs=2e-3)
                if np.diff(np.sort(cosines))[-1] > 5e-3:
                    assert found["nearest"][t, place] == cosines.argmax()
    # once trained, it is plain which class it is of
    assert found["nearest"][-1, -1] == labels[88]
    assert found["alike"][-1, -1] > 0.9


def test_layers_in_blocks_and_some_snapshots_are_told_the_same(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = get(run, "val/sample/5/layers.st")
    monkeypatch.setattr(alike, "BLOCK", 1)
    monkeypatch.setattr(alike, "MOST_SNAPSHOTS", 3)
    some = get(run, "val/sample/5/layers.st")
    assert some["snapshot"].tolist() == [0, 2, 3]
    for name in ("alike", "nearest", "nearest_alike"):
        assert np.array_equal(some[name], whole[name][[0, 2, 3]])


def test_a_sample_of_a_class_of_its_own_is_like_nothing() -> None:
    """Its class is judged by its other samples, and there are none."""
    from huelapse.moments import Moments

    rng = np.random.default_rng(0)
    responses, classes = rng.normal(size=(21, 6)), np.array([0] * 10 + [1] * 10 + [2])
    moments = Moments.from_samples(responses, classes, 3)
    z, means = alike._directions(moments, responses[20], 2)
    cosines = alike._cosines(z, means)
    assert np.isnan(cosines[2])
    assert np.isfinite(cosines[:2]).all()
    assert np.isnan(alike._cosines(z[:2], means[:, :2])).all()


@pytest.mark.parametrize(
    "path",
    [
        "val/true/margin/maps/9.st",
        "val/true/nothing/maps/0.st",
        "val/maps/0.st",
        "val/maps/0/2.st",
        "val/maps/0/99.st",
        "val/maps/0/0/3.st",
        "val/maps/unit/999/0.st",
        "val/maps/unit/0/1.st",
        f"val/maps/unit/{UNITS + 8}/0.st",
        "val/maps/x/0.st",
        "val/watched/3/0/0.st",
        "val/watched/0/9/0.st",
        "val/watched/0/0/2.st",
        "val/first_weights/9.st",
        f"val/sample/{SAMPLES}/layers.st",
        "nothing/maps/0/0.st",
        "nothing/first_weights.st",
    ],
)
def test_what_is_not_there_is_refused(run, path: str) -> None:
    with pytest.raises(SelectionError):
        get(run, path)


def test_maps_that_are_too_many_at_once_are_refused(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "ALL_BYTES", 100)
    with pytest.raises(SelectionError, match="ask for one layer"):
        get(run, "val/true/margin/maps/0.st")


def test_what_was_not_recorded_is_not_offered(tmp_path: Path) -> None:
    from conftest import SmallNet, batches

    with huelapse.Recorder(
        SmallNet(), tmp_path / "run", probe=batches(), classes=3, keep_responses=False
    ) as recorder:
        recorder.step()
    resources = Resources(huelapse.open(tmp_path / "run"))
    (split,) = resources.manifest()["splits"]
    assert not {"maps", "watched", "first_weights", "through_layers"} & set(split["resources"])
    assert not {"maps", "watched", "first_weights"} & set(split)
    for path in ("true/margin/maps/0.st", "maps/0/0.st", "watched/0/0/0.st", "first_weights.st"):
        with pytest.raises(SelectionError):
            resources.get(f"val/{path}")


def test_predictions_are_read_as_they_are_asked_for_where_they_are_many(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of samples needs that snapshot alone."""
    from huelapse.viewer import predicted

    paths = ("val/samples/2.st", "val/sample/7.st", "val/cell/1/0/1/samples.st")
    whole = [get(run, path) for path in paths]
    monkeypatch.setattr(predicted, "WHOLE_BYTES", 0)
    monkeypatch.setattr(huelapse.Run, "predictions_through_time", None)
    read: list[tuple[str, object]] = []
    reader = type(run._reader)
    real = reader.read

    def noted(self, path: str, selection: object = ...) -> np.ndarray:
        if path.endswith("predictions"):
            read.append((path, selection))
        return real(self, path, selection)

    monkeypatch.setattr(reader, "read", noted)
    for path, expected in zip(paths, whole, strict=True):
        found = get(run, path)
        assert {name: a.tolist() for name, a in found.items()} == {
            name: a.tolist() for name, a in expected.items()
        }
        if path == paths[0]:
            assert read == [("val/predictions", 2)]


def test_a_run_that_is_someone_elses_may_not_name_samples_that_are_not_there(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huelapse.Run, "watched_samples", lambda *_: np.array([0, SAMPLES, 2]))
    (split,) = Resources(run).manifest()["splits"]
    assert "watched" not in split
    assert "watched" not in split["resources"]
