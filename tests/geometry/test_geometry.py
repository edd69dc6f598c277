"""Geometry against plain computation, known distributions, and what must not matter."""

from pathlib import Path

import numpy as np
import pytest

import huelapse
from huelapse import geometry
from huelapse.errors import SelectionError
from huelapse.geometry.decoding import _decomposed
from huelapse.moments import Moments

LABELS = np.repeat(np.arange(5), 60)


def cloud(rng, units: int = 20, apart: float = 3.0, labels: np.ndarray = LABELS) -> np.ndarray:
    means = rng.standard_normal((5, units)) * apart / np.sqrt(units)
    return means[labels] + rng.standard_normal((len(labels), units))


def rotation(rng, size: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


def of(x: np.ndarray, labels: np.ndarray = LABELS, classes: int = 5):
    return geometry.centres(Moments.from_samples(x, labels, classes))


# --- centres -----------------------------------------------------------------------------------------


def test_centres_are_what_loops_over_pairs_say(rng) -> None:
    x = cloud(rng) + 50
    found = of(x)
    means = [x[k == LABELS].mean(0) for k in range(5)]
    middle = np.mean(means, axis=0)
    variance = [x[k == LABELS].var(0, ddof=1).sum() for k in range(5)]
    norms = [np.linalg.norm(m - middle) for m in means]
    cosines, ratios = [], []
    for k in range(5):
        for other in range(k):
            a, b = means[k] - middle, means[other] - middle
            cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            gap = np.sum((means[k] - means[other]) ** 2)
            ratios.append((variance[k] + variance[other]) / (2 * gap))
    assert found.equinorm == pytest.approx(np.std(norms) / np.mean(norms), rel=1e-9)
    assert found.cosine == pytest.approx(np.mean(cosines), rel=1e-9)
    assert found.equiangular == pytest.approx(np.mean(np.abs(np.array(cosines) + 0.25)), rel=1e-9)
    assert found.cdnv == pytest.approx(np.mean(ratios), rel=1e-9)


def test_a_simplex_is_collapsed() -> None:
    corners = np.eye(5)[LABELS]
    found = of(np.concatenate([corners, np.full((300, 1), 7.0)], 1))
    assert found.cosine == pytest.approx(-0.25)
    assert found.equiangular == pytest.approx(0, abs=1e-12)
    assert found.equinorm == pytest.approx(0, abs=1e-12)
    assert found.cdnv == 0


def test_neither_rotation_nor_offset_nor_scale_matter(rng) -> None:
    x = cloud(rng)
    plain, moved = of(x), of(3 * x @ rotation(rng, 20) + 100)
    for name in ("equinorm", "cosine", "equiangular", "cdnv"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name), rel=1e-7)


def test_without_classes_or_spread_there_is_no_geometry(rng) -> None:
    assert np.isnan(of(cloud(rng)[:60], LABELS[:60]).cdnv)
    same = of(np.ones((300, 4)))
    assert np.isnan(same.cosine)
    assert same.cdnv == np.inf
    spoilt = cloud(rng)
    spoilt[3, 0] = np.nan
    whole = of(spoilt[:, 1:])
    assert of(spoilt).cdnv == pytest.approx(whole.cdnv)


# --- with responses ----------------------------------------------------------------------------------


def test_within_collapse_is_the_trace_of_papyan(rng) -> None:
    x = cloud(rng)
    means = np.stack([x[k == LABELS].mean(0) for k in range(5)])
    inside = x - means[LABELS]
    within = inside.T @ inside / len(x)
    away = means - means.mean(0)
    between = away.T @ away / 5
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 5
    assert geometry.within_collapse(x, LABELS) == pytest.approx(expected, rel=1e-8)
    assert geometry.within_collapse(np.eye(5)[LABELS], LABELS) == pytest.approx(0, abs=1e-20)
    assert geometry.within_collapse(np.ones((300, 3)), LABELS) == np.inf
    assert np.isnan(geometry.within_collapse(x[:60], LABELS[:60]))


def test_decoding_tells_what_is_there_and_nothing_of_noise(rng) -> None:
    found = geometry.decode(cloud(rng, apart=8.0), LABELS)
    assert found.nearest_centre > 0.95
    assert found.linear > 0.95
    assert found.chance == 0.2
    shuffled = [
        geometry.decode(cloud(rng, apart=8.0), rng.permutation(LABELS), seed=s) for s in range(10)
    ]
    for name in ("nearest_centre", "linear"):
        assert np.mean([getattr(s, name) for s in shuffled]) == pytest.approx(0.2, abs=0.04)


def test_a_wide_layer_of_noise_is_not_decoded_by_its_own_samples(rng) -> None:
    """With more units than samples any rule fits those it has seen perfectly."""
    found = geometry.decode(rng.standard_normal((300, 900)), LABELS)
    assert found.linear < 0.35


def test_ridge_is_the_solution_of_its_normal_equations(rng) -> None:
    for units in (7, 90):
        train, test = rng.standard_normal((40, units)), rng.standard_normal((9, units))
        targets = rng.standard_normal((40, 3))
        left, scale, projected = _decomposed(train, test)
        penalty = 2.5
        found = projected @ (left.T @ targets * (scale / (scale**2 + penalty))[:, None])
        direct = test @ np.linalg.solve(
            train.T @ train + penalty * np.eye(units), train.T @ targets
        )
        np.testing.assert_allclose(found, direct, atol=1e-8)


