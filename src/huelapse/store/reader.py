"""Reading a run: one file says what is committed, and nothing else is believed."""

from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Int64

from huelapse.errors import FormatError, NotARunError, PlaceError
from huelapse.schema import FORMAT_VERSION, Graph, Layer, RunState, Split
from huelapse.store import layout
from huelapse.store.cache import Cache
from huelapse.store.chunks import check_chunks
from huelapse.store.forked import check_not_forked, tensorstore
from huelapse.store.places import Place, find_place, locate, unreachable
from huelapse.store.segments import chosen, pruned, standing, superseded
from huelapse.store.through_time import ThroughTime
from huelapse.store.trusted import check_ours, check_root, parse

SAID = 100
"""Letters of another library's message that are told."""
TRANSPORT = ("retry attempts failed", "CURL error", "PERMISSION_DENIED", "DEADLINE", "UNAVAILABLE")
"""What TensorStore says where a place does not answer, or refuses, and no data are damaged."""

__all__ = ["StoreReader", "holds_snapshot", "locate"]


def holds_snapshot(path: Path) -> bool:
    """Whether there is a run with something in it to look at."""
    try:
        reader = StoreReader(path)
    except (NotARunError, FormatError, PlaceError):
        return False
    return any(reader.shape(f"{split.name}/step")[0] for split in reader.splits)


