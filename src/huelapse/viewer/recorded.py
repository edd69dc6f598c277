"""Pictures that were recorded, as parts of an export."""

from collections.abc import Callable, Iterator, Sequence

from huelapse.run import Run
from huelapse.schema import TRUE
from huelapse.viewer.part import JSON, Part, groupings_of, has, within

MOST_FILES = 20_000
"""Of pictures of one kind; more take long to make, and nobody looks at them all."""


def recorded(run: Run, split: JSON, chunks: int, named: Callable[[str], str]) -> Iterator[Part]:
    """Pictures that were recorded, the smallest first: weights, maps, watched samples.

    Args:
        chunks: of snapshots of the split.
        named: what a part of the split is called.
    """
    name, snapshots = split["name"], range(split["snapshots"])
    layers: list[int] = split.get("maps", [])
    found: dict[str, tuple[str, Sequence[str]]] = {}
    if "first_weights" in split:
        paths = ["first_weights.st", *(f"first_weights/{t}.st" for t in snapshots)]
        found["first_weights"] = "first weights", paths
    if layers:
        own = [run.layers[i] for i in layers]
        units = [u for x in own for u in range(x.offset, x.offset + x.units)]
        found["unit_maps"] = (
            "maps of units",
            [f"maps/unit/{u}/{c}.st" for u in units for c in range(chunks)],
        )
        classes = range(len(run.grouping(TRUE, name).classes))
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
            named("maps in cells"),
            lambda manifest: cell_maps(manifest, split),
            has("cell_maps", split),
        )
    for resource, (what, paths) in found.items():
        few = [f"{name}/{path}" for path in paths] if len(paths) <= MOST_FILES else []
        paths_of, keep = within(split, few), has(resource, split)
        yield Part(named(what), paths_of, keep)


def cell_maps(manifest: JSON, split: JSON) -> list[str]:
    """Pictures in cells, at every snapshot, by every measure and grouping that goes along."""
    return [
        f"{split['name']}/{grouping['name']}/{measure['name']}/maps/{t}.st"
        for measure in manifest["measures"]
        for grouping in groupings_of(manifest, split)
        for t in range(split["snapshots"])
    ]