def test_nearest_centre_is_that_of_plain_folds(rng) -> None:
    from huelapse.geometry.decoding import _folds

    x = cloud(rng, apart=2.0)
    fold, right = _folds(LABELS, 5, 0), 0
    assert all((np.bincount(LABELS[fold == f]) == 12).all() for f in range(5))
    for f in range(5):
        own, out = fold != f, fold == f
        mean, spread = x[own].mean(0), x[own].std(0)
        scaled = (x - mean) / spread
        means = np.stack([scaled[own & (k == LABELS)].mean(0) for k in range(5)])
        distance = ((scaled[out][:, None] - means) ** 2).sum(-1)
        right += (distance.argmin(1) == LABELS[out]).sum()
    assert geometry.decode(x, LABELS).nearest_centre == right / 300


def test_units_and_samples_that_are_not_there_take_no_part(rng) -> None:
    x = cloud(rng)
    spoilt = np.concatenate([x, np.full((300, 1), np.inf)], 1)
    with_none = np.concatenate([LABELS, [-1, -1]])
    more = np.concatenate([spoilt, np.ones((2, 21))])
    assert geometry.decode(more, with_none) == geometry.decode(x, LABELS)
    assert np.isnan(geometry.decode(x[:60], LABELS[:60]).linear)


def test_cka_is_the_sum_over_samples_of_its_definition(rng) -> None:
    a, b = cloud(rng)[:12], rng.standard_normal((12, 7))

    def hsic(K: np.ndarray, L: np.ndarray) -> float:
        """Song et al. 2012, eq. 5, by sums over distinct indices."""
        n, first, second, third = len(K), 0.0, 0.0, 0.0
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                first += K[i, j] * L[i, j]
                for q in range(n):
                    if q in (i, j):
                        continue
                    third += K[i, j] * L[i, q]
                    for r in range(n):
                        if r not in (i, j, q):
                            second += K[i, j] * L[q, r]
        pairs = n * (n - 1)
        return first / pairs + second / (pairs * (n - 2) * (n - 3)) - 2 * third / (pairs * (n - 2))

    K, L = a @ a.T, b @ b.T
    expected = hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))
    assert geometry.cka(a, b) == pytest.approx(expected, rel=1e-6)


def test_cka_knows_the_same_space_and_chance(rng) -> None:
    x = cloud(rng)
    assert geometry.cka(x, 5 * x @ rotation(rng, 20) + 9) == pytest.approx(1, abs=1e-9)
    chance = [
        geometry.cka(rng.standard_normal((300, 500)), rng.standard_normal((300, 500)))
        for _ in range(10)
    ]
    assert abs(np.mean(chance)) < 0.01  # the biased form reads 0.6 here
    assert np.isnan(geometry.cka(np.ones((9, 2)), x[:9]))
    with pytest.raises(ValueError, match="same ones"):
        geometry.cka(x, x[:10])


def test_rotations_tell_special_units_from_others(rng) -> None:
    own = np.arange(10) % 5 == LABELS[:, None]  # two units for each class
    control = geometry.rotated(rng.standard_normal((300, 10)) + 3.0 * own, LABELS, 5)
    assert control.above == 1.0
    assert control.units > 1.3 * control.rotated.mean()
    other = geometry.rotated(cloud(rng, 40) @ rotation(rng, 40), LABELS, 5)
    assert other.rotated.min() * 0.7 < other.units < other.rotated.max() * 1.3
    assert len(control.rotated) == 20
    few = geometry.rotated(cloud(rng, 40), LABELS, 5, rotations=40, directions=3)
    all_ = geometry.rotated(cloud(rng, 40), LABELS, 5, rotations=10)
    apart = abs(few.rotated.mean() - all_.rotated.mean())
    assert apart < 4 * few.rotated.std() / np.sqrt(40) + 1e-9
    assert few.rotated.std() > all_.rotated.std()  # of three directions rather than forty


# --- of runs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> huelapse.Run:
    import torch
    from torch import nn

    from conftest import batches

    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 12), nn.ReLU(), nn.Linear(12, 3))
    inputs, labels = batches(90)
    path = tmp_path_factory.mktemp("geometry") / "run"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with huelapse.Recorder(
        model, path, probe=(inputs, labels), classes=3, probe_budget=None, keep_responses=True
    ) as recorder:
        for _ in range(40):
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step()
    return huelapse.open(path)


def test_a_runs_geometry_is_that_of_its_responses(run: huelapse.Run) -> None:
    layer, step = run.layers[0].path, int(run.steps[-1])
    x, labels = run.responses(step, layer).astype(np.float64), run.labels()
    found = geometry.collapse(run, layer)
    assert found["step"].tolist() == run.steps.tolist()
    assert found["cdnv"][-1] == pytest.approx(of(x, labels, 3).cdnv, rel=1e-3)
    assert found["within"][-1] == geometry.within_collapse(x, labels)
    assert found["cdnv"][-1] < found["cdnv"][0]
    last = geometry.decoded(run, layer, steps=[step])[0]
    assert last == geometry.decode(x, labels)
    alike = geometry.similarity(run, layer, steps=[0, step])
    assert alike[0, 0] == pytest.approx(1)
    assert (
        alike[0, 1]
        == alike[1, 0]
        == pytest.approx(geometry.cka(run.responses(0, layer).astype(float), x))
    )
    assert geometry.special(run, layer).units >= 0


def test_what_was_not_kept_is_said(tmp_path: Path, small_net) -> None:
    from conftest import batches

    huelapse.Recorder(
        small_net, tmp_path / "run", probe=batches(), classes=3, keep_responses=False
    ).close()
    run = huelapse.open(tmp_path / "run")
    layer = run.layers[0].path
    assert "within" not in geometry.collapse(run, layer)
    with pytest.raises(SelectionError, match="kept responses"):
        geometry.decoded(run, layer)
