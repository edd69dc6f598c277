"""What a run's root may say. It may come from anybody: nothing is opened before all of it fits.

The arrays it names must be those that docs/format.md gives its splits, laid out as this library would
lay them out. That alone bounds what reading them takes: tiles are small, and there are no more of them
than classes, units and samples explain. What it says beside that is left to newer readers.
"""

import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from huelapse.errors import FormatError, GroupingError, NotARunError
from huelapse.grouping import check_grouping_name
from huelapse.schema import METRIC_NAME, SPLIT_NAME, TRUE, Layer, Split, layer_name
from huelapse.store import layout
from huelapse.superclasses import ATTRIBUTE

MOST_SNAPSHOTS = 10**7
MOST_UNITS = 10**7
MOST_CELLS = 2**36
"""The most elements that one snapshot of an array may have: some thousand times a large one's."""
MOST_DIMENSIONS = 8
MOST_SUPERCLASSES = 10**6
"""Classes and superclasses of a run that belong to something."""

CONTAINERS, VALUES = 2**20, 2**22
"""Brackets and commas of a root, which bound the memory that its values take."""

PATH = re.compile(r"(?:(?:^|/)(?!\.\.?(?:/|$))[A-Za-z0-9_.\-#()%]{1,255}){1,8}")

KINDS = ("probe", "evaluation", "window")
STATES = ("recording", "complete", "interrupted")
RESPONSES = (["mean"], ["peak"], ["mean", "peak"])
DTYPES = frozenset(
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)
) - {"float8"}

OPTIONAL: dict[str, tuple[tuple[str, ...], str, bool]] = {
    "responses": (("sample", "unit"), "float16", False),
    "response_ref": (("unit",), "float32", False),
    "response_scale": (("unit",), "float32", False),
    "probabilities": (("sample", "output"), "float32", False),
    "predictions": (("sample",), "int32", False),
    "labels": (("sample",), "int64", True),
    "thumbnails": (("sample", "thumbnail_y", "thumbnail_x", "rgb"), "uint8", True),
}
"""Dimensions, dtype and whether it is static, of optional arrays that belong to no layer."""
OF_LAYERS = {f"{TRUE}/maps": "class", "watched": "watched"}
"""Folder of arrays that belong to a layer → their first dimension."""


