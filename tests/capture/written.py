"""What the tests of the layer graph share: models with inputs, and graphs as sets of `a > b`."""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest
import torch
from graph_models import (
    Branching,
    DenseNet,
    Encoder,
    Forward,
    FunctionalBlock,
    Gated,
    LSTMClassifier,
    ResNet,
    UNet,
    ViT,
)
from torch import nn

from huelapse.capture.graph import Trace, contract, trace_graph
from huelapse.capture.sources import INPUT

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(1, 20, (3, 7), generator=torch.Generator().manual_seed(0))
VECTORS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
SEQUENCES = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


def traced(model: nn.Module, *args: Any, **kwargs: Any) -> Trace:
    model.eval()
    trace = trace_graph(model, lambda: model(*args, **kwargs))
    assert trace.unknown is None
    return trace


def edges(trace: Trace) -> set[str]:
    """Of everything the forward went through."""

    def name(source: int) -> str:
        return "input" if source == INPUT else trace.nodes[source].path

    found = {f"{name(s)} > {node.path}" for node in trace.nodes for s in node.before}
    return found | {f"{name(s)} > output" for s in trace.output}


def recorded(trace: Trace) -> list[str]:
    """What is recorded by default: activations, and joins that do not go straight into one."""
    inner = [node.path for node in trace.nodes if node.activation]
    return inner + [join.path for join in trace.joins if not join.activated]


def contracted(trace: Trace, layers: list[str] | None = None) -> set[str]:
    """The same of recorded layers; `<add>` is a junction of that kind."""
    graph = contract(trace, recorded(trace) if layers is None else layers)
    assert graph.edges is not None
    assert graph.nodes[-1] == "output"
    assert all(a < b for a, b in graph.edges)
    names = [
        path if kind is None else f"{path}<{kind}>"
        for path, kind in zip(graph.nodes, graph.junctions, strict=True)
    ]
    assert len(set(names)) == len(names)
    return {f"{names[a]} > {names[b]}" for a, b in graph.edges}


def written(text: str) -> set[str]:
    """Chains such as `a > b > c`, one a line or separated by commas."""
    found: set[str] = set()
    for chain in text.replace("\n", ",").split(","):
        stations = [station.strip() for station in chain.split(" > ")]
        found |= {f"{a} > {b}" for a, b in pairwise(stations)}
    return found


def linears(names: str, width: int = 4) -> dict[str, nn.Module]:
    return {name: nn.Linear(width, width) for name in names}


def graph_of(function: Callable[..., Any], *inputs: Any, **parts: nn.Module) -> set[str]:
    return edges(traced(Forward(function, **parts), *(inputs or (VECTORS,))))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "resnet": (ResNet, (IMAGES,)),
    "functional": (lambda: ResNet(FunctionalBlock, depth=2), (IMAGES,)),
    "vit": (ViT, (IMAGES,)),
    "vit-torch": (lambda: ViT(own=False), (IMAGES,)),
    "lstm": (LSTMClassifier, (TOKENS,)),
    "dense": (DenseNet, (IMAGES,)),
    "unet": (UNet, (IMAGES,)),
    "gated": (Gated, (IMAGES,)),
    "encoder": (Encoder, (SEQUENCES,)),
    "encoder-pre-norm": (lambda: Encoder(norm_first=True), (SEQUENCES, PADDING)),
    "left": (Branching, (VECTORS.abs(),)),
    "right": (Branching, (-VECTORS.abs(),)),
}
each_model = pytest.mark.parametrize("name", MODELS)


def built(name: str) -> tuple[nn.Module, tuple[Any, ...]]:
    make, args = MODELS[name]
    torch.manual_seed(0)
    return make().eval(), args


def feeds(pairs: Iterable[tuple[Any, Any]], names: Mapping[Any, str]) -> set[tuple[str, str]]:
    """Pairs of named nodes with a way from one to the other that passes no third."""
    after: dict[Any, list[Any]] = {}
    for a, b in pairs:
        after.setdefault(a, []).append(b)
    found: set[tuple[str, str]] = set()
    for start, name in names.items():
        waiting, seen = list(after.get(start, [])), set[Any]()
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in names:
                found.add((name, names[node]))
            else:
                waiting += after.get(node, [])
    return found
