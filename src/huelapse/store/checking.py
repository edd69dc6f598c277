"""A committed state of a run as it stands on disk, for who checks it file by file.

`StoreReader` gives what readers shall see; this gives what is stored, and how.
"""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np

from huelapse.errors import FormatError, PlaceError
from huelapse.schema import FORMAT_VERSION
from huelapse.store import layout
from huelapse.store.chunks import ABSENT, CHECKSUM, ENTRY, check_chunks, opened, read_at
from huelapse.store.forked import tensorstore
from huelapse.store.places import LocalPlace
from huelapse.store.reader import locate
from huelapse.store.trusted import check_ours, check_root, parse

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+\-]*')


class StoredRun:
    """What the root of a run says is committed, and reading it as it is stored.

    Nothing is kept open and nothing cached: every read is one of the disk.
    """

    def __init__(self, path: str | Path) -> None:
        """
        Raises:
            NotARunError: no run there.
            FormatError: the root is damaged, or of a newer format (`is_newer` tells).
            ForkedError: this process was forked from one that had recorded or read.
        """
        self.directory = locate(Path(path))
        self.root = self.directory / layout.ROOT
        content, _ = LocalPlace(self.directory).root()
        root = read_metadata(content)
        check_ours(root, str(self.root / layout.GROUP_FILE))
        try:
            self.attributes: layout.JSON = root["attributes"]
            self.members: layout.JSON = root["consolidated_metadata"]["metadata"]
            whole = layout.digest(root) == self.attributes["hash"]
            version = self.attributes["huelapse_format"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FormatError(f"it is no root of a run ({type(error).__name__})") from error
        if not whole:
            raise FormatError("it does not match its own hash: it was changed after it was written")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise FormatError(f"it is in format {version}; expected up to {FORMAT_VERSION}")
        try:
            self._known = check_root(root)
        except FormatError as error:
            raise FormatError(f"it is not as huelapse writes it: {error}") from error
        self.version = str(self.attributes["hash"])[:16]

    def arrays(self) -> dict[str, layout.JSON]:
        """Path → Zarr metadata, of every committed array that this version knows."""
        return {p: m for p, m in self.members.items() if p in self._known}

    def read(self, path: str, selection: Any = ...) -> np.ndarray:
        """A part of an array; every checksum of it is compared.

        Raises:
            FormatError: it cannot be read back.
        """
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{self.root / path}/"},
            "metadata": self.members[path],
            "open": True,
            "assume_metadata": True,
        }
        ts = tensorstore()
        place = LocalPlace(self.directory)
        place.check_folder(path)
        try:
            wanted = ts.open(spec).result()[selection]
            check_chunks(place, path, self.members[path], selection, wanted.size)
            return np.asarray(wanted.read().result())
        except (FormatError, PlaceError):
            raise
        except Exception as error:  # whatever the library says of a file it cannot make sense of
            raise FormatError(_shortened(error)) from error

    def written(self, path: str) -> bytes:
        """The `zarr.json` of an array, as the library writes what the root says of it."""
        return encoded(self.members[path])


def encoded(metadata: layout.JSON) -> bytes:
    """An array's `zarr.json`, as the library writes it.

    Raises:
        FormatError: the library does not take it for an array's metadata.
    """
    ts = tensorstore()
    spec = {"driver": "zarr3", "kvstore": {"driver": "memory"}, "metadata": metadata}
    try:
        array = ts.open(spec, create=True, context=ts.Context()).result()
        return bytes(array.kvstore.read(layout.GROUP_FILE).result().value)
    except Exception as error:
        raise FormatError(_shortened(error)) from error


def is_newer(path: Path) -> bool:
    """Whether a run's root is of a newer format: whole, and not one of ours with a damaged number."""
    try:
        root: Any = parse(LocalPlace(locate(path)).root()[0])
        attributes = dict(root["attributes"])
        version, told = attributes["huelapse_format"], attributes["hash"]
        if not isinstance(version, int) or version <= FORMAT_VERSION:
            return False
        ours = {
            layout.digest({**root, "attributes": {**attributes, "huelapse_format": number}})
            for number in range(1, FORMAT_VERSION + 1)
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return told not in ours


def read_metadata(content: bytes) -> layout.JSON:
    """JSON of a `zarr.json`, whose every number and string is written in the one usual way.

    Some changed bits leave the values as they were (`1e-05` and `1E-05`): these are found too.

    Raises:
        FormatError: it is not JSON, or not as any program would have written it.
    """
    try:
        text = content.decode()
        found: Any = parse(content)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"it is not JSON ({str(error)[:80]})") from error
    if not isinstance(found, dict):
        raise FormatError("it is not a JSON object")
    for token in TOKEN.finditer(text):
        if not _is_usual(token.group()):
            raise FormatError(f"it holds {token.group()[:40]!r}, which no program writes so")
    return cast(layout.JSON, found)


def _is_usual(token: str) -> bool:
    value: Any = json.loads(token)
    if isinstance(value, str):
        return "\\" not in token or token in (
            json.dumps(value),
            json.dumps(value, ensure_ascii=False),
        )
    if isinstance(value, int):
        return token == str(value)
    return "E" not in token and Decimal(token) == Decimal(repr(value))


def check_shard(file: Path, metadata: layout.JSON) -> None:
    """Whether a shard is made of its tiles and its index alone, without gaps or anything more.

    Together with reading all of it, where every tile's and the index' checksum is compared, no
    byte of the file goes unchecked. A file that is not there is as good as one of fills.

    Raises:
        FormatError: it is not so.
    """
    sharding = metadata["codecs"][0]
    if sharding["name"] != "sharding_indexed":
        return
    shard = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    tile = sharding["configuration"]["chunk_shape"]
    tiles = int(np.prod([-(-n // t) for n, t in zip(shard, tile, strict=True)]))
    index_bytes = tiles * ENTRY + CHECKSUM
    try:
        with opened(file) as (descriptor, size):
            if size < index_bytes:
                raise FormatError(f"it has {size} bytes, less than its index of {index_bytes}")
            content = read_at(descriptor, size - index_bytes, tiles * ENTRY)
            index = np.frombuffer(content, "<u8").reshape(tiles, 2)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FormatError(f"it cannot be read: {error.strerror}") from error
    there = index[(index != ABSENT).any(1)]
    there = there[np.argsort(there[:, 0], kind="stable")]
    ends = there.sum(1, dtype=np.uint64)
    starts = np.concatenate([np.zeros(1, np.uint64), ends])
    expected = np.concatenate([there[:, 0], np.array([size - index_bytes], np.uint64)])
    if (starts != expected).any():
        raise FormatError("its index does not account for every byte of it")


def _shortened(error: Exception) -> str:
    """Another library's message, without the specification it repeats."""
    text = str(error).partition(" [tensorstore_spec=")[0].partition(" [source locations=")[0]
    return text[-160:] if "checksum" in text else text[:160]
