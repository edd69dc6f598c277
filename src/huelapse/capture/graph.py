"""The layer graph: which place feeds which, found by one forward, and its reduction to layers."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from huelapse.capture.dataflow import Dataflow
from huelapse.capture.layers import OUTPUT
from huelapse.capture.nodes import Node, Nodes
from huelapse.capture.sources import INPUT
from huelapse.capture.watch import Place
from huelapse.schema import Graph


@dataclass(frozen=True, slots=True)
class Join:
    """A residual join: two tensors of one shape that come from the input on different ways, added.

    One that is the model's output, or only a part of a longer sum, is none.
    """

    node: int
    place: Place
    """Module it happens in; `call` counts the additions there, as `nodes.is_addition`."""
    path: str
    """In the layer table: `block.add`, or `block.add#1` where several tensors are added there."""
    shape: tuple[int, ...]
    giver: Place | None
    """The innermost module whose forward returned exactly its tensor: a forward hook sees it."""
    consumer: Place | None
    """The leaf module that was given exactly its tensor first: a forward pre-hook sees it …"""
    position: int
    """… as this one of the positional arguments."""
    activated: bool
    """Whether it goes straight and only into an activation, whose output stands for it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that one forward went through, in order."""

    nodes: tuple[Node, ...]
    output: tuple[int, ...]
    """Indices of the nodes that the model's output comes from; or INPUT."""
    joins: tuple[Join, ...]
    unknown: str | None = None
    """Why the edges are unknown; None where they are known."""


def trace_graph(model: nn.Module, forward: Callable[[], Any]) -> Trace:
    """Which place of the model feeds which, in one forward.

    Random generators, buffers and modes are the caller's to put back. A forward that raises is no
    error: the nodes it reached are given, in order, with their edges unknown.

    Args:
        model: whose forward.
        forward: calls the model, or its `forward`, on a batch; better not one of a single sample.
    """
    nodes = Nodes()
    unknown: str | None = None
    try:
        with Dataflow(model, nodes) as flow, torch.no_grad():
            flow.finish(forward())
            unknown = flow.lost
    except Exception as error:
        unknown = f"{type(error).__name__}: {error}"
    nodes.name()
    if unknown is not None:
        reached = [replace(node, before=()) for node in nodes.every if not node.junction]
        return Trace(tuple(reached), (), (), unknown)
    joins = [
        Join(
            node=one.node,
            place=nodes.every[one.node].place,
            path=nodes.every[one.node].path,
            shape=one.shape,
            giver=one.giver,
            consumer=one.consumer,
            position=one.position,
            activated=activated,
        )
        for one, activated in nodes.joins()
    ]
    return Trace(tuple(nodes.every), nodes.output, tuple(joins))


def contract(trace: Trace, recorded: Sequence[str]) -> Graph:
    """The graph of recorded layers, and of the junctions that are needed between them.

    What is not recorded is passed through. Where it merges two or more of what stays, it stays as
    a junction, so that edges grow with depth and not with its square; unless it goes straight and
    only into a recorded activation, or the output, which then has several edges itself.

    Args:
        trace: of the same model.
        recorded: paths of the layer table, in any order; `output` is added if it is not there.

    Returns:
        The nodes in an order in which every edge goes forward, the output last. The edges are
        unknown where the trace's are, or a path is not in it: then in the order of `recorded`.
    """
    layers = [path for path in recorded if path != OUTPUT]
    known = {node.path for node in trace.nodes}
    if trace.unknown is not None or not known.issuperset(layers):
        return Graph(nodes=(*layers, OUTPUT), junctions=(None,) * (len(layers) + 1), edges=None)
    wanted = set(layers)
    end = len(trace.nodes)
    sources = [*(node.before for node in trace.nodes), trace.output]
    before: dict[int, set[int]] = {}
    passed: list[set[int]] = []
    for i, direct in enumerate(sources):
        found: set[int] = set()
        for source in direct:
            if source != INPUT:
                found |= {source} if source in before else passed[source]
        passed.append(found)
        if i == end or trace.nodes[i].path in wanted or len(found) > 1:
            before[i] = found
    after: defaultdict[int, set[int]] = defaultdict(set)
    for i in sorted(before, reverse=True):
        if i != end and trace.nodes[i].path not in wanted:
            if not after[i]:  # leads nowhere
                del before[i]
                continue
            follower = next(iter(after[i]))
            stands = follower == end or trace.nodes[follower].activation
            if len(after[i]) == 1 and stands and sources[follower] == (i,):
                before[follower] = before.pop(i)
                i = follower
        for source in before[i]:
            after[source].add(i)
    order = {i: index for index, i in enumerate(sorted(before))}
    nodes = [OUTPUT if i == end else trace.nodes[i].path for i in order]
    return Graph(
        nodes=tuple(nodes),
        junctions=tuple(
            None if path in wanted or path == OUTPUT else trace.nodes[i].kind
            for i, path in zip(order, nodes, strict=True)
        ),
        edges=tuple(
            sorted((order[source], order[i]) for i, found in before.items() for source in found)
        ),
    )