class StoreReader:
    """One committed state of a run. Never blocks the writer, never lists a directory.

    Shapes come from the root's consolidated metadata alone, so a snapshot that is only half
    written does not exist here. `refresh` looks for a newer root.
    """

    def __init__(self, path: str | Path | Place, *, superseded: bool = False) -> None:
        """
        Args:
            path: of the run, or its address (`huelapse.store.places`).
            superseded: show also snapshots that a later segment replaced.

        Raises:
            NotARunError: no run there.
            FormatError: a newer format, or a root or pack that is damaged.
            PlaceError: it is elsewhere and can't be reached, or may not be read.
            ForkedError: this process was forked from one that had recorded or read.
        """
        check_not_forked()
        self.place = find_place(path)
        content, self._stamp = self.place.root()
        self._root = self._parsed(content)
        self._attributes: layout.JSON = self._root["attributes"]
        self._members: layout.JSON = self._root["consolidated_metadata"]["metadata"]
        self._open = lru_cache(maxsize=256)(self._open_array)
        self._context = lru_cache(maxsize=1)(self._new_context)
        self.cache = Cache(self.place, self.id)
        self.through_time = ThroughTime(self, self.cache)
        self._with_superseded = superseded
        self._shown: dict[str, np.ndarray | None] = {}

    def refreshed(self) -> "StoreReader":
        """This reader, or a new one where the writer has committed since."""
        if self.place.unchanged(self._stamp):
            return self
        return StoreReader(self.place, superseded=self._with_superseded)

    @property
    def directory(self) -> Path | str:
        """The run's directory, its pack, or its address."""
        return self.place.name if self.place.remote else self.place.path

    def _parsed(self, content: bytes) -> layout.JSON:
        file = self.place.inside(layout.GROUP_FILE)
        try:
            root: Any = parse(content)
            check_ours(root, file)
            attributes = root["attributes"]
            version = attributes["huelapse_format"]
            _ = root["consolidated_metadata"]["metadata"]
            digest = layout.digest(root)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # not the error's repr, which may hold the whole file
            what = f"{type(error).__name__}: {str(error)[:SAID]}"
            raise FormatError(
                f"{file} is not the root of a huelapse run ({what}); "
                f"was it written by another program, or damaged?"
            ) from error
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise FormatError(
                f"{self.place.name} is in format {version}; this huelapse reads up to "
                f"{FORMAT_VERSION}: upgrade it with `pip install -U huelapse`"
            )
        if digest != attributes.get("hash"):
            raise FormatError(
                f"{file} does not match its own hash: it was changed or damaged after it was "
                f"written; the arrays beside it can still be opened one by one (docs/format.md)"
            )
        try:
            self._known = check_root(root)
        except FormatError as error:
            raise FormatError(
                f"{file} is not as huelapse writes it: {error}. Get the run again from where it was "
                f"recorded: what others have changed is not read"
            ) from error
        return cast(layout.JSON, root)

    @property
    def version(self) -> str:
        """Changes with every commit."""
        return str(self._attributes["hash"])[:16]

    @property
    def id(self) -> str:
        """The same for as long as the run is gone on with, and wherever it is copied to."""
        return str(self._attributes.get("id", ""))

    @property
    def name(self) -> str:
        return str(self._attributes["name"])

    @property
    def state(self) -> RunState:
        """Recording, complete, or interrupted: recording once, but no writer holds the lock.

        The lock of a run on another machine can't be seen: there it is what the root says.
        """
        state = cast(RunState, self._attributes["state"])
        if state == "recording" and not self.place.locked():
            return "interrupted"
        return state

    @property
    def attributes(self) -> layout.JSON:
        """Everything the root says beside arrays: facts, gaps, dropped, cost."""
        return self._attributes

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(Layer.from_json(layer) for layer in self._attributes["layers"])

    @property
    def graph(self) -> Graph | None:
        """Which layer feeds which; None in a run that does not say."""
        graph = self._attributes.get("graph")
        return Graph.from_json(graph) if graph is not None else None

    @property
    def responses(self) -> tuple[str, ...]:
        """Which responses are recorded of each unit; runs from before there was a choice: the mean."""
        return tuple(self._attributes.get("responses", ("mean",)))

    def home(self, grouping: str, response: str) -> str:
        """Path of the group that holds a response's statistics, in a grouping's path."""
        return layout.home_of(grouping, response, self.responses)

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(Split.from_json(split) for split in self._attributes["splits"])

    def arrays(self) -> list[str]:
        """Paths of all committed arrays that this version knows."""
        return [path for path in self._members if path in self._known]

    def has(self, path: str) -> bool:
        return path in self._members

    def stored(self, split: str) -> int:
        """Snapshots of a split that are committed, hidden ones and those that were pruned included."""
        return int(self._members[f"{split}/step"]["shape"][0])

    def shape(self, path: str) -> tuple[int, ...]:
        """Of an array, as far as it is committed, and shown."""
        shape = tuple(self._members[path]["shape"])
        shown = self._shown_of(path)
        return shape if shown is None else (len(shown), *shape[1:])

    @property
    def metadata(self) -> layout.JSON:
        """The root's own, whole."""
        return self._root

    def metadata_of(self, path: str) -> layout.JSON:
        """The Zarr metadata of one array, as committed."""
        return cast(layout.JSON, self._members[path])

    def attributes_of(self, path: str) -> layout.JSON:
        """What is said of one array or group."""
        return cast(layout.JSON, self._members[path]["attributes"])

    def read(self, path: str, selection: Any = ...) -> np.ndarray:
        """An array or a part of it, indexed as in numpy by slices and integers.

        Along `snapshot`, those that are shown are counted.

        Raises:
            FormatError: the data cannot be read back: a checksum does not match, a file is gone.
            PlaceError: the run is on another machine, which does not answer or refuses.
        """
        check_not_forked()  # a reader the parent had opened knows its arrays by heart
        if selection is ... and self.through_time.is_series(path):
            return self.through_time.series(path)
        shown = self._shown_of(path)
        if shown is None:
            return self.read_chunks(path, selection)
        stored, taken = chosen(selection, shown)
        values = self.read_chunks(path, stored)
        return values if taken is None else values[taken]

    def shown(self, path: str) -> np.ndarray | None:
        """Where the shown snapshots of an array are stored; None for all of them as they stand."""
        return self._shown_of(path)

    def _shown_of(self, path: str) -> np.ndarray | None:
        """Where the snapshots of an array that are shown are stored, by step; None for all of
        them as they stand."""
        split = path.partition("/")[0]
        along = self._members[path].get("dimension_names") or [None]
        segments = self._attributes.get("segments", ())
        ranges = self._attributes.get("pruned", {}).get(split, ())
        replaced = len(segments) > 1 or split in self._attributes.get("unordered", ())
        replaced = replaced and not self._with_superseded
        if along[0] != "snapshot" or not (replaced or ranges):
            return None
        if split not in self._shown:
            steps, taken = (
                self.read_chunks(f"{split}/{name}", ...) for name in ("step", "segment")
            )
            gone = pruned(ranges, len(steps))
            if replaced:
                starts = [segment.get("first_step", 0) for segment in segments]
                self._shown[split] = standing(steps, gone | superseded(steps, taken, starts))
            else:
                self._shown[split] = np.flatnonzero(~gone)
        return self._shown[split]

    def read_chunks(self, path: str, selection: Any) -> np.ndarray:
        """As `read`, but along `snapshot` all that are committed are counted, hidden or not."""
        try:
            wanted = self._open(path)[selection]
            check_chunks(self.place, path, self._members[path], selection, wanted.size)
            return np.asarray(wanted.read().result(timeout=self.place.seconds))
        except FormatError:
            raise
        except TimeoutError as error:
            raise unreachable(self.place.inside(path), error) from error
        except ValueError as error:
            if self.place.remote and any(said in str(error) for said in TRANSPORT):
                raise unreachable(self.place.inside(path), error) from error
            raise FormatError(
                f"{self.place.inside(path)} cannot be read: {error}. "
                f"Other arrays and snapshots of the run may still be whole"
            ) from error

    def read_counts(self, path: str, selection: Any = ...) -> Int64[np.ndarray, "..."]:
        """Counts, or a part of them: where a chunk is gone they would read as the array's fill.

        Raises:
            FormatError: as `read`, and where a part is missing.
        """
        return self.checked_counts(path, self.read(path, selection))

    def checked_counts(self, path: str, counts: np.ndarray) -> Int64[np.ndarray, "..."]:
        """Counts that were read of an array.

        Raises:
            FormatError: a part is missing.
        """
        fill = self._members[path]["fill_value"]
        if fill and (counts == fill).any():  # 0 is a count: such an array cannot be told whole
            raise FormatError(
                f"{self.place.inside(path)}: a part is missing or damaged. "
                f"Other arrays and snapshots of the run may still be whole"
            )
        return counts.astype(np.int64)

    def _new_context(self) -> Any:
        return tensorstore().Context(self.place.context())

    def _open_array(self, path: str) -> Any:
        if path not in self._known:
            raise FormatError(
                f"{self.place.inside(path)} is no array that this huelapse knows; upgrade it with "
                f"`pip install -U huelapse`"
            )
        self.place.check_folder(path)
        return (
            tensorstore()
            .open(
                {
                    "driver": "zarr3",
                    "kvstore": self.place.kvstore(path),
                    "metadata": self._members[path],
                    "open": True,
                    "assume_metadata": True,
                },
                context=self._context(),
            )
            .result(timeout=self.place.seconds)
        )
