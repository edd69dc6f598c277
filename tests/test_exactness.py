"""The stored statistics against a float64 computation that shares nothing with huelapse.

The oracle hooks the same modules itself, keeps whole activations, and groups them with plain numpy
in float64. Counts must be equal; mean and √(m2/(n−1)) within 1e-6 of the response's RMS.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import huelapse
from conftest import SmallNet, batches
from huelapse.demo.training import Trained, load_data


def oracle(model: nn.Module, modules: list[str], inputs: torch.Tensor, labels: np.ndarray):
    """Per grouping: n [K], mean, sd, active [K, U]; and the RMS of each unit's response."""
    kept: dict[str, list[np.ndarray]] = {name: [] for name in modules}
    table = dict(model.named_modules())
    handles = [
        table[name].register_forward_hook(
            lambda _m, _i, out, name=name: kept[name].append(
                out.detach().numpy().astype(np.float64)
            )
        )
        for name in modules
    ]
    logits = []
    model.eval()
    with torch.no_grad():
        for start in range(0, len(inputs), 77):
            logits.append(model(inputs[start : start + 77]).numpy().astype(np.float64))
    for handle in handles:
        handle.remove()
    columns = []
    for name in modules:
        whole = np.concatenate(kept[name])
        columns.append(whole.reshape(*whole.shape[:2], -1).mean(2) if whole.ndim > 2 else whole)
    z = np.concatenate(logits)
    e = np.exp(z - z.max(1, keepdims=True))
    columns.append(e / e.sum(1, keepdims=True))
    responses = np.concatenate(columns, 1)
    predicted = z.argmax(1)
    classes = z.shape[1]
    result = {}
    for grouping, groups in (("true", labels), ("predicted", predicted)):
        rows = [responses[groups == k] for k in range(classes)]
        result[grouping] = (
            np.array([len(r) for r in rows]),
            np.stack([r.mean(0) if len(r) else np.full(r.shape[1], np.nan) for r in rows]),
            np.stack(
                [r.std(0, ddof=1) if len(r) > 1 else np.full(r.shape[1], np.nan) for r in rows]
            ),
            np.stack([(r > 0).sum(0) for r in rows]),
        )
    confused = np.zeros((classes, classes), int)
    for t, p in zip(labels, predicted, strict=True):
        confused[t, p] += 1
    return result, np.sqrt((responses**2).mean(0)), confused


def compare(run: huelapse.Run, model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor):
    modules = [layer.path for layer in run.layers if not layer.output]
    expected, rms, confused = oracle(model, modules, inputs, labels.numpy())
    last = len(run.steps) - 1
    worst = 0.0
    for grouping, (n, mean, sd, active) in expected.items():
        stored = run.moments(last, grouping)
        np.testing.assert_array_equal(stored.count, n)
        np.testing.assert_array_equal(stored.active, active)
        assert stored.nonfinite.sum() == 0
        scale = np.maximum(rms, 1e-300)
        has = n[:, None] > 0
        worst = max(
            worst, (np.abs(stored.mean - mean) / scale)[np.broadcast_to(has, mean.shape)].max()
        )
        spread = np.sqrt(stored.variance)
        several = np.broadcast_to(n[:, None] > 1, mean.shape)
        worst = max(worst, (np.abs(spread - sd) / scale)[several].max())
    np.testing.assert_array_equal(run.confusion()[last], confused)
    return worst


def test_a_small_net_is_recorded_exactly(small_net: nn.Module, run_path: Path) -> None:
    inputs, labels = batches(400)
    with huelapse.Recorder(small_net, run_path, probe=(inputs, labels), classes=3):
        pass
    assert compare(huelapse.open(run_path), small_net, inputs, labels) <= 1e-6


def test_the_demo_net_is_recorded_exactly(demo_run: Trained) -> None:
    data = load_data()
    run = huelapse.open(demo_run.run)
    assert run.steps[-1] == 800
    assert compare(run, demo_run.model, data.test_images, data.test_labels) <= 1e-6


def test_far_from_zero_is_still_exact(run_path: Path) -> None:
    """A unit of mean 1,000 and spread 0.1: plain float32 sums would be off by a factor of 190."""
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.fill_(0.1)
        model[0].bias.fill_(1000.0)
        # logits of a few units: of hundreds, a softmax in float32 and one in float64 would differ in
        # which probabilities are still above 0
        model[2].weight.copy_(torch.tensor([[1e-3] * 4, [-1e-3] * 4]))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2000, 1, generator=generator)
    labels = torch.arange(2000) % 2
    with huelapse.Recorder(model, run_path, probe=(inputs, labels), classes=2):
        pass
    assert compare(huelapse.open(run_path), model, inputs, labels) <= 1e-6
    sd = np.sqrt(huelapse.open(run_path).moments(0).variance[:, :4])
    assert sd == pytest.approx(np.full((2, 4), 0.1), rel=0.1)


def test_the_users_own_evaluation_gives_the_same_numbers(
    small_net: nn.Module, run_path: Path
) -> None:
    inputs, labels = batches(300)
    small_net.eval()
    recorder = huelapse.Recorder(small_net, run_path, classes=3)
    with recorder.probing("test") as probing, torch.inference_mode():
        for start in range(0, 300, 64):
            small_net(inputs[start : start + 64])
            probing.labels(labels[start : start + 64])
    recorder.close()
    run = huelapse.open(run_path)
    assert run.splits[0].name == "test"
    assert run.splits[0].kind == "evaluation"
    assert compare(run, small_net, inputs, labels) <= 1e-6


def test_responses_that_are_not_finite_enter_no_sum(run_path: Path) -> None:
    class Breaks(SmallNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.relu1(self.norm(self.conv(x))).flatten(1)
            return self.head(torch.nan_to_num(self.relu2(self.fc(y))))

    torch.manual_seed(0)
    inputs, labels = batches(120)
    inputs[4] = float("nan")
    model = Breaks()
    with huelapse.Recorder(model, run_path, probe=(inputs, labels), classes=3):
        pass
    run = huelapse.open(run_path)
    moments = run.moments(0)
    assert moments.nonfinite[labels[4]].tolist()[:12] == [1] * 12  # ReLU keeps NaN
    assert np.isfinite(moments.mean).all()
    assert set(run.state(layer="relu1")) == {huelapse.State.NOT_FINITE}
    kept = torch.arange(120) != 4
    clean = run_path.with_name("clean")
    with huelapse.Recorder(model, clean, probe=(inputs[kept], labels[kept]), classes=3):
        pass
    other = huelapse.open(clean).moments(0)
    np.testing.assert_allclose(moments.mean[:, :12], other.mean[:, :12], rtol=1e-5, atol=1e-7)
