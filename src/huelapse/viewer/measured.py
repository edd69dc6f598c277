"""Pictures and curves by other measures, as parts of an export."""

from collections.abc import Callable, Iterator, Sequence

from huelapse.measures import find_measure
from huelapse.painting import Painter
from huelapse.run import Run
from huelapse.viewer.encoding import encode
from huelapse.viewer.part import JSON, Part, derived

NEARLY = 0.9
"""Of what pictures without their levels take, packed alone: as little may they take among others."""

SAME = ("preferred", "state", "flags")
"""What pictures of units that cannot respond below 0 hold, whatever they are measured by."""


def measured(
    run: Run,
    painter: Painter,
    measures: Sequence[JSON],
    track: Callable[[str, str, str], Iterator[str]],
) -> Iterator[Part]:
    """All measures but the first, of every split and grouping that goes along: each may be chosen
    with it.

    Args:
        track: resources of a split by a grouping and a measure.
    """
    usual, names = measures[0]["name"], [one["name"] for one in measures]
    unsigned = ~run.signed
    known: dict[tuple[tuple[str, str, int], ...], int] = {}

    def least(manifest: JSON, pack: Callable[[bytes], bytes]) -> int:
        tracks = tuple(_tracks(manifest, painter))
        if tracks not in known:
            chunks = (painter.chunk(split, by, usual, chunk) for split, by, chunk in tracks)
            bare = (encode({name: one[name][:, unsigned] for name in SAME}) for one in chunks)
            known[tracks] = int(NEARLY * sum(len(pack(content)) for content in bare))
        return known[tracks]

    def part(measure: JSON) -> Part:
        def paths(manifest: JSON) -> list[str]:
            tracks = dict.fromkeys((split, by) for split, by, _ in _tracks(manifest, painter))
            return [path for split, by in tracks for path in track(split, by, measure["name"])]

        def like(path: str) -> str:
            return path.replace(f"/{measure['name']}/", f"/{usual}/")

        def begin(manifest: JSON, room: float) -> Iterator[float]:
            at = names.index(measure["name"])
            several = names[at : at + int(min(max(room, 1), len(names)))]
            several = [name for name in several if not find_measure(name).own]
            tracks = _tracks(manifest, painter) if several else []
            for i, (split, by, chunk) in enumerate(tracks):
                painter.chunk_by(split, by, several, chunk)
                yield (i + 1) / (len(tracks) + 1)

        def keep(manifest: JSON) -> None:
            manifest["measures"].append(measure)

        name = f"measure {measure['title'].lower()}"
        return Part(name, paths, keep, like=like, least=least, begin=begin)

    yield from (part(measure) for measure in measures[1:])


def _tracks(manifest: JSON, painter: Painter) -> list[tuple[str, str, int]]:
    """Splits, groupings and chunks of snapshots that go along."""
    return [
        (split["name"], name, chunk)
        for split in manifest["splits"]
        for grouping in split["groupings"]
        for name in (grouping["name"], *derived(grouping))
        for chunk in range(painter.chunks(split["name"]))
    ]
