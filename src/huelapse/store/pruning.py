"""Giving snapshots away: first the root says they are gone, then their files go.

Snapshots that stay keep their places and their files, so a reader with an older root at hand never
takes one snapshot for another; it finds that a part is missing, and looks again.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from huelapse.errors import FormatError
from huelapse.store import layout
from huelapse.store.atomic import replace_file, sync_directory
from huelapse.store.forked import tensorstore
from huelapse.store.lock import WriterLock
from huelapse.store.reader import StoreReader
from huelapse.store.segments import pruned, ranges_of


def prune(directory: Path, gone: Mapping[str, np.ndarray]) -> int:
    """Give snapshots away for good; a call that was cut off is finished by the next.

    Args:
        directory: of the run.
        gone: split → which of its stored snapshots, bool; those that went before are gone anyway.

    Returns:
        bytes freed.

    Raises:
        RunLockedError: the run is being written.
        FormatError: it is damaged.
        OSError: the root can't be written, or a file not be removed.
    """
    lock = WriterLock(directory / "lock")
    lock.acquire()
    try:
        reader = StoreReader(directory, superseded=True)
        attributes = dict(reader.attributes)
        before = dict(attributes.get("pruned", {}))
        all_gone = {
            split.name: pruned(before.get(split.name, ()), reader.stored(split.name))
            for split in reader.splits
        }
        for split, own in gone.items():
            if len(own) != len(all_gone[split]):
                raise FormatError(f"{directory} has grown meanwhile: look again at what is to go")
            all_gone[split] = all_gone[split] | own
        told = {split: ranges_of(own) for split, own in all_gone.items() if own.any()}
        if told != before:
            for split in told:
                _flag(reader, directory, split, all_gone[split])
            attributes["pruned"] = told
            metadata = {**reader.metadata, "attributes": attributes}
            attributes["hash"] = layout.digest(metadata)
            replace_file(directory / layout.ROOT / layout.GROUP_FILE, layout.encoded(metadata))
        return sum(_remove(reader, directory, split, own) for split, own in all_gone.items())
    finally:
        lock.release()


def _flag(reader: StoreReader, directory: Path, split: str, gone: np.ndarray) -> None:
    """For who reads `superseded` without the root."""
    path = f"{split}/superseded"
    flags = reader.read_chunks(path, ...).copy()
    flags[gone] = layout.GONE
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{directory / layout.ROOT / path}/"},
        "metadata": reader.metadata_of(path),
        "open": True,
        "assume_metadata": True,
    }
    tensorstore().open(spec).result()[: len(flags)].write(flags).result()


def shards_of(
    reader: StoreReader, directory: Path, split: str, snapshots: np.ndarray
) -> Iterator[Path]:
    """Files of stored snapshots, array by array; those of which all is fill may not be there."""
    for path in reader.arrays():
        along, *rest = reader.metadata_of(path)["dimension_names"]
        if path.startswith(f"{split}/") and along == "snapshot" and rest:
            for index in np.flatnonzero(snapshots).tolist():
                name = ".".join(map(str, ("c", index, *(0 for _ in rest))))
                yield directory / layout.ROOT / path / name


def _remove(reader: StoreReader, directory: Path, split: str, gone: np.ndarray) -> int:
    freed = 0
    folders: set[Path] = set()
    for shard in shards_of(reader, directory, split, gone):
        try:
            size = shard.lstat().st_size
            shard.unlink()
        except FileNotFoundError:  # all of it was fill, or it is gone already
            continue
        folders.add(shard.parent)
        freed += size
    for folder in sorted(folders):
        sync_directory(folder)
    return freed
