"""Which resources of a run an export takes along, most needed first, within a budget."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from huelapse.errors import ExportError, FormatError, SelectionError
from huelapse.geometry.outlining import kept_at
from huelapse.palette import Choice
from huelapse.run import Run
from huelapse.schema import TRUE
from huelapse.viewer.closer import PAGE
from huelapse.viewer.geometer import EXPORTED, coarse_to_fine
from huelapse.viewer.leveled import FINEST, MARK
from huelapse.viewer.resources import Resources
from huelapse.viewer.shelf import run_id

BESIDE = 80
"""Bytes that a resource takes beside its content and its name."""

MOST_FILES = 20_000
"""Of pictures of one kind; more take long to make, and nobody looks at them all."""

PROBED = 6
"""Resources of a part that are made first, spread over it, to see how much all of them will take."""
SURELY = 2
"""How many times the room that is left a part must be expected to take to be left out by that alone."""

JSON = dict[str, Any]
"""A manifest, or a split of one."""

Done = Callable[[float, str], None]
"""Told the share of the work that is done, and what is being made."""


def nobody(share: float, what: str) -> None:
    """Is told, and does nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """What goes along together, or not at all."""

    name: str
    """As it is told when it is left out."""
    paths: Callable[[JSON], Sequence[str]]
    """Its resources, by the manifest of what goes along already: none where nobody could reach them."""
    keep: Callable[[JSON], None] = lambda manifest: None
    """Says in the manifest that it is there."""
    weight: Callable[[str], float] | None = None
    """About how much each resource takes, beside the others of the part; None where nobody knows."""
    like: Callable[[str], str] = str
    """A resource of another part that takes about as much as this one."""
    prepare: Callable[[], Iterable[float]] = tuple
    """What makes the resources faster to make, once it is known that there may be room for all."""


@dataclass(slots=True)
class Collected:
    """What an export holds."""

    content: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """By path below the run."""
    manifest: JSON = field(default_factory=dict[str, Any])
    left_out: list[str] = field(default_factory=list[str])
    """Parts that had no room."""
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    """Why resources that would have had room could not be read back, by path."""


@dataclass(slots=True)
class _Making:
    """A part, as far as it is made."""

    packed: dict[str, bytes] = field(default_factory=dict[str, bytes])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    size: int = 0


