"""What is kept of a pass beside sums, against what plain hooks and numpy make of the same pass."""

from pathlib import Path

import numpy as np
import pytest
import torch
from passes import Given, X, Y, captured, outputs
from torch import nn

import huelapse
from huelapse import kept
from huelapse.capture import Capture, Captured, Pass, ProbeSet, Samples, run_probe
from huelapse.capture.keeping import KeptResponses, Part, Parts
from huelapse.capture.maps import SpatialMaps, WatchedSamples
from huelapse.capture.weights import FirstWeighted, FirstWeights, first_weights
from huelapse.errors import GroupingError
from huelapse.schema import PREDICTED, TRUE, Grouping, Split
from huelapse.snapshot import PendingSnapshot, Snapshot
from huelapse.store import StoreWriter, WriterThread, layout

# --- responses -----------------------------------------------------------------------------------


def test_kept_responses_are_every_samples_in_order(small_net: nn.Module) -> None:
    one = KeptResponses()
    together = captured(small_net, [one])
    relu1 = outputs(small_net, "relu1").mean((2, 3))
    relu2 = outputs(small_net, "relu2")
    with torch.no_grad():
        p = small_net.eval()(X).softmax(1).numpy()
    expected = np.concatenate([relu1, relu2, p], 1)
    assert one.nbytes == 90 * (15 * 4 + 3 * 4 + 8 + 8)
    values = together.result()
    found = kept.decode(values["responses"], values["response_ref"], values["response_scale"])
    spread = expected.max(0) - expected.min(0)
    assert (np.abs(found - expected) <= 2.0**-11 * spread + 1e-6).all()
    np.testing.assert_array_equal(found > 0, expected > 0)
    np.testing.assert_allclose(values["probabilities"], p, atol=1e-6)
    np.testing.assert_array_equal(values["predictions"], p.argmax(1))
    np.testing.assert_array_equal(together.static()["labels"], Y.numpy())
    for array in one.arrays():
        value = {**values, **together.static()}[array.path]
        assert value.shape == array.shape
        assert value.dtype == array.dtype
    assert one.nbytes < 90 * 40  # the float32 responses are not held any longer


def test_kept_responses_know_no_single_class_of_many_labels() -> None:
    one = KeptResponses()
    many = torch.eye(3, dtype=torch.bool)
    one.add(torch.rand(3, 4), torch.rand(3, 3), many, many)
    assert one.static()["labels"].tolist() == [-1, -1, -1]
    assert one.result()["predictions"].tolist() == [-1, -1, -1]


def test_the_response_that_is_kept_is_the_one_asked_for(small_net: nn.Module) -> None:
    one = KeptResponses("peak")
    capture = Capture(small_net, classes=3, response=("mean", "peak"))
    values = captured(small_net, [one], capture).result()
    found = kept.decode(values["responses"], values["response_ref"], values["response_scale"])
    np.testing.assert_allclose(
        found[:, :5], outputs(small_net, "relu1").max((2, 3)), rtol=1e-3, atol=1e-6
    )


# --- first weights -------------------------------------------------------------------------------


