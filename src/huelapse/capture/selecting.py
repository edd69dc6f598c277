"""From the places a forward reached to the layer table of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from numbers import Integral
from typing import Any, Literal, get_args

from huelapse.capture import responses
from huelapse.capture.graph import Trace, contract
from huelapse.capture.layers import OUTPUT, Found, Seen, Tracer
from huelapse.capture.responses import OutputKind
from huelapse.capture.watch import JOIN
from huelapse.errors import LayerError, OutputError, notice
from huelapse.schema import Layer

MANY = 2**31
"""Calls of a module that is watched for a join alone: however many there are."""

LayerChoice = None | Literal["all"] | Sequence[str] | Callable[[Layer], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What the user wants recorded.

    `layers` is None for what follows a nonlinearity and for residual joins; "all" for every leaf
    module that gives a tensor; patterns of paths as in `fnmatch`, such as "stage*.relu"; or a function
    that is asked of every `Layer` that could be. `unit_axis` maps patterns of paths to the axis of the
    layer's output that holds the units, where it is not the one inferred.
    """

    layers: LayerChoice = None
    unit_axis: Mapping[str, int] = field(default_factory=dict[str, int])
    output: OutputKind | None = None

    def __post_init__(self) -> None:
        """
        Raises:
            LayerError, OutputError: what is wanted is of a kind that cannot be.
        """
        output: Any = self.output
        if output not in (None, *get_args(OutputKind)):
            raise OutputError(
                f"output is {output!r}, expected what the model returns: "
                f"{', '.join(repr(kind) for kind in get_args(OutputKind))}, or None to be told from "
                f"a first forward"
            )
        layers: Any = self.layers
        patterns = isinstance(layers, list | tuple | set | frozenset | str)
        known = all(isinstance(p, str) for p in layers) if patterns else layers is None
        if not known and not callable(layers):
            raise LayerError(
                f'layers is {layers!r}, expected None, "all", patterns of layer paths such as '
                f'["stage*.relu"], or a function of a Layer'
            )
        axes: Any = self.unit_axis
        if not isinstance(axes, Mapping) or not all(
            isinstance(path, str) and isinstance(axis, Integral) for path, axis in axes.items()
        ):
            raise LayerError(
                f"unit_axis is {axes!r}, expected patterns of layer paths with the axis that holds "
                f'the units of each, such as {{"stage*.relu": 1}}'
            )


def select(tracer: Tracer, trace: Trace, selection: Selection, classes: int, output: Any) -> Found:
    """The layer table.

    Args:
        tracer: what one forward reached.
        trace: how one forward's tensors went from place to place.
        selection: what is wanted of it.
        classes: how many the output must have.
        output: what the forward returned.

    Raises:
        LayerError: a pattern matches nothing that ran, a function chose nothing, or no axis is there.
        OutputError: the output is not [sample, class].
    """
    result = responses.check_output(output, classes)
    samples = result.shape[0] if result.ndim else 1
    tracer.name()
    # a leaf that gives the model's output stands in the table as the output already
    given = responses.logits_of(output)
    ran = [s for s in tracer.seen if s.given is None or s.given() is not given]
    joins = _joins(trace, ran, tracer.left_alone)
    ran = _in_order([*ran, *joins], trace)
    fits = [s for s in ran if s.shape and _place_samples(s, samples)]
    layers = [_layer(s, selection.unit_axis) for s in fits]
    chosen = _choose(tracer, selection.layers, fits, layers)
    if selection.layers is None:
        _mention_left_out([s for s in ran if s.shape and s not in fits], samples)
    _check_axes(selection.unit_axis, [seen.path for seen, _ in chosen])
    table: list[Layer] = []
    offset = 0
    for _, layer in chosen:
        table.append(replace(layer, offset=offset))
        offset += layer.units
    table.append(
        Layer(
            path=OUTPUT,
            kind="probability",
            shape=tuple(result.shape[1:]),
            unit_axis=1,
            units=result.shape[1] if result.ndim > 1 else 1,
            offset=offset,
            signed=False,
            output=True,
        )
    )
    return Found(
        layers=tuple(table),
        places=(*(seen.place for seen, _ in chosen), None),
        parts=(*(seen.part for seen, _ in chosen), ()),
        calls={**tracer.calls(), **{seen.place.key: MANY for seen in joins}},
        graph=contract(trace, [layer.path for layer in table]),
        output_kind=selection.output or responses.output_kind(result, _made_by(tracer, given)),
    )


