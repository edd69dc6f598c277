"""What holds for any model: names, reach, contraction; and that tracing leaves nothing behind."""

import gc
import pickle
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from graph_models import Forward, ResNet, UNet
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from written import (
    IMAGES,
    VECTORS,
    built,
    each_model,
    edges,
    feeds,
    linears,
    recorded,
    traced,
    written,
)

from huelapse.capture.graph import Trace, contract, trace_graph
from huelapse.capture.layers import Tracer
from huelapse.capture.nodes import Node
from huelapse.capture.sources import INPUT
from huelapse.capture.watch import Place
from huelapse.schema import Graph


@each_model
def test_places_have_the_names_that_the_layer_table_gives_them(name: str) -> None:
    model, args = built(name)
    with Tracer(model) as tracer, torch.no_grad():
        model(*args)
    tracer.name()
    table = [(seen.place, seen.path) for seen in tracer.seen]
    nodes = [(node.place, node.path) for node in traced(model, *args).nodes]
    assert set(table) <= set(nodes)
    assert [entry for entry in nodes if entry in table] == table  # in the same order


@each_model
def test_what_changes_with_a_layers_output_is_what_stands_after_it(name: str) -> None:
    model, args = built(name)
    trace = traced(model, *args)
    modules = dict(model.named_modules())
    leaves = [i for i, n in enumerate(trace.nodes) if n.place.function is None]
    after = {i: _reachable(trace, i) for i in leaves}

    def outputs(changed: int | None) -> dict[int, Tensor]:
        given: dict[int, Tensor] = {}
        calls: Counter[str] = Counter()
        handles: list[Any] = []
        by_place = {trace.nodes[i].place: i for i in leaves}

        def watch(path: str) -> Callable[..., Any]:
            def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
                i = by_place[Place(path, calls[path])]
                calls[path] += 1
                first = output[0] if isinstance(output, tuple) else output
                given[i] = first.clone()
                if i != changed:
                    return None
                noise = torch.randn(first.shape, generator=torch.Generator().manual_seed(5))
                first.add_(noise)  # in place, so that the kind of output stays the same
                return None

            return hook

        for path in {trace.nodes[i].place.path for i in leaves}:
            handles.append(modules[path].register_forward_hook(watch(path)))
        with torch.no_grad():
            model(*args)
        for handle in handles:
            handle.remove()
        return given

    before = outputs(None)
    for i in leaves:
        if isinstance(modules[trace.nodes[i].place.path], nn.LSTM | nn.Dropout):
            continue  # its state goes on beside its first output; or it gives what it was given
        moved = {j for j, out in outputs(i).items() if j != i and not torch.equal(out, before[j])}
        assert moved == {j for j in after[i] if j in before}, trace.nodes[i].path


def _reachable(trace: Trace, start: int) -> set[int]:
    found = {start}
    for i, node in enumerate(trace.nodes):
        if found & set(node.before):
            found.add(i)
    return found - {start}


@st.composite
def traces(draw: st.DrawFn) -> tuple[Trace, list[str]]:
    """Any graph, with any of its nodes recorded."""
    count = draw(st.integers(1, 12))
    nodes: list[Node] = []
    for i in range(count):
        before = draw(st.sets(st.integers(INPUT, i - 1), min_size=1, max_size=3))
        junction = len(before) > 1 and draw(st.booleans())
        node = Node(Place(f"n{i}", 0), "add", tuple(sorted(before)), junction=junction)
        node.path = f"n{i}"
        node.activation = not junction and draw(st.booleans())
        nodes.append(node)
    output = draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=2))
    layers = draw(st.sets(st.sampled_from([node.path for node in nodes])))
    return Trace(tuple(nodes), tuple(sorted(output)), ()), sorted(layers)


@settings(max_examples=300, deadline=None)
@given(traces())
def test_one_layer_feeds_another_as_it_did_before_contraction(
    drawn: tuple[Trace, list[str]],
) -> None:
    trace, layers = drawn
    graph = contract(trace, layers)
    assert graph.edges is not None
    kept = {*layers, "output"}
    paths = [path for path, kind in zip(graph.nodes, graph.junctions, strict=True) if kind is None]
    assert paths == [*(node.path for node in trace.nodes if node.path in kept), "output"]
    whole = [*(node.path for node in trace.nodes), "output"]
    direct = [
        (a, b)
        for b, before in enumerate([*(n.before for n in trace.nodes), trace.output])
        for a in before
        if a != INPUT
    ]
    expected = feeds(direct, {i: path for i, path in enumerate(whole) if path in kept})
    named = {i: path for i, path in enumerate(graph.nodes) if path in kept}
    assert feeds(graph.edges, named) == expected
    sources = Counter(b for _, b in graph.edges)
    targets = Counter(a for a, _ in graph.edges)
    for i, kind in enumerate(graph.junctions):
        assert kind is None or (sources[i] > 1 and targets[i] > 0)  # else it is needless


