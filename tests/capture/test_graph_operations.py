"""Where a tensor comes from, through views, changes in place, parts, inputs of all kinds."""

from typing import Any

import torch
from graph_models import Forward, ResNet
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from written import IMAGES, VECTORS, contracted, edges, graph_of, linears, traced, written

from huelapse.capture.graph import contract, trace_graph


def test_a_change_in_place_reaches_every_view_of_the_memory() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h = m.a(x)
        alias = h.view(-1)
        F.relu_(h)
        return m.b(alias.view(3, 4))

    assert graph_of(forward, **linears("ab")) == written("input > a > relu > b > output")


def test_a_change_of_a_part_leaves_the_other_part_as_it_was() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h = m.a(x)
        left, right = h.chunk(2, 1)
        left.tanh_()
        return m.b(h) + torch.cat([right, right], 1)

    assert graph_of(forward, **linears("ab")) == written(
        "input > a > tanh > setitem > b > add > output, a > setitem, a > add"
    )


def test_values_put_into_zeros_come_from_where_they_came() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h = m.a(x)
        shifted = torch.zeros_like(h)
        shifted[:, :2] = h[:, 2:]
        shifted[:, 2:] = m.b(x)[:, :2]
        copy = m.d(x)
        copy.copy_(shifted)
        return m.c(torch.mul(copy, 2, out=torch.empty(0)))

    assert graph_of(forward, **linears("abcd")) == written(
        "input > a > setitem > c > output, input > b > setitem, input > d"
    )


def test_another_object_for_the_same_memory_has_the_same_source() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.b(nn.Parameter(m.a(x), requires_grad=False))  # made without an operation

    assert graph_of(forward, **linears("ab")) == written("input > a > b > output")


def test_shapes_masks_and_indices_carry_nothing() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h, k = m.a(x), m.b(x)
        order = k.argsort(1)
        y = h.gather(1, order).view_as(k).to(k).masked_fill(k > 0, 0.0)
        y = torch.where(k < 0, y, 2 * y) + torch.ones_like(k) + k.new_zeros(4)
        first, _second = torch.broadcast_tensors(y, k)
        return m.c(first)

    assert graph_of(forward, **linears("abc")) == written("input > a > c > output, input > b")


def test_tokens_carry_on_though_they_are_integers() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.b(m.table(m.a(x).argmax(1)))

    parts = {**linears("ab"), "table": nn.Embedding(4, 4)}
    assert graph_of(forward, **parts) == written("input > a > table > b > output")


class Pair(nn.Module):
    """A leaf module that gives a dict with a list."""

    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"p": F.relu(x), "q": [2 * x, torch.sigmoid(x)]}


def test_parts_of_what_a_leaf_module_gives_are_told_apart() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        parts = m.two(m.a(x))
        return torch.cat([m.b(parts["p"]), m.c(parts["q"][1]) * parts["q"][0]], 1)

    trace = traced(Forward(forward, two=Pair(), **linears("abc")), VECTORS)
    assert edges(trace) == written(
        """
        input > a > two.relu > two[p] > b > cat > output
        a > two.sigmoid > two[q][1] > c > mul > cat
        a > two[q][0] > mul
        """
    )
    assert contracted(trace, ["two[q][0]", "two[q][1]", "c"]) == written(
        "two[q][1] > c > mul<mul>, two[q][0] > mul<mul> > output"
    )


def test_inputs_may_be_dicts_and_tuples_given_by_name() -> None:
    def forward(m: Any, batch: dict[str, Any], pair: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        h = m.a(batch["x"]) * m.b(pair[1])
        return {"logits": m.c(h), "hidden": h}

    model = Forward(forward, **linears("abc"))
    trace = traced(model, {"x": VECTORS}, pair=(VECTORS, VECTORS))
    assert edges(trace) == written("input > a > mul > c > output, input > b > mul")


def test_a_module_that_fails_and_is_replaced_is_left_behind() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h = m.a(x)
        try:
            h = m.b(m.fails(h))
        except ValueError:
            h = F.relu(h)
        return m.c(h)

    def fails(m: Any, x: Tensor) -> Tensor:
        torch.sigmoid(m.inner(x))
        raise ValueError

    part = Forward(fails, inner=nn.Linear(4, 4))
    assert graph_of(forward, fails=part, **linears("abc")) == written(
        "input > a > relu > c > output, a > fails.inner > fails.sigmoid"
    )


def test_the_forward_may_be_called_around_the_hooks() -> None:
    model = ResNet().eval()
    direct = trace_graph(model, lambda: model.forward(IMAGES))
    assert direct.unknown is None
    assert edges(direct) == edges(traced(model, IMAGES))


def test_modules_that_are_parametrized_are_leaves_and_their_weights_no_places() -> None:
    norm = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))

    def forward(m: Any, x: Tensor) -> Tensor:
        return m.b(F.relu(m.a(x)))

    trace = traced(Forward(forward, a=norm, b=spectral), VECTORS)
    assert edges(trace) == written("input > a > relu > b > output")
    assert [node.path for node in trace.nodes] == ["a", "relu", "b"]


def test_a_tensor_out_of_nowhere_makes_the_edges_unknown() -> None:
    class Outside(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return torch.from_numpy(x.detach().numpy() * 2)

    model = Forward(lambda m, x: m.b(Outside.apply(m.a(x))), **linears("ab"))
    trace = trace_graph(model, lambda: model(VECTORS))
    assert "[3, 4]" in (trace.unknown or "")
    assert contract(trace, ["a", "b"]).edges is None

    class Inside(nn.Module):  # what a leaf module gives comes from what it is given
        def forward(self, x: Tensor) -> Tensor:
            return Outside.apply(x)

    assert graph_of(lambda m, x: m.b(m.leaf(m.a(x))), leaf=Inside(), **linears("ab")) == written(
        "input > a > leaf > b > output"
    )