def parse(content: bytes) -> Any:
    """JSON in bounded memory: as it is written by one program for all, and not more than a root has.

    Raises:
        ValueError: no JSON, a name twice in one object, NaN or infinity, or far too many values.
        RecursionError: it is nested too deeply.
    """
    if content.count(b"{") + content.count(b"[") > CONTAINERS or content.count(b",") > VALUES:
        raise ValueError("it holds more values than a run's root can have")
    return json.loads(
        content.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_object
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def check_ours(root: Any, file: str) -> None:
    """
    Raises:
        NotARunError: it is a Zarr group or array of another program.
    """
    if not isinstance(root, dict) or "zarr_format" not in root:
        return
    fields = cast(layout.JSON, root)
    attributes: Any = fields.get("attributes", {})
    if isinstance(attributes, dict) and not {"huelapse_format", "hash"} & attributes.keys():
        raise NotARunError(
            f"{file} belongs to a Zarr store of another program: it has no attribute "
            f"huelapse_format. Expected the directory of a run, as given to Recorder"
        )


def check_root(root: Any) -> frozenset[str]:
    """Whether a root is one that this version could have written, or a newer minor one.

    Attributes and arrays that the format does not know are passed over.

    Args:
        root: the parsed `zarr.json`, whose hash has been compared.

    Returns:
        Paths of the arrays that may be opened.

    Raises:
        FormatError: it is not; says what was found and what was expected.
    """
    whole = _object_at(root, "root")
    _expect(whole.get("zarr_format") == 3, "zarr_format", whole.get("zarr_format"), "3")
    attributes = _object_at(whole.get("attributes"), "attributes")
    consolidated = _object_at(whole.get("consolidated_metadata"), "consolidated_metadata")
    members = _object_at(consolidated.get("metadata"), "consolidated metadata")
    version = attributes.get("huelapse_format")
    _expect(type(version) is int and version >= 1, "huelapse_format", version, "a number from 1 on")
    for name in ("name", "id"):
        _expect(type(attributes.get(name, "")) is str, name, attributes.get(name), "text")
    _expect("name" in attributes, "name", None, "text")
    _expect(attributes.get("state") in STATES, "state", attributes.get("state"), _or(STATES))
    responses = attributes.get("responses", ["mean"])
    _expect(responses in RESPONSES, "responses", responses, "mean, peak, or both")
    layers = _check_layers(attributes.get("layers"))
    _check_graph(attributes.get("graph"))
    _check_superclasses(attributes.get(ATTRIBUTE))
    _check_history(attributes)
    for path, member in members.items():
        _check_member(path, member)
    known: set[str] = set()
    names: set[str] = set()
    for i, fields in enumerate(_list_at(attributes.get("splits"), "splits")):
        split = _check_split(fields, f"splits[{i}]", layers)
        _expect(split.name not in names, f"splits[{i}].name", split.name, "another name")
        names.add(split.name)
        known |= _check_arrays(split, layers, responses, members)
    return frozenset(known)


# --- attributes ---------------------------------------------------------------------------------


def _check_layers(given: Any) -> dict[str, Layer]:
    """Path → layer. Their units must follow one another without gaps."""
    layers: dict[str, Layer] = {}
    offset = 0
    for i, one in enumerate(_list_at(given, "layers")):
        at = f"layers[{i}]"
        fields = _object_at(one, at)
        for name in ("path", "kind"):
            _expect(type(fields.get(name)) is str, f"{at}.{name}", fields.get(name), "text")
        _expect(fields["path"] not in layers, f"{at}.path", fields["path"], "each layer once")
        for name in ("signed", "output"):
            told = fields.get(name, False)
            _expect(type(told) is bool, f"{at}.{name}", told, "true or false")
        _expect("signed" in fields, f"{at}.signed", None, "true or false")
        shape = _sizes(fields.get("shape"), f"{at}.shape")
        for name in ("unit_axis", "sample_axis"):
            axis = fields.get(name, 0)
            most = max(1, len(shape))  # a single number of each sample is its one unit
            fits = type(axis) is int and -len(shape) - 1 <= axis <= most
            _expect(fits, f"{at}.{name}", axis, "one of its axes")
        _expect("unit_axis" in fields, f"{at}.unit_axis", None, "one of its axes")
        units = _number(fields.get("units"), f"{at}.units", 1, MOST_UNITS)
        found = fields.get("offset")
        _expect(type(found) is int and found == offset, f"{at}.offset", found, str(offset))
        offset += units
        layers[fields["path"]] = Layer.from_json(fields)
    _number(offset, "number of units", 0, MOST_UNITS)
    return layers


def _check_graph(given: Any) -> None:
    if given is None:
        return
    graph = _object_at(given, "graph")
    nodes = _list_at(graph.get("nodes"), "graph.nodes")
    junctions = _list_at(graph.get("junctions"), "graph.junctions")
    texts = all(type(node) is str for node in nodes)
    _expect(texts, "graph.nodes", nodes, "names")
    texts = all(one is None or type(one) is str for one in junctions)
    fits = texts and len(junctions) == len(nodes)
    _expect(fits, "graph.junctions", junctions, "one word or null for each node")
    edges = graph.get("edges")
    for edge in [] if edges is None else _list_at(edges, "graph.edges"):
        pair = _list_at(edge, "an edge of graph.edges")
        ends = len(pair) == 2 and all(type(n) is int for n in pair)
        _expect(ends and 0 <= pair[0] < pair[1] < len(nodes), "graph.edges", edge, "two nodes")


def _check_superclasses(given: Any) -> None:
    """Whether they make sense is for who shows them: they are passed over where they do not."""
    if given is None:
        return
    told = _object_at(given, ATTRIBUTE)
    _number(len(told), f"number of {ATTRIBUTE}", 0, MOST_SUPERCLASSES)
    for name, parent in told.items():
        _expect(type(parent) is str, f"{ATTRIBUTE}.{name[:40]}", parent, "a name")


def _check_history(attributes: Mapping[str, Any]) -> None:
    """What a run says of how it came about, as far as anybody computes with it."""
    for i, one in enumerate(_list_at(attributes.get("segments", []), "segments")):
        segment = _object_at(one, f"segments[{i}]")
        found = segment.get("index", i)
        _expect(type(found) is int and found == i, f"segments[{i}].index", found, str(i))
        first = segment.get("first_step", 0)
        if first is not None:
            _number(first, f"segments[{i}].first_step", 0, 2**62)
    for i, one in enumerate(_list_at(attributes.get("gaps", []), "gaps")):
        gap = _object_at(one, f"gaps[{i}]")
        _number(gap.get("step"), f"gaps[{i}].step", -1, 2**62)
        _expect(type(gap.get("reason")) is str, f"gaps[{i}].reason", gap.get("reason"), "text")
        if "rank" in gap:
            _number(gap["rank"], f"gaps[{i}].rank", 0, 2**31)
    _number(attributes.get("dropped", 0), "dropped", 0, 2**62)
    ranks = attributes.get("ranks")
    if ranks is not None:
        told = _object_at(ranks, "ranks")
        _number(told.get("expected"), "ranks.expected", 1, 2**31)
        for one in _list_at(told.get("seen", []), "ranks.seen"):
            _number(one, "ranks.seen", 0, 2**31)
    facts = attributes.get("facts")
    if facts is not None:
        parameters = _object_at(facts, "facts").get("parameters", 0)
        _number(parameters, "facts.parameters", 0, 2**62)
        _object_at(facts.get("versions", {}), "facts.versions")
    cost = attributes.get("cost")
    if cost is not None:
        for name, value in _object_at(cost, "cost").items():
            _expect(type(value) in (int, float), f"cost.{name[:40]}", value, "a number")
        _expect(not cost or "probe_share" in cost, "cost", cost, "the share of the probes too")
    unordered = _list_at(attributes.get("unordered", []), "unordered")
    _expect(all(type(n) is str for n in unordered), "unordered", unordered, "names of splits")
    for i, one in enumerate(_list_at(attributes.get("merged", []), "merged")):
        entry = _object_at(one, f"merged[{i}]")
        _expect(type(entry.get("split")) is str, f"merged[{i}].split", entry.get("split"), "text")
        for name in ("first", "last", "parts"):
            _number(entry.get(name), f"merged[{i}].{name}", 0, 2**62)
        if entry.get("expected") is not None:
            _number(entry["expected"], f"merged[{i}].expected", 0, 2**62)
    for name, ranges in _object_at(attributes.get("pruned", {}), "pruned").items():
        for one in _list_at(ranges, f"pruned.{name[:40]}"):
            whole = type(one) is list and len(cast(list[Any], one)) == 2
            fits = whole and all(type(n) is int and 0 <= n <= MOST_SNAPSHOTS for n in one)
            _expect(fits, f"pruned.{name[:40]}", one, "ranges of snapshots")


def _check_split(given: Any, at: str, layers: Mapping[str, Layer]) -> Split:
    fields = _object_at(given, at)
    name = fields.get("name")
    plain = type(name) is str and SPLIT_NAME.fullmatch(name)
    _expect(bool(plain) and name != layout.GROUP_FILE, f"{at}.name", name, "a plain name")
    _expect(fields.get("kind") in KINDS, f"{at}.kind", fields.get("kind"), _or(KINDS))
    multilabel = fields.get("multilabel", False)
    _expect(type(multilabel) is bool, f"{at}.multilabel", multilabel, "true or false")
    facts = _object_at(fields.get("facts"), f"{at}.facts")
    if facts.get("samples") is not None:
        _number(facts["samples"], f"{at}.facts.samples", 0, 2**62)
    sizes = {"unit": sum(layer.units for layer in layers.values())}
    for i, one in enumerate(_list_at(fields.get("groupings"), f"{at}.groupings")):
        grouping = _object_at(one, f"{at}.groupings[{i}]")
        found: Any = grouping.get("name")
        _expect(type(found) is str, f"{at}.groupings[{i}].name", found, "a name")
        try:
            check_grouping_name(found)
        except GroupingError as error:
            raise FormatError(f"its {at}.groupings[{i}].name cannot be: {error}") from error
        classes = _list_at(grouping.get("classes"), f"{at}.groupings[{i}].classes")
        named = len(classes) > 0 and all(type(c) is str for c in classes)
        _expect(named, f"{at}.groupings[{i}].classes", classes, "names of classes")
        if found == TRUE:
            sizes["class"] = len(classes)
    for i, one in enumerate(_list_at(fields.get("extras", []), f"{at}.extras")):
        _check_extra(_object_at(one, f"{at}.extras[{i}]"), f"{at}.extras[{i}]", layers, sizes)
    return Split.from_json(fields)


def _check_extra(
    extra: Mapping[str, Any], at: str, layers: Mapping[str, Layer], sizes: dict[str, int]
) -> None:
    """An optional array; also one that is not known must be such that it can be read safely.

    Args:
        sizes: of the dimensions so far, to which the array's are added.
    """
    path = extra.get("path")
    _check_path(path, f"{at}.path")
    shape = _sizes(extra.get("shape"), f"{at}.shape")
    dims = extra.get("dims")
    named = type(dims) is list and len(dims) == len(shape) and all(type(d) is str for d in dims)
    _expect(named and len(shape) > 0, f"{at}.dims", dims, "a name for each of its dimensions")
    dims = cast(list[str], dims)
    dtype, static = extra.get("dtype"), extra.get("static", False)
    _expect(type(dtype) is str and dtype in DTYPES, f"{at}.dtype", dtype, "a type of numbers")
    _expect(type(static) is bool, f"{at}.static", static, "true or false")
    _number(extra.get("fill", 0), f"{at}.fill", -(2**63), 2**64 - 1)
    attributes = _object_at(extra.get("attributes", {}), f"{at}.attributes")
    folder, _, name = str(path).rpartition("/")
    for dim, size in zip(dims, shape, strict=True):
        # maps of classes and of samples are in groups of their own, and not of one size
        own = f"{folder}/{dim}" if folder in OF_LAYERS and dim[:2] in ("y@", "x@") else dim
        length = sizes.setdefault(own, size)
        _expect(length == size, f"{at}.shape", shape, f"{length} along {dim[:40]!r}")
    known = OPTIONAL.get(str(path))
    if known is not None:
        _expect((tuple(dims), dtype, static) == known, at, extra, f"{known[0]} of {known[1]}")
    elif path == "first_weights":
        fits = dims[:2] == ["weight_out", "weight_in"] and (dtype, static) == ("float32", False)
        _expect(fits, at, extra, "weights of out and in, of float32")
    if folder not in OF_LAYERS:
        return
    layer = layers.get(str(attributes.get("layer")))
    if layer is None or layer_name(layer.path) != name:
        raise FormatError(f"its {at} belongs to no layer: {_said(attributes.get('layer'))}")
    expected = [OF_LAYERS[folder], f"unit@{name}", f"y@{name}", f"x@{name}"]
    fits = dims == expected and shape[1] == layer.units and (dtype, static) == ("float32", False)
    _expect(fits, at, extra, f"{expected} of float32 with {layer.units} units")
    if folder == "watched":
        samples = _list_at(attributes.get("samples"), f"{at}.attributes.samples")
        whole = len(samples) == shape[0] and all(type(n) is int and 0 <= n < 2**62 for n in samples)
        _expect(whole, f"{at}.attributes.samples", samples, "an index for each watched sample")


# --- arrays -------------------------------------------------------------------------------------


def _check_arrays(
    split: Split,
    layers: Mapping[str, Layer],
    responses: Sequence[str],
    members: Mapping[str, Any],
) -> frozenset[str]:
    """Paths of the split's arrays, which are laid out just as they would be written."""
    prefix = f"{split.name}/"
    of_users = f"{prefix}metric."
    metrics = [path.removeprefix(of_users) for path in members if path.startswith(of_users)]
    specs = [
        *layout.coordinates(split.name, [m for m in metrics if METRIC_NAME.fullmatch(m)]),
        *layout.statistics(split, sum(layer.units for layer in layers.values()), responses),
        *(layout.optional(split.name, extra) for extra in split.extras),
    ]
    step = members.get(f"{prefix}step")
    shape = _sizes(step.get("shape") if step else None, f"array {prefix}step's shape", least=0)
    _expect(len(shape) == 1, f"array {prefix}step's shape", shape, "one number")
    snapshots = _number(shape[0], f"number of snapshots of {prefix}step", 0, MOST_SNAPSHOTS)
    known: set[str] = set()
    for spec in specs:
        if spec.path in known:
            raise FormatError(f"its array {spec.path} is declared twice")
        known.add(spec.path)
        if (cells := math.prod(spec.shape)) > MOST_CELLS:
            _number(cells, f"array {spec.path}'s elements in a snapshot", 0, MOST_CELLS)
        found = members.get(spec.path)
        if found is None:
            raise FormatError(f"its array {spec.path} is missing from the consolidated metadata")
        if found != (expected := spec.metadata(snapshots)):
            _tell_difference(f"array {spec.path}", found, expected)
        # what compares equal may still be true or 3.0
        _sizes(found["shape"], f"array {spec.path}'s shape", least=0)
    return frozenset(known)


def _tell_difference(at: str, found: Mapping[str, Any], expected: layout.JSON) -> None:
    for name in expected:
        if found.get(name) != expected[name]:
            _expect(False, f"{at}'s {name}", found.get(name), _said(expected[name]))
    more = [name for name in found if name not in expected]
    _expect(False, at, more, "only what the format gives it")


def _check_member(path: str, member: Any) -> None:
    _check_path(path, "path of an array or group")
    fields = _object_at(member, f"metadata of {path[:80]}")
    kind = fields.get("node_type")
    _expect(kind in ("array", "group"), f"node_type of {path[:80]}", kind, "array or group")
    _object_at(fields.get("attributes"), f"attributes of {path[:80]}")


def _check_path(path: Any, at: str) -> None:
    plain = type(path) is str and PATH.fullmatch(path)
    _expect(bool(plain), at, path, "plain names with '/' between")


# --- values -------------------------------------------------------------------------------------


def _expect(fits: bool, at: str, found: Any, expected: str) -> None:
    if not fits:
        raise FormatError(f"its {at} is {_said(found)}, expected {expected}")


def _said(value: Any) -> str:
    """A value, shortened: it may be as large as the root."""
    text = reprlib.repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _object_at(value: Any, at: str) -> layout.JSON:
    _expect(type(value) is dict, at, value, "an object")
    return cast(layout.JSON, value)


def _list_at(value: Any, at: str) -> list[Any]:
    _expect(type(value) is list, at, value, "a list")
    return cast(list[Any], value)


def _number(value: Any, at: str, least: int, most: int) -> int:
    fits = type(value) is int and least <= value <= most
    _expect(fits, at, value, f"a number from {least} to {most:,}")
    return cast(int, value)


def _sizes(value: Any, at: str, least: int = 1) -> list[int]:
    sizes = _list_at(value, at)
    few = len(sizes) <= MOST_DIMENSIONS
    if few and all(type(n) is int and least <= n <= 2**40 for n in sizes):
        return sizes
    _expect(few, at, sizes, f"at most {MOST_DIMENSIONS} dimensions")
    return [_number(n, at, least, 2**40) for n in sizes]
