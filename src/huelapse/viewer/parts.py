"""Which resources of a run an export takes along, most needed first."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from huelapse.errors import ExportError, FormatError
from huelapse.geometry.outlining import kept_at
from huelapse.palette import Choice
from huelapse.run import Run
from huelapse.viewer.closer import PAGE
from huelapse.viewer.collecting import Collected, Done, collect, nobody
from huelapse.viewer.geometer import EXPORTED, coarse_to_fine
from huelapse.viewer.leveled import FINEST, MARK
from huelapse.viewer.measured import measured
from huelapse.viewer.part import (
    JSON,
    Part,
    alike,
    derived,
    groupings_of,
    has,
    nothing,
    split_of,
    within,
)
from huelapse.viewer.recorded import recorded
from huelapse.viewer.resources import Resources
from huelapse.viewer.shelf import run_id


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
        """As many of them as there is room for: see `collecting.collect`."""
        return collect(self.parts, self.resources, self.whole, room, pack, done)

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
                yield Part(what, within(split, paths), weight=alike)
        if sum(len(split["groupings"]) for split in self.whole["splits"]) > 1:
            yield Part("comparisons", self._comparisons, _comparable)
        yield from self._geometry()
        yield from measured(self.run, self.resources.painter, self.whole["measures"], self._track)
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
            within(split, paths),
            lambda m: split_of(m, split)["groupings"].append(dict(grouping)),
        )

    def _levels(self, split: JSON) -> Iterator[Part]:
        """Each grouping by superclasses, and by the finest level that holds."""
        for grouping in split["groupings"]:
            told = self.superclasses.get((split["name"], grouping["name"]))
            if told is None:
                continue

            def paths(manifest: JSON, own: JSON = grouping, told: JSON = told) -> list[str]:
                if own["name"] not in [one["name"] for one in groupings_of(manifest, split)]:
                    return []
                names = derived({**own, "superclasses": told})
                return [p for n in names for p in self._track(split["name"], n, self._usual)]

            def keep(manifest: JSON, own: JSON = grouping, told: JSON = told) -> None:
                for one in groupings_of(manifest, split):
                    if one["name"] == own["name"]:
                        one["superclasses"] = told

            yield Part(self._of(f"superclasses of {grouping['title'].lower()}", split), paths, keep)

    def _heat(self, split: JSON) -> Part:
        name, layers = split["name"], range(len(self.run.layers))

        def paths(manifest: JSON) -> list[str]:
            return [
                f"{name}/{grouping}/heat/{t}/{layer}.st"
                for own in groupings_of(manifest, split)
                for grouping in (own["name"], *derived(own))
                for t in range(split["snapshots"])
                for layer in layers
            ]

        what = self._of("heat maps of layers", split)
        return Part(what, paths, has("heat", split), self._units_of_layer)

    def _tables(self, split: JSON) -> Part:
        name, usual = split["name"], self._usual

        def paths(manifest: JSON) -> list[str]:
            return [
                f"{name}/{grouping}/{usual}/table/{t}/{layer}.st"
                for own in groupings_of(manifest, split)
                for grouping in (own["name"], *derived(own))
                for t in range(split["snapshots"])
                for layer in range(len(self.run.layers))
            ]

        what = self._of("tables of layers", split)
        return Part(what, paths, has("table", split), self._units_of_layer)

    def _units(self, split: JSON, grouping: JSON, resource: str = "") -> Part:
        base = f"{split['name']}/{grouping['name']}/{self._usual}"
        by = "" if resource else f" by {grouping['title'].lower()}"

        def paths(manifest: JSON) -> list[str]:
            names = [one["name"] for one in groupings_of(manifest, split)]
            reached = grouping["name"] in names
            return [f"{base}/unit/{u}.st" for u in range(self.run.units)] if reached else []

        def prepare() -> Iterator[float]:
            with suppress(OSError, FormatError):  # a cache that fails costs time and nothing else
                yield from self.run.keep_units(split["name"], grouping["name"])

        keep = has(resource, split) if resource else nothing
        what = self._of(f"histories of units{by}", split)
        return Part(what, paths, keep, alike, prepare=prepare)

    def _samples(self, split: JSON) -> Iterator[Part]:
        name = split["name"]
        if "samples" in split["resources"]:
            paths = [f"{name}/samples/{t}.st" for t in range(split["snapshots"])]
            paths += self._cells(name)
            reached, keep = within(split, paths), has("samples", split)
            yield Part(self._of("samples", split), reached, keep)
        if "thumbnails" in split["resources"]:
            pages = -(-len(self.run.thumbnails(name)) // PAGE)
            paths = [f"{name}/thumbnails/{page}.st" for page in range(pages)]
            reached, keep = within(split, paths), has("thumbnails", split)
            yield Part(self._of("pictures of samples", split), reached, keep)

    def _recorded(self, split: JSON) -> Iterator[Part]:
        chunks = self.resources.painter.chunks(split["name"])
        return recorded(self.run, split, chunks, lambda what: self._of(what, split))

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
                reached, keep = (
                    within(split, [f"{name}/geometry.st"]),
                    has("geometry", split),
                )
                yield Part(self._of("geometry of classes", split), reached, keep)
            if "similarity" in split["resources"]:
                few = coarse_to_fine(split["snapshots"])[:EXPORTED]
                kept = [t for t in few if kept_at(self.run, name, t)]
                reached = within(split, [f"{name}/similarity/{t}.st" for t in kept])
                keep = has("similarity", split)
                yield Part(self._of("similarity of layers", split), reached, keep)

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


def _comparable(manifest: JSON) -> None:
    for split in manifest["splits"]:
        split["resources"].append("compare")
