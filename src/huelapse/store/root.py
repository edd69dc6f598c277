"""What the root of a run says, and putting it there: the commit point."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from huelapse.schema import LABELS, Split
from huelapse.store import layout
from huelapse.store.arrays import Arrays
from huelapse.store.atomic import replace_file
from huelapse.store.lock import WriterLock


class Root:
    """The root's attributes, its splits with their lengths, and its members: all arrays and groups."""

    def __init__(
        self, path: Path, arrays: Arrays, attributes: layout.JSON, responses: Sequence[str]
    ) -> None:
        self.path = path
        self.attributes = attributes
        self.splits: dict[str, Split] = {}
        self.lengths: dict[str, int] = {}
        """Split → snapshots of it that are committed."""
        self.durable = True
        """Whether the last one written would outlast a power cut, and is not just visible."""
        self._arrays = arrays
        self._responses = responses

    def name_splits(self) -> None:
        """Splits as they are now are those that the next root names."""
        self.attributes["splits"] = [split.as_json() for split in self.splits.values()]

    def write_split(self, split: Split) -> None:
        """The group file of one split. Readers do not believe it before the root says the same."""
        metadata = layout.group(_of_split(split), self._members(f"{split.name}/"))
        replace_file(self.path / split.name / layout.GROUP_FILE, layout.encoded(metadata))

    def write(self, lock: WriterLock) -> None:
        """
        Raises:
            OSError: it could not be written, and readers see the one before.
            RunLockedError: another process has taken the run over; nothing was written.
        """
        metadata = layout.group(self.attributes, self._members())
        self.attributes["hash"] = metadata["attributes"]["hash"] = layout.digest(metadata)
        file, content = self.path / layout.GROUP_FILE, layout.encoded(metadata)
        lock.check()
        try:
            replace_file(file, content)
            self.durable = True
        except OSError:
            # where the rename was made, though what came after it failed, readers see it: to go back
            # would change what they have. The next one makes it durable too
            if not _holds(file, content):
                raise
            self.durable = False

    def _members(self, below: str = "") -> dict[str, layout.JSON]:
        members: dict[str, layout.JSON] = {}
        for spec in self._arrays:
            if spec.path.startswith(below):
                length = self.lengths[spec.path.partition("/")[0]]
                members[spec.path.removeprefix(below)] = spec.metadata(length)
        for split in self.splits.values():
            groups = {split.name: _of_split(split)} | {
                f"{split.name}/{path}": attributes
                for path, attributes in self.groups_of(split).items()
            }
            for path, attributes in groups.items():
                if path.startswith(below) and path != below.rstrip("/"):
                    members[path.removeprefix(below)] = layout.group(attributes)
        return members

    def groups_of(self, split: Split) -> Mapping[str, layout.JSON]:
        """Groups below a split → their attributes."""
        return layout.groups_of(split, self._responses)


def _holds(file: Path, content: bytes) -> bool:
    with suppress(OSError):
        return file.read_bytes() == content
    return False


def _of_split(split: Split) -> dict[str, Any]:
    """Attributes of a split's group."""
    # the CF convention by which xarray tells coordinates from data
    along = [spec.path.partition("/")[2] for spec in layout.coordinates(split.name, ())]
    along += [extra.path for extra in split.extras if extra.path == LABELS]
    return {**split.as_json(), "coordinates": " ".join(along)}