class Backwards(nn.Module):
    """Declares its modules in another order than it runs them."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.relu, self.stem = nn.Linear(4, 3), nn.ReLU(), nn.Conv2d(2, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.stem(x)).mean((2, 3)))


def test_first_weights_are_those_that_run_first_as_they_were_then() -> None:
    model = Backwards()
    with FirstWeighted(model) as first:
        model(X[:2])
    assert first.path == "stem"
    assert not model.stem._forward_pre_hooks
    weights = first_weights(model, first.path)
    assert weights is not None
    before = model.stem.weight.detach().numpy().copy()
    with torch.no_grad():
        model.stem.weight.add_(1)
    np.testing.assert_array_equal(weights.result()["first_weights"], before)
    (array,) = weights.arrays()
    assert array.dims == ("weight_out", "weight_in", "weight_y", "weight_x")
    assert array.shape == (4, 2, 3, 3)
    assert array.attributes == {"module": "stem"}


def test_first_weights_of_every_dimension_and_type_have_names_for_their_axes() -> None:
    for module, x, axes in (
        (nn.Linear(6, 2).to(torch.bfloat16), torch.rand(1, 6, dtype=torch.bfloat16), 0),
        (nn.Conv1d(3, 2, 3), torch.rand(1, 3, 9), 1),
        (nn.Conv3d(3, 2, 3), torch.rand(1, 3, 5, 5, 5), 3),
    ):
        model = nn.Sequential(module)
        with FirstWeighted(model) as first:
            model(x)
        part = first_weights(model, first.path)
        assert part is not None
        (array,) = part.arrays()
        assert len(array.dims) == len(array.shape) == axes + 2
        assert part.result()["first_weights"].dtype == np.float32


def test_first_weights_too_large_or_not_there_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(4000, 600))
    assert first_weights(model, "0") is None
    with FirstWeighted(nn.Sequential(nn.ReLU())) as first:
        pass
    assert first_weights(model, first.path) is None
    assert first_weights(model, "gone") is None


# --- together ------------------------------------------------------------------------------------


def test_parts_declare_exactly_what_they_give(small_net: nn.Module) -> None:
    capture = Capture(small_net, classes=3)
    captured(small_net, [], capture)
    layers = dict(enumerate(capture.layers))
    parts: list[Part] = [
        KeptResponses(),
        SpatialMaps(layers, 3),
        WatchedSamples([1, 2], layers),
        FirstWeights("conv", small_net.get_submodule("conv").weight),
    ]
    together = captured(small_net, parts, capture)
    held = together.nbytes
    assert held == sum(part.nbytes for part in parts) > 0
    values = {**together.static(), **together.result()}
    declared = {array.path: array for array in together.arrays()}
    assert values.keys() == declared.keys()
    for path, value in values.items():
        assert value.shape == declared[path].shape
        assert value.dtype == declared[path].dtype
        layout.optional("val", declared[path]).metadata(1)


def test_parts_see_the_users_own_evaluation_too(small_net: nn.Module) -> None:
    capture = Capture(small_net, classes=3)
    one = KeptResponses()
    capture.observers.append(one)
    own = Pass(capture)
    with own.attached(), torch.no_grad():
        for i in range(0, 90, 45):
            small_net.eval()(X[i : i + 45])
            own.add(Samples(labels=Y[i : i + 45]))
    own.result()
    assert one.arrays()[0].shape == (90, capture.units)


def test_what_a_probe_kept_is_what_the_run_reads(small_net: nn.Module, run_path: Path) -> None:
    """Handed over while still on the device, finished by the writer, over several snapshots."""
    capture = Capture(small_net, classes=3, response=("mean", "peak"))
    probe = ProbeSet([(X[i : i + 32], Y[i : i + 32]) for i in range(0, 90, 32)], classes=3)
    with FirstWeighted(small_net) as first:
        run_probe(capture, probe)
    layers = dict(enumerate(capture.layers))
    thread = WriterThread(
        StoreWriter(
            run_path, name="t", layers=capture.layers, facts={}, responses=capture.responses
        )
    )
    expected: list[np.ndarray] = []
    for step in range(3):
        weights = first_weights(small_net, first.path)
        assert weights is not None
        capture.optional = Given(
            [KeptResponses(), SpatialMaps(layers, 3), WatchedSamples([0, 80], layers), weights]
        )  # type: ignore
        captured = run_probe(capture, probe)
        parts = captured.parts
        assert parts is not None
        expected.append(outputs(small_net, "relu1"))
        if step == 0:
            groupings = tuple(Grouping(name=n, classes=("a", "b", "c")) for n in (TRUE, PREDICTED))
            split = Split(
                name="val", kind="probe", groupings=groupings, facts={}, extras=parts.arrays()
            )
            thread.add_split(split, parts.static())

        def finish(step: int = step, captured: Captured = captured, parts: Parts = parts):
            return Snapshot(
                split="val",
                step=step,
                epoch=0.0,
                wall_time=1e9,
                seconds=0.1,
                moments=captured.moments("mean"),
                peaks=captured.moments("peak"),
                confusion=captured.confusion(),
                extras=parts.result(),
            )

        size = captured.nbytes
        assert thread.put(PendingSnapshot(split="val", step=step, nbytes=size, finish=finish), {})
        with torch.no_grad():  # the training goes on at once
            for parameter in small_net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    assert thread.finish(60, "complete", {})
    assert thread.error is None
    run = huelapse.open(run_path)
    for step, raw in enumerate(expected):
        mean = raw.mean((2, 3))
        np.testing.assert_allclose(run.responses(step, "relu1"), mean, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(
            run.maps("relu1", step)[1], raw[Y.numpy() == 1].mean(0), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(run.watched("relu1", step), raw[[0, 80]], rtol=1e-4, atol=1e-6)
        again, stored = run.regroup(run.labels(), step=step), run.moments(step)
        np.testing.assert_array_equal(again.active, stored.active)
        np.testing.assert_allclose(again.mean, stored.mean, rtol=1e-3, atol=1e-5)
        cells = [[run.cell(k, j, step=step).count[0] for j in range(3)] for k in range(3)]
        np.testing.assert_array_equal(cells, run.confusion()[step])
        peak = run.tuning(step, "relu1", response="peak")
        np.testing.assert_allclose(
            peak[2], raw.max((2, 3))[Y.numpy() == 2].mean(0), rtol=1e-4, atol=1e-5
        )
    assert not np.array_equal(run.first_weights(0), run.first_weights(1))
    np.testing.assert_array_equal(run.labels(), Y.numpy())


def test_a_grouping_named_like_an_array_of_samples_is_refused(small_net: nn.Module) -> None:
    for name in ("labels", "responses", "a/b"):
        with pytest.raises(GroupingError, match=f"grouping '{name}' (means something|cannot be)"):
            Capture(small_net, classes=3, groupings={name: (2, [0, 1, 1])})
    Capture(small_net, classes=3, groupings={"superclass": (2, [0, 1, 1])})
