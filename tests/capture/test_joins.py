"""Which additions are residual joins, and where their tensors can be seen."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from graph_models import Forward
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from written import VECTORS, built, each_model, linears, traced

from huelapse.capture.nodes import is_addition
from huelapse.capture.watch import Place


def joins(function: Callable[..., Any], **parts: nn.Module) -> list[tuple[str, bool]]:
    trace = traced(Forward(function, **parts), VECTORS)
    return [(join.path, join.activated) for join in trace.joins]


@pytest.mark.parametrize(
    "add",
    [
        lambda a, b: a + b,
        lambda a, b: a.add_(b),
        lambda a, b: a.__iadd__(b),
        lambda a, b: torch.add(a, b, alpha=2),
        lambda a, b: torch.add(input=a, other=b),
        lambda a, b: a.add(other=b),
        lambda a, b: torch.ops.aten.add.Tensor(a, b),
        lambda a, b: sum([a, b]),
    ],
)
def test_every_spelling_of_an_addition_joins(add: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert joins(lambda m, x: m.c(add(m.a(x), m.b(x))), **linears("abc")) == [("add", False)]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.c(m.a(x) + m.b.bias),
        lambda m, x: m.c(m.a(x) + m.b.bias.expand(3, 4)),
        lambda m, x: m.c(m.a(x) + torch.randn(3, 4)),
        lambda m, x: m.c(m.a(x) + m.b(torch.ones(3, 4))),
        lambda m, x: m.c(m.a(x) + m.b(x).mean(0)),
        lambda m, x: m.c((lambda h: h + h.softmax(1))(m.a(x))),
        lambda m, x: m.c(x + x.exp()),
        lambda m, x: m.c(m.a(x) - m.b(x)),
        lambda m, x: m.c(torch.maximum(m.a(x), m.b(x))),
        lambda m, x: m.a(x) + m.b(x),
        lambda m, x: m.c(
            (lambda h, p: h * p.cos() + h.roll(1) * p.sin())(m.a(x), m.b(torch.ones(4)))
        ),
    ],
    ids=[
        "a weight",
        "a weight, expanded",
        "noise",
        "a module of a constant",
        "broadcast",
        "one node",
        "only the input",
        "a difference",
        "a maximum",
        "the output itself",
        "rotary positions",
    ],
)
def test_what_is_no_join(function: Callable[..., Any]) -> None:
    assert joins(function, **linears("abc")) == []


def test_the_input_joins_what_was_made_from_it() -> None:
    assert joins(lambda m, x: m.b(x + m.a(x)), **linears("ab")) == [("add", False)]


def test_a_long_sum_is_one_join() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.d(m.a(x) + m.b(x) + m.c(x))

    assert joins(forward, **linears("abcd")) == [("add#1", False)]


def test_only_a_join_that_goes_straight_and_only_into_an_activation_is_activated() -> None:
    parts = linears("abc")

    def several(m: Any, x: Tensor) -> Tensor:
        s = m.a(x) + m.b(x)
        return m.c(F.relu(s) * s)

    def scaled(m: Any, x: Tensor) -> Tensor:
        return m.c(F.relu(0.5 * (m.a(x) + m.b(x))))

    def scaled_in_place(m: Any, x: Tensor) -> Tensor:
        s = m.a(x) + m.b(x)
        s.mul_(2)
        return m.c(F.relu(s))

    def scaled_elsewhere(m: Any, x: Tensor) -> Tensor:
        s = m.a(x) + m.b(x)
        s.view(-1).mul_(2)
        return m.c(F.relu(s))

    def in_place(m: Any, x: Tensor) -> Tensor:
        s = m.a(x)
        s += m.b(x)
        F.relu_(s)
        return m.c(s)

    for function in (several, scaled, scaled_in_place, scaled_elsewhere):
        assert joins(function, **parts) == [("add", False)]
    assert joins(in_place, **parts) == [("add", True)]


def test_the_first_of_several_modules_that_are_given_a_join_is_its_consumer() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        s = m.a(x) + m.b(x)
        return m.plus(m.c(2 * s), m.pair(m.d(x), s) + m.c(s))

    parts = {"plus": Add(), "pair": nn.Bilinear(4, 4, 4), **linears("abcd")}
    [join] = [j for j in traced(Forward(forward, **parts), VECTORS).joins if j.path == "add#0"]
    assert (join.consumer, join.position) == (Place("pair", 0), 1)


def test_a_module_that_gives_back_what_it_was_given_does_not_give_the_join() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.c(m.drop(m.a(x) + m.b(x)))

    [join] = traced(Forward(forward, drop=nn.Dropout(), **linears("abc")), VECTORS).joins
    assert (join.giver, join.consumer) == (None, Place("drop", 0))


class Add(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


def test_a_module_that_adds_gives_its_join() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.c(F.relu(m.plus(m.a(x), m.b(x))))

    trace = traced(Forward(forward, plus=Add(), **linears("abc")), VECTORS)
    [join] = trace.joins
    assert (join.path, join.giver, join.activated) == ("plus.add", Place("plus", 0), True)


class Totals(TorchFunctionMode):
    """What every addition gave, by the place it happened in."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inside = [""]
        self.calls: Counter[str] = Counter()
        self.given: dict[Place, Tensor] = {}
        for path, module in list(model.named_modules())[1:]:
            module.register_forward_pre_hook(lambda *_, path=path: self.inside.append(path))
            module.register_forward_hook(lambda *_: self.inside.pop() and None)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        adds = is_addition(func, args, kwargs or {})
        output = func(*args, **(kwargs or {}))
        if adds:
            path = self.inside[-1]
            self.given[Place(path, self.calls[path], "add")] = output.clone()
            self.calls[path] += 1
        return output


@each_model
def test_a_joins_tensor_is_seen_at_its_call_its_giver_and_its_consumer(name: str) -> None:
    model, args = built(name)
    trace = traced(model, *args)
    seen: list[tuple[Place, str, Tensor]] = []
    modules = dict(model.named_modules())
    calls: Counter[tuple[str, str]] = Counter()

    def watch(place: Place, what: str, index: int, join: Place) -> None:
        def hook(_module: nn.Module, inputs: Any, *output: Any) -> None:
            if calls[str(join), what] == place.call:
                seen.append((join, what, (output or inputs)[index].clone()))
            calls[str(join), what] += 1

        module = modules[place.path]
        if what == "consumer":
            module.register_forward_pre_hook(hook)
        else:
            module.register_forward_hook(hook)

    for join in trace.joins:
        if join.consumer is not None:
            watch(join.consumer, "consumer", join.position, join.place)
        if join.giver is not None:
            watch(join.giver, "giver", 0, join.place)
    expected = sum((j.consumer is not None) + (j.giver is not None) for j in trace.joins)
    with torch.no_grad(), Totals(model) as totals:
        model(*args)
    assert len(seen) == expected
    assert {join.place for join in trace.joins} <= totals.given.keys()
    for place, _, tensor in seen:
        torch.testing.assert_close(tensor, totals.given[place], rtol=0, atol=0)
    for join in trace.joins:
        assert tuple(totals.given[join.place].shape) == join.shape