def test_a_graph_survives_json() -> None:
    graph = contract(traced(UNet(), IMAGES), ["relu#0", "relu#3"])
    assert Graph.from_json(graph.as_json()) == graph
    unknown = Graph(nodes=("a", "output"), junctions=(None, None), edges=None)
    assert Graph.from_json(unknown.as_json()) == unknown


def test_a_forward_that_raises_leaves_the_nodes_in_their_order() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        m.b(F.relu(m.a(x)))
        raise ValueError("later")

    model = Forward(forward, **linears("abc"))
    trace = trace_graph(model, lambda: model(VECTORS))
    assert trace.unknown == "ValueError: later"
    assert [node.path for node in trace.nodes] == ["a", "relu", "b"]
    graph = contract(trace, ["a", "relu", "output"])
    assert graph == Graph(nodes=("a", "relu", "output"), junctions=(None,) * 3, edges=None)
    assert bare(model)


def test_a_layer_that_the_trace_has_not_seen_makes_the_edges_unknown() -> None:
    assert contract(traced(ResNet(), IMAGES), ["relu", "nowhere"]).edges is None


def bare(model: nn.Module) -> bool:
    """Whether there is nothing left of ours."""
    return (
        not any(
            module._forward_hooks  # pyright: ignore[reportPrivateUsage]
            or module._forward_pre_hooks  # pyright: ignore[reportPrivateUsage]
            or module._forward_hooks_with_kwargs  # pyright: ignore[reportPrivateUsage]
            or module._forward_hooks_always_called  # pyright: ignore[reportPrivateUsage]
            or "forward" in module.__dict__
            for module in model.modules()
        )
        and not torch._C._len_torch_function_stack()
    )  # pyright: ignore[reportPrivateUsage]


@each_model
def test_nothing_is_left_on_the_model_and_nothing_in_it_changes(name: str) -> None:
    model, args = built(name)
    before, state = pickle.dumps(model), torch.get_rng_state()
    traced(model, *args)
    assert bare(model)
    assert pickle.dumps(model) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_an_interrupt_goes_through_and_leaves_nothing() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        m.a(x)
        raise KeyboardInterrupt

    model = Forward(forward, **linears("a"))
    with pytest.raises(KeyboardInterrupt):
        trace_graph(model, lambda: model(VECTORS))
    assert bare(model)


def test_a_forward_of_the_instances_own_is_put_back() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    plain = model.forward

    def own(x: Tensor) -> Tensor:
        return plain(x)

    model.forward = own
    assert edges(traced(model, VECTORS)) == written("input > 0 > 1 > 2 > output")
    assert model.__dict__["forward"] is own


@contextmanager
def without_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("fails", [False, True])
def test_no_tensor_outlives_the_trace_and_none_its_use_in_the_forward(fails: bool) -> None:
    alive: list[weakref.ref[Tensor]] = []

    def forward(m: Any, x: Tensor) -> Tensor:
        h = m.a(x)
        alive.append(weakref.ref(h))
        h = F.relu(h + m.b(x))
        alive.append(weakref.ref(h))
        assert alive[0]() is None  # not held longer than the forward does
        h = m.c(h)
        assert alive[1]() is None
        alive.append(weakref.ref(h))
        if fails:
            raise ValueError("after all")
        return h

    model = Forward(forward, **linears("abc"))
    with without_collection():
        inputs = VECTORS.clone()
        trace = trace_graph(model, lambda: model(inputs))
        assert trace.unknown == ("ValueError: after all" if fails else None)
        alive.append(weakref.ref(inputs))
        del inputs
        assert [ref() for ref in alive] == [None] * 4


def test_inference_tensors_are_followed_too() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h = m.a(x)
        s = h + m.b(h)
        s.mul_(2)
        s = m.r(s)
        alias = h.view(-1)
        F.relu_(h)
        return m.c(alias.view(3, 4) + s)

    model = Forward(forward, r=nn.ReLU(inplace=True), **linears("abc"))
    expected = written(
        "input > a > b > add#0 > r > add#1 > c > output, a > add#0, a > relu > add#1"
    )
    with torch.inference_mode():
        inputs = VECTORS.clone()
        trace = traced(model, inputs)
        assert edges(trace) == expected
        assert [join.activated for join in trace.joins] == [False, False]
    assert edges(traced(model, inputs)) == expected


def test_training_mode_and_half_precision_are_the_same() -> None:
    model = ResNet()
    expected = edges(traced(model, IMAGES))
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trace = trace_graph(model, lambda: model(IMAGES))
    assert trace.unknown is None
    assert edges(trace) == expected
    half = model.to(torch.bfloat16).to(memory_format=torch.channels_last)
    assert edges(traced(half, IMAGES.bfloat16())) == expected


def test_tracing_a_deep_network_takes_well_under_a_second() -> None:
    model = ResNet(depth=4)  # as many layers as a ResNet-18
    traced(model, IMAGES)
    start = time.process_time()
    trace = traced(model, IMAGES)
    contract(trace, recorded(trace))
    assert time.process_time() - start < 0.5