class Parts:
    """What there is of a run, in the order in which it goes along: pictures, curves and events of the
    first split by its first grouping and the default measure; its other groupings and all other splits;
    all of these by superclasses, where there are any; of every split heat maps, units' histories,
    samples and their pictures, tables; histories by the other groupings and of samples; comparisons of
    splits and groupings; geometry; other measures; maps in cells, first weights, maps of units, of
    layers and of watched samples. Splits without a snapshot are passed over."""

    def __init__(self, run: Run, colors: Choice | None) -> None:
        """
        Raises:
            ExportError: the run has no snapshot.
        """
        self.run = run
        self._id = run_id(run)
        self.resources = Resources(
            run,
            colors=colors,
            other=lambda id_: run if id_ == self._id else None,
            exporting=True,
        )
        whole = self.resources.manifest()
        self.superclasses: dict[tuple[str, str], JSON] = {}
        """Of the groupings of splits, where their classes have some."""
        for split in whole["splits"]:
            for grouping in split["groupings"]:
                if told := grouping.pop("superclasses", None):
                    self.superclasses[split["name"], grouping["name"]] = told
        self.whole: JSON = {**whole, "splits": [s for s in whole["splits"] if s["snapshots"]]}
        """The manifest of everything."""
        if not self.whole["splits"]:
            raise ExportError(f"{run.place} has no snapshot yet: there is nothing to show")
        self.parts: tuple[Part, ...] = tuple(self._all())

    def collect(
        self, room: int | None, pack: Callable[[bytes], bytes], done: Done = nobody
    ) -> Collected:
        """As many of the parts as there is room for, the most needed first.

        A part that is far too large is left out once a few of its resources are made; a resource that
        cannot be read back is left out alone, and named in the manifest.

        Args:
            room: bytes, names included; None for everything.
            pack: how content is stored.
            done: called with the share of the work that is done, and what is being made.

        Raises:
            ExportError: there is no room even for the first part.
        """
        bare = {**self.whole, "splits": [], "measures": self.whole["measures"][:1]}
        found = Collected(manifest=bare)
        left = math.inf if room is None else room
        unreadable: list[str] = []
        for i, part in enumerate(self.parts):

            def told(share: float, part: Part = part, i: int = i) -> None:
                done((i + share) / len(self.parts), part.name)

            told(0.0)
            paths = part.paths(found.manifest)
            if i > 0 and self._expected(part, paths, found) > SURELY * left:
                found.left_out.append(part.name)
                continue
            made = self._make(part, paths, left, pack, told, certain=i == 0)
            if made.size > left and i == 0:
                raise ExportError(
                    f"there is room for {max(left, 0) / 1e6:.2f} MB, and the pictures of the run alone "
                    f"take more than {made.size / 1e6:.2f} MB; raise it with --budget, or thin the run "
                    f"out first (huelapse prune)"
                )
            if made.size > left or not (made.packed or made.unreadable):
                found.left_out.append(part.name)
                continue
            if made.unreadable:
                found.unreadable |= made.unreadable
                unreadable.append(f"{part.name} ({len(made.unreadable):,} of {len(paths):,} files)")
            if not made.packed:
                continue
            found.content |= {path: made.packed[path] for path in paths if path in made.packed}
            left -= made.size
            part.keep(found.manifest)
        found.manifest["left_out"] = found.left_out
        if unreadable:
            found.manifest["unreadable"] = unreadable
        return found

    def _expected(self, part: Part, paths: Sequence[str], found: Collected) -> float:
        """Bytes that a part will take, by what others do that are like it; 0 where nobody knows."""
        like = [found.content.get(part.like(path), b"") for path in paths]
        return float(sum(map(len, like)))

    def _make(
        self,
        part: Part,
        paths: Sequence[str],
        left: float,
        pack: Callable[[bytes], bytes],
        told: Callable[[float], None],
        *,
        certain: bool,
    ) -> _Making:
        """A part, or as much of it as shows that it has no room: its size then is more than `left`.

        Args:
            certain: make it until it has no more room, whatever is expected.
        """
        made = _Making()
        weight = None if certain or len(paths) < 4 * PROBED else part.weight
        first = _spread(paths) if weight else []
        probed = set(first)
        for n, path in enumerate([*first, *(path for path in paths if path not in probed)]):
            if weight and n == len(first):
                share = sum(map(weight, first)) / sum(map(weight, paths))
                if made.size / share > SURELY * left:
                    made.size = math.ceil(made.size / share)
                    break
                for _ in part.prepare():
                    told(n / len(paths))
            try:
                content = self.resources.get(path)[0]
            except FormatError as error:
                why = str(error).replace(self.run.place, self.run.name)
                made.unreadable[path] = why
                continue
            except SelectionError:  # a resource that is too large to be asked for at all
                made.packed.clear()
                break
            made.packed[path] = pack(content)
            made.size += len(made.packed[path]) + len(path) + BESIDE
            if made.size > left:
                break
            told((n + 1) / len(paths))
        return made

    # --- which there are -------------------------------------------------------------------------

    def _all(self) -> Iterator[Part]:
        first, *others = self.whole["splits"]
        yield self._pictures(first)
        yield from (self._grouping(first, grouping) for grouping in first["groupings"][1:])
        for split in others:
            yield self._pictures(split)
            yield from (self._grouping(split, grouping) for grouping in split["groupings"][1:])
        for split in self.whole["splits"]:
            yield from self._levels(split)
        for split in self.whole["splits"]:
            yield self._heat(split)
            yield self._units(split, split["groupings"][0], "units")
            yield from self._samples(split)
        for split in self.whole["splits"]:
            yield self._tables(split)
            yield from (self._units(split, grouping) for grouping in split["groupings"][1:])
            if "samples" in split["resources"]:
                name, number = split["name"], len(self.run.labels(split["name"]))
                paths = [f"{name}/sample/{i}.st" for i in range(number)]
                what = self._of("histories of samples", split)
                yield Part(what, self._within(split, paths), weight=_alike)
        if sum(len(split["groupings"]) for split in self.whole["splits"]) > 1:
            yield Part("comparisons", self._comparisons, _comparable)
        yield from self._geometry()
        yield from (self._measure(measure) for measure in self.whole["measures"][1:])
        for split in self.whole["splits"]:  # last: as large as all the rest
            yield from self._recorded(split)

    def _pictures(self, split: JSON) -> Part:
        """A split by its first grouping, with its curves, events and confusion."""
        name, first = split["name"], split["groupings"][0]
        known = ("confusion", "confusion_at", "alike")
        confusion = [one for one in split["resources"] if one in known]
        paths = ["palette.st", f"{name}/scalars.st", *self._track(name, first["name"], self._usual)]
        if "confusion" in confusion:
            paths.append(f"{name}/confusion.st")
        elif "confusion_at" in confusion:
            paths += [f"{name}/confusion/{t}.st" for t in range(split["snapshots"])]
        if "alike" in confusion:
            paths.append(f"{name}/alike.st")

        def keep(manifest: JSON) -> None:
            own = {**split, "groupings": [dict(first)], "resources": list(confusion)}
            manifest["splits"].append(own)

        return Part(f"split {name}", lambda _: paths, keep)

    def _grouping(self, split: JSON, grouping: JSON) -> Part:
        paths = list(self._track(split["name"], grouping["name"], self._usual))
        return Part(
            self._of(f"grouping {grouping['title'].lower()}", split),
            self._within(split, paths),
            lambda m: _split_of(m, split)["groupings"].append(dict(grouping)),
        )

    def _levels(self, split: JSON) -> Iterator[Part]:
        """Each grouping by superclasses, and by the finest level that holds."""
        for grouping in split["groupings"]:
            told = self.superclasses.get((split["name"], grouping["name"]))
            if told is None:
                continue

            def paths(manifest: JSON, own: JSON = grouping, told: JSON = told) -> list[str]:
                if own["name"] not in [one["name"] for one in _groupings(manifest, split)]:
                    return []
                names = _derived({**own, "superclasses": told})
                return [p for n in names for p in self._track(split["name"], n, self._usual)]

            def keep(manifest: JSON, own: JSON = grouping, told: JSON = told) -> None:
                for one in _groupings(manifest, split):
                    if one["name"] == own["name"]:
                        one["superclasses"] = told

            yield Part(self._of(f"superclasses of {grouping['title'].lower()}", split), paths, keep)

    def _heat(self, split: JSON) -> Part:
        name, layers = split["name"], range(len(self.run.layers))

        def paths(manifest: JSON) -> list[str]:
            return [
                f"{name}/{grouping}/heat/{t}/{layer}.st"
                for own in _groupings(manifest, split)
                for grouping in (own["name"], *_derived(own))
                for t in range(split["snapshots"])
                for layer in layers
            ]

        what = self._of("heat maps of layers", split)
        return Part(what, paths, _resource("heat", split), self._units_of_layer)

    def _tables(self, split: JSON) -> Part:
        name, usual = split["name"], self._usual

        def paths(manifest: JSON) -> list[str]:
            return [
                f"{name}/{grouping}/{usual}/table/{t}/{layer}.st"
                for own in _groupings(manifest, split)
                for grouping in (own["name"], *_derived(own))
                for t in range(split["snapshots"])
                for layer in range(len(self.run.layers))
            ]

        what = self._of("tables of layers", split)
        return Part(what, paths, _resource("table", split), self._units_of_layer)

    def _units(self, split: JSON, grouping: JSON, resource: str = "") -> Part:
        base = f"{split['name']}/{grouping['name']}/{self._usual}"
        by = "" if resource else f" by {grouping['title'].lower()}"

        def paths(manifest: JSON) -> list[str]:
            names = [one["name"] for one in _groupings(manifest, split)]
            reached = grouping["name"] in names
            return [f"{base}/unit/{u}.st" for u in range(self.run.units)] if reached else []

        def prepare() -> Iterator[float]:
            with suppress(OSError, FormatError):  # a cache that fails costs time and nothing else
                yield from self.run.keep_units(split["name"], grouping["name"])

        keep = _resource(resource, split) if resource else _nothing
        what = self._of(f"histories of units{by}", split)
        return Part(what, paths, keep, _alike, prepare=prepare)

    def _samples(self, split: JSON) -> Iterator[Part]:
        name = split["name"]
        if "samples" in split["resources"]:
            paths = [f"{name}/samples/{t}.st" for t in range(split["snapshots"])]
            paths += self._cells(name)
            within, keep = self._within(split, paths), _resource("samples", split)
            yield Part(self._of("samples", split), within, keep)
        if "thumbnails" in split["resources"]:
            pages = -(-len(self.run.thumbnails(name)) // PAGE)
            paths = [f"{name}/thumbnails/{page}.st" for page in range(pages)]
            within, keep = self._within(split, paths), _resource("thumbnails", split)
            yield Part(self._of("pictures of samples", split), within, keep)

    def _recorded(self, split: JSON) -> Iterator[Part]:
        """Pictures that were recorded, the smallest first: weights, maps, watched samples."""
        name, snapshots = split["name"], range(split["snapshots"])
        layers: list[int] = split.get("maps", [])
        found: dict[str, tuple[str, Sequence[str]]] = {}
        if "first_weights" in split:
            paths = ["first_weights.st", *(f"first_weights/{t}.st" for t in snapshots)]
            found["first_weights"] = "first weights", paths
        if layers:
            own = [self.run.layers[i] for i in layers]
            units = [u for x in own for u in range(x.offset, x.offset + x.units)]
            chunks = range(self.resources.painter.chunks(name))
            found["unit_maps"] = (
                "maps of units",
                [f"maps/unit/{u}/{c}.st" for u in units for c in chunks],
            )
            classes = range(len(self.run.grouping(TRUE, name).classes))
            found["maps"] = (
                "maps of layers",
                [
                    f"maps/{t}/{layer}{of}.st"
                    for t in snapshots
                    for layer in layers
                    for of in ("", *(f"/{k}" for k in classes))
                ],
            )
        if "watched" in split:
            watched = split["watched"]
            found["watched"] = (
                "feature maps of watched samples",
                [
                    f"watched/{which}/{t}/{layer}.st"
                    for which in range(len(watched["samples"]))
                    for t in snapshots
                    for layer in watched["layers"]
                ],
            )
        if layers:
            yield Part(
                self._of("maps in cells", split),
                lambda manifest: self._cell_maps(manifest, split),
                _resource("cell_maps", split),
            )
        for resource, (what, paths) in found.items():
            few = [f"{name}/{path}" for path in paths] if len(paths) <= MOST_FILES else []
            within, keep = self._within(split, few), _resource(resource, split)
            yield Part(self._of(what, split), within, keep)

    def _cell_maps(self, manifest: JSON, split: JSON) -> list[str]:
        return [
            f"{split['name']}/{grouping['name']}/{measure['name']}/maps/{t}.st"
            for measure in manifest["measures"]
            for grouping in _groupings(manifest, split)
            for t in range(split["snapshots"])
        ]

    def _cells(self, split: str) -> Iterator[str]:
        for t in range(len(self.run.coordinate("step", split))):
            try:
                confusion = self.run.confusion_at(t, split)
            except FormatError:  # the page has no cell of it to ask for
                continue
            for row, column in zip(*confusion.nonzero(), strict=True):
                yield f"{split}/cell/{t}/{row}/{column}/samples.st"

    def _geometry(self) -> Iterator[Part]:
        """Of a few snapshots of each split: it takes its time."""
        for split in self.whole["splits"]:
            name = split["name"]
            if "geometry" in split["resources"]:
                within, keep = (
                    self._within(split, [f"{name}/geometry.st"]),
                    _resource("geometry", split),
                )
                yield Part(self._of("geometry of classes", split), within, keep)
            if "similarity" in split["resources"]:
                few = coarse_to_fine(split["snapshots"])[:EXPORTED]
                kept = [t for t in few if kept_at(self.run, name, t)]
                within = self._within(split, [f"{name}/similarity/{t}.st" for t in kept])
                keep = _resource("similarity", split)
                yield Part(self._of("similarity of layers", split), within, keep)

    def _comparisons(self, manifest: JSON) -> list[str]:
        """How splits and groupings that go along are laid beside one another; of no other run."""
        there = [
            (split["name"], grouping["name"])
            for split in manifest["splits"]
            for grouping in split["groupings"]
        ]
        return [
            f"{split}/{grouping}/compare/{self._id}/{other_split}/{other}.json"
            for split, grouping in there
            for other_split, other in there
            if (split, grouping) != (other_split, other)
        ]

    def _measure(self, measure: JSON) -> Part:
        """Another measure, of every split and grouping that goes along: each may be chosen with it."""

        def paths(manifest: JSON) -> list[str]:
            return [
                path
                for split in manifest["splits"]
                for grouping in split["groupings"]
                for name in (grouping["name"], *_derived(grouping))
                for path in self._track(split["name"], name, measure["name"])
            ]

        def like(path: str) -> str:
            return path.replace(f"/{measure['name']}/", f"/{self._usual}/")

        name = f"measure {measure['title'].lower()}"
        return Part(name, paths, lambda m: m["measures"].append(measure), like=like)

    # --- how they are named ----------------------------------------------------------------------

    @property
    def _usual(self) -> str:
        return str(self.whole["measures"][0]["name"])

    def _of(self, what: str, split: JSON) -> str:
        """With the split's name, where there are several."""
        return what if len(self.whole["splits"]) == 1 else f"{what} of split {split['name']}"

    def _track(self, split: str, grouping: str, measure: str) -> Iterator[str]:
        base = f"{split}/{grouping}/{measure}"
        chunks = self.resources.painter.chunks(split)
        told = (
            ("summary", "classes")
            if grouping.endswith(MARK + FINEST)
            else ("summary", "classes", "events")
        )
        yield from (f"{base}/{one}.st" for one in told)
        yield f"{base}/damaged.json"
        yield from (f"{base}/paint/{chunk}.st" for chunk in range(chunks))

    def _units_of_layer(self, path: str) -> float:
        """Of the layer that a path ends with."""
        return self.run.layers[int(path.rpartition("/")[2].removesuffix(".st"))].units

    @staticmethod
    def _within(split: JSON, paths: Sequence[str]) -> Callable[[JSON], Sequence[str]]:
        """These, if their split goes along."""
        return lambda manifest: paths if _groupings(manifest, split) else []


def _split_of(manifest: JSON, split: JSON) -> JSON:
    return next(one for one in manifest["splits"] if one["name"] == split["name"])


def _groupings(manifest: JSON, split: JSON) -> list[JSON]:
    """Of a split, those that go along."""
    there = [one for one in manifest["splits"] if one["name"] == split["name"]]
    return there[0]["groupings"] if there else []


def _derived(grouping: JSON) -> list[str]:
    """Names of a grouping by other levels than its classes."""
    told = grouping.get("superclasses")
    levels = range(1, len(told["levels"]) + 1) if told else ()
    return [f"{grouping['name']}{MARK}{level}" for level in (FINEST, *levels)] if told else []


def _resource(name: str, split: JSON) -> Callable[[JSON], None]:
    """Says that a split has a resource."""
    return lambda manifest: _split_of(manifest, split)["resources"].append(name)


def _comparable(manifest: JSON) -> None:
    for split in manifest["splits"]:
        split["resources"].append("compare")


def _spread(paths: Sequence[str]) -> list[str]:
    """`PROBED` of them, from the middles of as many equal stretches."""
    return [paths[(2 * i + 1) * len(paths) // (2 * PROBED)] for i in range(PROBED)]


def _alike(path: str) -> float:
    """Each takes as much as any other."""
    return 1.0


def _nothing(_: JSON) -> None:
    """There is nothing to be said of it."""
