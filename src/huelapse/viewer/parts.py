"""Which resources of a run an export takes along, most needed first, within a budget."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from huelapse.errors import ExportError
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

JSON = dict[str, Any]
"""A manifest, or a split of one."""


@dataclass(frozen=True, slots=True)
class Part:
    """What goes along together, or not at all."""

    name: str
    """As it is told when it is left out."""
    paths: Callable[[JSON], Sequence[str]]
    """Its resources, by the manifest of what goes along already: none where nobody could reach them."""
    keep: Callable[[JSON], None] = lambda manifest: None
    """Says in the manifest that it is there."""


@dataclass(slots=True)
class Collected:
    """What an export holds: resources by their path below the run, and what had no room."""

    content: dict[str, bytes] = field(default_factory=dict[str, bytes])
    manifest: JSON = field(default_factory=dict[str, Any])
    left_out: list[str] = field(default_factory=list[str])


class Parts:
    """What there is of a run, in the order in which it goes along: pictures, curves and events of the
    first split by its first grouping and the default measure; its other groupings and all other splits;
    all of these by superclasses, where there are any; of every split heat maps, units' histories,
    samples and their pictures, first weights and maps, tables; histories by the other groupings and
    of samples; comparisons of splits and groupings; geometry; other measures. Splits without a
    snapshot are passed over."""

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
            waits=EXPORTED,
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
        self,
        room: int | None,
        pack: Callable[[bytes], bytes],
        done: Callable[[float], None] = lambda share: None,
    ) -> Collected:
        """As many of the parts as there is room for, the most needed first.

        Args:
            room: bytes, names included; None for everything.
            pack: how content is stored.
            done: called with the share of the work that is done.

        Raises:
            ExportError: there is no room even for the first part.
        """
        bare = {**self.whole, "splits": [], "measures": self.whole["measures"][:1]}
        found = Collected(manifest=bare)
        left = math.inf if room is None else room
        for i, part in enumerate(self.parts):
            packed: dict[str, bytes] = {}
            size = 0
            paths = part.paths(found.manifest)
            for n, key in enumerate(paths):
                packed[key] = pack(self.resources.get(key)[0])
                size += len(packed[key]) + len(key) + BESIDE
                if size > left:
                    break
                done((i + (n + 1) / len(paths)) / len(self.parts))
            if size <= left and paths:
                found.content |= packed
                left -= size
                part.keep(found.manifest)
                continue
            if i == 0:
                raise ExportError(
                    f"there is room for {max(left, 0) / 1e6:.2f} MB, and the pictures of the run alone "
                    f"take more than {size / 1e6:.2f} MB; raise it with --budget, or thin the run out "
                    f"first (huelapse prune)"
                )
            found.left_out.append(part.name)
        found.manifest["left_out"] = found.left_out
        return found

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
            yield from self._recorded(split)
        for split in self.whole["splits"]:
            yield self._tables(split)
            yield from (self._units(split, grouping) for grouping in split["groupings"][1:])
            if "samples" in split["resources"]:
                name, number = split["name"], len(self.run.labels(split["name"]))
                paths = [f"{name}/sample/{i}.st" for i in range(number)]
                yield Part(self._of("histories of samples", split), self._within(split, paths))
        if sum(len(split["groupings"]) for split in self.whole["splits"]) > 1:
            yield Part("comparisons", self._comparisons, _comparable)
        yield from self._geometry()
        yield from (self._measure(measure) for measure in self.whole["measures"][1:])

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

        return Part(self._of("heat maps of layers", split), paths, _resource("heat", split))

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

        return Part(self._of("tables of layers", split), paths, _resource("table", split))

    def _units(self, split: JSON, grouping: JSON, resource: str = "") -> Part:
        base = f"{split['name']}/{grouping['name']}/{self._usual}"
        by = "" if resource else f" by {grouping['title'].lower()}"

        def paths(manifest: JSON) -> list[str]:
            names = [one["name"] for one in _groupings(manifest, split)]
            reached = grouping["name"] in names
            return [f"{base}/unit/{u}.st" for u in range(self.run.units)] if reached else []

        keep = _resource(resource, split) if resource else _nothing
        return Part(self._of(f"histories of units{by}", split), paths, keep)

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
                lambda manifest: self._cell_maps(manifest, split, self._usual),
                _resource("cell_maps", split),
            )
        for resource, (what, paths) in found.items():
            few = [f"{name}/{path}" for path in paths] if len(paths) <= MOST_FILES else []
            within, keep = self._within(split, few), _resource(resource, split)
            yield Part(self._of(what, split), within, keep)

    def _cell_maps(self, manifest: JSON, split: JSON, measure: str) -> list[str]:
        return [
            f"{split['name']}/{grouping['name']}/{measure}/maps/{t}.st"
            for grouping in _groupings(manifest, split)
            for t in range(split["snapshots"])
        ]

    def _cells(self, split: str) -> Iterator[str]:
        for t in range(len(self.run.coordinate("step", split))):
            for row, column in zip(*self.run.confusion_at(t, split).nonzero(), strict=True):
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
            found = [
                path
                for split in manifest["splits"]
                for grouping in split["groupings"]
                for name in (grouping["name"], *_derived(grouping))
                for path in self._track(split["name"], name, measure["name"])
            ]
            for split in manifest["splits"]:
                if "cell_maps" in split["resources"]:
                    found += self._cell_maps(manifest, split, measure["name"])
            return found

        name = f"measure {measure['title'].lower()}"
        return Part(name, paths, lambda m: m["measures"].append(measure))

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


def _nothing(_: JSON) -> None:
    """There is nothing to be said of it."""