def _joins(trace: Trace, ran: Sequence[Seen], left_alone: tuple[str, ...]) -> list[Seen]:
    """Residual joins as places to record: those whose sum is not an activation's only input."""
    order = {node.path: i for i, node in enumerate(trace.nodes)}
    joins: list[Seen] = []
    for join in trace.joins:
        if join.activated or f"{join.place.path}.".startswith(left_alone):
            continue
        if join.giver is not None:
            place = join.giver
        elif join.consumer is not None:
            place = replace(join.consumer, given=join.position)
        else:
            place = join.place
        alike = [s for s in ran if s.shape and len(s.shape) == len(join.shape)]
        before = [s for s in alike if order.get(s.path, -1) < join.node]
        near = (before[-1:] or alike[:1] or [None])[0]
        after = near.after if near is not None else None
        joins.append(Seen(place, None, path=join.path, shape=join.shape, after=after, joins=JOIN))
    return joins


def _in_order(seen: Sequence[Seen], trace: Trace) -> list[Seen]:
    """In the order in which the forward reached them."""
    order = {node.path: i for i, node in enumerate(trace.nodes)}
    placed: list[tuple[int, Seen]] = []
    at = -1
    for one in seen:
        at = order.get(one.path, at)
        placed.append((at, one))
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def _place_samples(seen: Seen, samples: int) -> bool:
    """Finds the axis of the samples: the first, or in [token, sample, unit] the second."""
    shape = seen.shape or ()
    if shape and shape[0] == samples:
        return True
    if len(shape) == 3 and shape[1] == samples:
        seen.sample_axis = 1
        return True
    return False


def _layer(seen: Seen, axes: Mapping[str, int]) -> Layer:
    shape = list(seen.shape or ())
    if seen.sample_axis:
        shape[0], shape[1] = shape[1], shape[0]
    axis = responses.unit_axis(len(shape), seen.after)
    for pattern, own in axes.items():
        if fnmatchcase(seen.path, pattern):
            axis = own % len(shape) if -len(shape) <= own < len(shape) else len(shape)
            if not 0 < axis < len(shape):
                raise LayerError(
                    f"unit_axis says axis {own} for {seen.path!r}, whose output is "
                    f"[sample, {', '.join(map(str, shape[1:]))}]; expected 1 … {len(shape) - 1}"
                )
    return Layer(
        path=seen.path,
        kind=seen.kind,
        shape=tuple(shape[1:]),
        unit_axis=axis,
        units=shape[axis] if len(shape) > 1 else 1,
        offset=0,
        signed=seen.signed,
        sample_axis=seen.sample_axis,
    )


def _check_axes(axes: Mapping[str, int], paths: Sequence[str]) -> None:
    for pattern in axes:
        if not any(fnmatchcase(path, pattern) for path in paths):
            raise LayerError(
                f"unit_axis names {pattern!r}, which matches no recorded layer; recorded are "
                f"{', '.join(paths) or 'none'}"
            )


def _made_by(tracer: Tracer, output: Any) -> str | None:
    """Name of the activation that gave the output itself, if one did."""
    for seen in reversed(tracer.seen):
        if seen.given is not None and seen.given() is output:
            return seen.place.function or type(seen.module).__name__
    return None


def _mention_left_out(others: list[Seen], samples: int) -> None:
    left_out = [f"{s.path} {list(s.shape or ())}" for s in others if s.is_activation]
    if left_out:
        notice(
            f"not recorded, since their first axis is not the batch of {samples} samples: "
            f"{', '.join(left_out)}; units are read from outputs [sample, …]"
        )


Chosen = list[tuple[Seen, Layer]]


def _choose(tracer: Tracer, choice: LayerChoice, fits: list[Seen], layers: list[Layer]) -> Chosen:
    both = list(zip(fits, layers, strict=True))
    leaves = [(s, layer) for s, layer in both if s.module is not None]
    ran = ", ".join(s.path for s in fits) or "none"
    if choice == "all":
        return leaves
    if callable(choice):
        chosen = [(s, layer) for s, layer in both if choice(layer)]
        if not chosen:
            raise LayerError(f"layers=… chose none of the layers that ran: {ran}")
        return chosen
    if choice is not None:
        patterns = [choice] if isinstance(choice, str) else list(choice)
        for pattern in patterns:
            if not any(fnmatchcase(s.path, pattern) for s in fits):
                raise LayerError(f"no layer matches {pattern!r}; layers that ran: {ran}")
        return [(s, layer) for s, layer in both if any(fnmatchcase(s.path, p) for p in patterns)]
    activations = [(s, layer) for s, layer in both if s.is_activation or s.joins]
    if not any(s.is_activation for s, _ in activations) and leaves:
        notice(
            f"no activation (nn.ReLU, F.gelu …) ran in {type(tracer.model).__name__}, so the "
            f"outputs of all {len(leaves)} leaf modules are recorded; "
            f"choose others with Recorder(layers=[…])"
        )
        return leaves
    return activations
