"""Which resources of a run an export takes along, most needed first, within a budget."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from huelapse.errors import ExportError
from huelapse.palette import Choice
from huelapse.run import Run
from huelapse.viewer.closer import PAGE
from huelapse.viewer.resources import Resources

BESIDE = 80
"""Bytes that a resource takes beside its content and its name."""


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
    of every split heat maps, units' histories, samples and their pictures; tables; histories by the
    other groupings and of samples; other measures. Splits without a snapshot are passed over."""

    def __init__(self, run: Run, colors: Choice | None) -> None:
        """
        Raises:
            ExportError: the run has no snapshot.
        """
        self.run = run
        self.resources = Resources(run, colors=colors)
        whole = self.resources.manifest()
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
            yield self._heat(split)
            yield self._units(split, split["groupings"][0], "units")
            yield from self._samples(split)
        for split in self.whole["splits"]:
            yield self._tables(split)
            yield from (self._units(split, grouping) for grouping in split["groupings"][1:])
            if "samples" in split["resources"]:
                name, number = split["name"], len(self.run.labels(split["name"]))
                paths = [f"{name}/sample/{i}.st" for i in range(number)]
                yield Part(self._of("histories of samples", split), self._within(split, paths))
        yield from (self._measure(measure) for measure in self.whole["measures"][1:])

    def _pictures(self, split: JSON) -> Part:
        """A split by its first grouping, with its curves, events and confusion."""
        name, first = split["name"], split["groupings"][0]
        confusion = [one for one in split["resources"] if one.startswith("confusion")]
        paths = ["palette.st", f"{name}/scalars.st", *self._track(name, first, self._usual)]
        if "confusion" in confusion:
            paths.append(f"{name}/confusion.st")
        elif confusion:
            paths += [f"{name}/confusion/{t}.st" for t in range(split["snapshots"])]
        own = {**split, "groupings": [first], "resources": confusion}
        return Part(f"split {name}", lambda _: paths, lambda m: m["splits"].append(own))

    def _grouping(self, split: JSON, grouping: JSON) -> Part:
        paths = list(self._track(split["name"], grouping, self._usual))
        return Part(
            self._of(f"grouping {grouping['title'].lower()}", split),
            self._within(split, paths),
            lambda m: _split_of(m, split)["groupings"].append(grouping),
        )

    def _heat(self, split: JSON) -> Part:
        name, layers = split["name"], range(len(self.run.layers))

        def paths(manifest: JSON) -> list[str]:
            return [
                f"{name}/{grouping['name']}/heat/{t}/{layer}.st"
                for grouping in _groupings(manifest, split)
                for t in range(split["snapshots"])
                for layer in layers
            ]

        return Part(self._of("heat maps of layers", split), paths, _resource("heat", split))

    def _tables(self, split: JSON) -> Part:
        name, usual = split["name"], self._usual

        def paths(manifest: JSON) -> list[str]:
            return [
                f"{name}/{grouping['name']}/{usual}/table/{t}/{layer}.st"
                for grouping in _groupings(manifest, split)
                for t in range(split["snapshots"])
                for layer in range(len(self.run.layers))
            ]

        return Part(self._of("tables of layers", split), paths, _resource("table", split))

    def _units(self, split: JSON, grouping: JSON, resource: str = "") -> Part:
        base = f"{split['name']}/{grouping['name']}/{self._usual}"
        by = "" if resource else f" by {grouping['title'].lower()}"

        def paths(manifest: JSON) -> list[str]:
            reached = grouping in _groupings(manifest, split)
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

    def _cells(self, split: str) -> Iterator[str]:
        for t in range(len(self.run.coordinate("step", split))):
            for row, column in zip(*self.run.confusion_at(t, split).nonzero(), strict=True):
                yield f"{split}/cell/{t}/{row}/{column}/samples.st"

    def _measure(self, measure: JSON) -> Part:
        """Another measure, of every split and grouping that goes along: each may be chosen with it."""

        def paths(manifest: JSON) -> list[str]:
            return [
                path
                for split in manifest["splits"]
                for grouping in split["groupings"]
                for path in self._track(split["name"], grouping, measure["name"])
            ]

        name = f"measure {measure['title'].lower()}"
        return Part(name, paths, lambda m: m["measures"].append(measure))

    # --- how they are named ----------------------------------------------------------------------

    @property
    def _usual(self) -> str:
        return str(self.whole["measures"][0]["name"])

    def _of(self, what: str, split: JSON) -> str:
        """With the split's name, where there are several."""
        return what if len(self.whole["splits"]) == 1 else f"{what} of split {split['name']}"

    def _track(self, split: str, grouping: JSON, measure: str) -> Iterator[str]:
        base = f"{split}/{grouping['name']}/{measure}"
        chunks = self.resources.painter.chunks(split)
        yield from (f"{base}/{one}.st" for one in ("summary", "classes", "events"))
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


def _resource(name: str, split: JSON) -> Callable[[JSON], None]:
    """Says that a split has a resource."""
    return lambda manifest: _split_of(manifest, split)["resources"].append(name)


def _nothing(_: JSON) -> None:
    """There is nothing to be said of it."""
