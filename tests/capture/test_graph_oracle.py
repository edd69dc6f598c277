"""An independent tracer, torchview, finds the same edges between leaf modules."""

from collections import Counter

import pytest
from torchview import draw_graph
from torchview.computation_node import ModuleNode
from written import MODELS, built, contracted, feeds, traced

FOLLOWED = [name for name in MODELS if not name.startswith(("encoder", "vit-torch"))]
"""Not those with nn.MultiheadAttention, whose out_proj torchview does not see."""


@pytest.mark.parametrize("name", FOLLOWED)
def test_an_independent_tracer_finds_the_same_edges_between_modules(name: str) -> None:
    model, args = built(name)
    trace = traced(model, *args)
    modules = [node for node in trace.nodes if node.place.function is None]
    kinds: Counter[str] = Counter()
    numbered: dict[str, str] = {}
    for node in modules:  # torchview knows classes, in the order of their calls, but not paths
        numbered[node.path] = f"{node.kind} {kinds[node.kind]}"
        kinds[node.kind] += 1
    # junctions of the contracted graph are passed through, and so is the output
    pairs = {tuple(edge.split(" > ")) for edge in contracted(trace, list(numbered))}
    ours = feeds(pairs, numbered)

    drawn = draw_graph(model, input_data=args, depth=20, hide_module_functions=True)
    kinds.clear()
    theirs: dict[int, str] = {}
    found = {id(node): node for edge in drawn.edge_list for node in edge}
    for key, node in found.items():
        if isinstance(node, ModuleNode):
            theirs[key] = f"{node.name} {kinds[node.name]}"
            kinds[node.name] += 1
    assert ours == feeds({(id(a), id(b)) for a, b in drawn.edge_list}, theirs)
    assert len(ours) >= 3
