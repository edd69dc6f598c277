"""Which resources of a run an export takes along, most needed first, within a budget."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from huelapse.errors import ExportError
from huelapse.palette import Choice
from huelapse.run import Run
from huelapse.viewer.closer import PAGE
from huelapse.viewer.resources import Resources

BESIDE = 80
"""Bytes that a resource takes beside its content and its name."""


@dataclass(frozen=True, slots=True)
class Part:
    """What goes into the file together, or not at all."""

    name: str
    """As it is told when it is left out."""
    paths: tuple[str, ...]
    keep: Callable[[dict[str, Any]], None] = lambda manifest: None
    """Says in the manifest that it is there."""


@dataclass(slots=True)
class Collected:
    """What an export holds: resources by their path below the run, and what had no room."""

    content: dict[str, bytes] = field(default_factory=dict[str, bytes])
    manifest: dict[str, Any] = field(default_factory=dict[str, Any])
    left_out: list[str] = field(default_factory=list[str])


class Parts:
    """What there is of a run, in parts: the first split's pictures, curves and events by its first
    grouping and the default measure; its other groupings, heat maps, units' histories, samples of
    confusion cells with their pictures; other splits; other measures."""

    def __init__(self, run: Run, colors: Choice | None) -> None:
        """
        Raises:
            ExportError: the run has no snapshot.
        """
        if not run.splits or not len(run.coordinate("step")):
            raise ExportError(f"{run.place} has no snapshot yet: there is nothing to show")
        self.run = run
        self.resources = Resources(run, colors=colors)
        self.whole = self.resources.manifest()
        """The manifest of everything."""

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
        found = Collected(manifest=self.bare_manifest())
        parts = self.parts()
        left = room
        for i, part in enumerate(parts):
            packed: dict[str, bytes] = {}
            size = 0
            for n, key in enumerate(part.paths):
                packed[key] = pack(self.resources.get(key)[0])
                size += len(packed[key]) + len(key) + BESIDE
                if left is not None and size > left:
                    break
                done((i + (n + 1) / len(part.paths)) / len(parts))
            if left is not None and size > left:
                if i == 0:
                    raise ExportError(
                        f"there is room for {max(left, 0) / 1e6:.2f} MB, and the pictures of the run "
                        f"alone take more than {size / 1e6:.2f} MB; raise it with --budget, or thin "
                        f"the run out first (huelapse prune)"
                    )
                found.left_out.append(part.name)
                continue
            found.content |= packed
            left = None if left is None else left - size
            part.keep(found.manifest)
        found.manifest["left_out"] = found.left_out
        return found

    def bare_manifest(self) -> dict[str, Any]:
        """The manifest without what may have no room."""
        return {**self.whole, "splits": [], "measures": self.whole["measures"][:1]}

    def parts(self) -> list[Part]:
        first, *others = self.whole["splits"]
        measure = self.whole["measures"][0]["name"]
        return [
            self._split(first, measure),
            *self._more(first, measure),
            *(self._split(split, measure) for split in others),
            *self._measures(first),
        ]

    def _split(self, split: dict[str, Any], measure: str) -> Part:
        """A split's pictures by its first grouping."""
        name, first = split["name"], split["groupings"][0]
        small = ["scalars.st", *(["confusion.st"] if "confusion" in split["resources"] else [])]
        own = {**split, "groupings": [first], "resources": split["resources"][:0]}
        if "confusion" in split["resources"]:
            own["resources"] = ["confusion"]
        return Part(
            f"split {name}",
            ("palette.st", *(f"{name}/{one}" for one in small), *self._track(name, first, measure)),
            lambda manifest: manifest["splits"].append(own),
        )

    def _track(self, split: str, grouping: dict[str, Any], measure: str) -> Iterator[str]:
        base = f"{split}/{grouping['name']}/{measure}"
        chunks = self.resources.painter.chunks(split)
        yield from (f"{base}/{one}.st" for one in ("summary", "classes", "events"))
        yield from (f"{base}/paint/{chunk}.st" for chunk in range(chunks))

    def _more(self, split: dict[str, Any], measure: str) -> Iterator[Part]:
        """What the first split has beside its first grouping."""
        name, groupings = split["name"], split["groupings"]
        times, layers = range(split["snapshots"]), range(len(self.run.layers))
        for grouping in groupings[1:]:
            yield Part(
                f"by {grouping['title'].lower()}",
                tuple(self._track(name, grouping, measure)),
                lambda manifest, grouping=grouping: manifest["splits"][0]["groupings"].append(
                    grouping
                ),
            )
        yield Part(
            "heat maps of layers",
            tuple(
                f"{name}/{g['name']}/heat/{t}/{layer}.st"
                for g in groupings
                for t in times
                for layer in layers
            ),
            _resource("heat"),
        )
        yield Part(
            "histories of units", self._units(name, groupings[0], measure), _resource("units")
        )
        if "samples" in split["resources"]:
            listed = (f"{name}/samples/{t}.st" for t in times)
            yield Part("samples", (*listed, *self._cells(name)), _resource("samples"))
        if "thumbnails" in split["resources"]:
            pages = -(-len(self.run.thumbnails(name)) // PAGE)
            yield Part(
                "pictures of samples",
                tuple(f"{name}/thumbnails/{page}.st" for page in range(pages)),
                _resource("thumbnails"),
            )
        for grouping in groupings[1:]:
            yield Part(
                f"histories of units by {grouping['title'].lower()}",
                self._units(name, grouping, measure),
            )
        if "samples" in split["resources"]:
            number = len(self.run.labels(name))
            yield Part(
                "histories of samples", tuple(f"{name}/sample/{i}.st" for i in range(number))
            )

    def _units(self, split: str, grouping: dict[str, Any], measure: str) -> tuple[str, ...]:
        base = f"{split}/{grouping['name']}/{measure}"
        return tuple(f"{base}/unit/{u}.st" for u in range(self.run.units))

    def _cells(self, split: str) -> Iterator[str]:
        for t, counts in enumerate(self.run.confusion(split)):
            for row, column in zip(*counts.nonzero(), strict=True):
                yield f"{split}/cell/{t}/{row}/{column}/samples.st"

    def _measures(self, split: dict[str, Any]) -> Iterator[Part]:
        for measure in self.whole["measures"][1:]:
            yield Part(
                f"measure {measure['title'].lower()}",
                tuple(
                    path
                    for grouping in split["groupings"]
                    for path in self._track(split["name"], grouping, measure["name"])
                ),
                lambda manifest, measure=measure: manifest["measures"].append(measure),
            )


def _resource(name: str) -> Callable[[dict[str, Any]], None]:
    """Says that the first split has a resource."""
    return lambda manifest: manifest["splits"][0]["resources"].append(name)
