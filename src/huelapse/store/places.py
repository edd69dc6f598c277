"""Where a run can stand: a directory, an S3 bucket, a web server, a pack. Read, never listed."""

import os
import re
import stat
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from huelapse.errors import FormatError, NotARunError, PlaceError
from huelapse.store import layout
from huelapse.store.forked import tensorstore
from huelapse.store.lock import is_locked
from huelapse.store.web import Seen, fetch, fetch_unless
from huelapse.store.zipped import INDEX_BYTES, check_pack, entries_of, place_of, read_entry

ROOT_BYTES = 64 * 2**20
"""The most that a root may take: some hundred times what a large run's does."""
ROOT_SECONDS = 30.0
"""How long is waited for a root that is not on this machine."""
READ_SECONDS = 300.0
"""How long is waited for one part of an array that is not on this machine."""
SAID = 300
"""Letters of another library's message that are told."""

RETRIES: dict[str, Any] = {"max_retries": 4, "initial_delay": "200ms", "max_delay": "2s"}

JSON = layout.JSON


class Place(Protocol):
    """Where one run stands, and how its bytes are read."""

    remote: bool
    """Whether it is on another machine: it has no path here, and its writer's lock can't be seen."""
    seconds: float | None
    """How long one read of an array may take; None for as long as it takes."""

    @property
    def name(self) -> str:
        """What people call the place: a path or an address, without anything secret."""
        ...

    @property
    def path(self) -> Path:
        """The directory, or the pack.

        Raises:
            PlaceError: it is on another machine.
        """
        ...

    def root(self) -> tuple[bytes, Any]:
        """The root's metadata, and a stamp that tells it from later ones.

        Raises:
            NotARunError: there is none.
            FormatError: it is too large, or the pack is damaged.
            PlaceError: the place can't be reached, or may not be read.
        """
        ...

    def unchanged(self, stamp: Any) -> bool:
        """Whether the root is still that of `stamp`. Raises as `root`."""
        ...

    def kvstore(self, inside: str) -> JSON:
        """TensorStore's words for what stands at a path inside the root."""
        ...

    def context(self) -> JSON:
        """TensorStore's settings for this place."""
        ...

    def check_folder(self, inside: str) -> None:
        """Whether what stands at a path inside the root is in the run, and not somewhere else.

        Raises:
            FormatError: a link leads out of it.
            PlaceError: it may not be looked into.
        """
        ...

    def stored(self, key: str) -> tuple[str, int, int | None] | None:
        """The file that holds a chunk, if it is there; where in it that begins, and its bytes, None
        for all of them. None where it is not there, or can't be seen without fetching it."""
        ...

    def locked(self) -> bool:
        """Whether a writer holds the run, as far as it can be seen: True where it can't."""
        ...

    def inside(self, path: str) -> str:
        """What people call a part of the run."""
        ...

    def size(self) -> int | None:
        """Bytes it takes; None where that can't be known without listing it."""
        ...


def find_place(given: "str | Path | Place") -> Place:
    """The place of a run.

    Args:
        given: a run's directory (or its `run.zarr`), a pack, `s3://bucket/key/run`,
            `http(s)://host/path/run`.

    Raises:
        NotARunError: a directory that holds no run; an address of no known kind.
        FormatError: a pack that is none.
    """
    if not isinstance(given, str | Path):
        return given
    text = str(given)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if scheme is None:
        path = Path(given).absolute()
        try:
            return PackPlace(path) if path.is_file() else LocalPlace(locate(path))
        except PermissionError as error:
            raise forbidden(path, error) from error
    if scheme[1].lower() in ("s3", "http", "https"):
        if isinstance(given, Path):
            raise NotARunError(f"{text} is a Path, which drops a '/'; pass the address as a string")
        return S3Place(text) if scheme[1].lower() == "s3" else WebPlace(text)
    if Path(given).exists():
        return LocalPlace(locate(Path(given)))
    raise NotARunError(
        f"{scheme[1]}:// is no place huelapse reads from: expected a run's directory, a pack "
        f"(run.hue.zip), s3://bucket/key/run or http(s)://host/path/run"
    )


def locate(path: Path) -> Path:
    """The run directory at `path`, which may also be its `run.zarr`.

    Raises:
        NotARunError: there is none; the message names runs that stand below.
    """
    path = path.absolute()
    directory = path.parent if path.name == layout.ROOT else path
    if (directory / layout.ROOT / layout.GROUP_FILE).is_file():
        return directory
    if not path.exists():
        raise NotARunError(
            f"{path} does not exist; pass the directory given to Recorder. A recorder without a "
            f"probe writes nothing before its first evaluation is done"
        )
    below = (
        sorted(str(p.parent) for p in path.glob(f"*/{layout.ROOT}"))[:5] if path.is_dir() else []
    )
    hint = f"; runs found below it: {', '.join(below)}" if below else ""
    raise NotARunError(
        f"{path} holds no run: expected a directory with {layout.ROOT}/{layout.GROUP_FILE}{hint}"
    )


class LocalPlace:
    """A run's directory."""

    remote = False
    seconds: float | None = None

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self.name = str(directory)
        self._root = f"{directory / layout.ROOT}{os.sep}"
        self._file = directory / layout.ROOT / layout.GROUP_FILE

    def root(self) -> tuple[bytes, Any]:
        stamp = self._stamp()
        _check_size(stamp[2], str(self._file))
        try:
            return self._file.read_bytes(), stamp
        except PermissionError as error:
            raise forbidden(self._file, error) from error

    def unchanged(self, stamp: Any) -> bool:
        return self._stamp() == stamp

    def _stamp(self) -> tuple[int, int, int]:
        found = _look(self._file)
        if found is None:
            raise NotARunError(f"{self._file} is gone: was the run moved or deleted?")
        return found.st_ino, found.st_mtime_ns, found.st_size

    def kvstore(self, inside: str) -> JSON:
        return {"driver": "file", "path": f"{self.path / layout.ROOT / inside}/"}

    def context(self) -> JSON:
        return {}

    def check_folder(self, inside: str) -> None:
        folder = self.path / layout.ROOT
        for part in inside.split("/"):
            folder = folder / part
            if folder.is_symlink():
                raise not_in_it(folder, "is a symbolic link")

    def stored(self, key: str) -> tuple[str, int, int | None] | None:
        return f"{self._root}{key}", 0, None

    def locked(self) -> bool:
        return is_locked(self.path / "lock")

    def inside(self, path: str) -> str:
        return str(self.path / layout.ROOT / path)

    def size(self) -> int | None:
        return size_of(self.path)


class PackPlace:
    """A run in one file, as `huelapse pack` makes it. It never grows."""

    remote = False
    seconds: float | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._entries: dict[str, tuple[int, int]] | None = None

    def root(self) -> tuple[bytes, Any]:
        stamp = self._stamp()
        self._entries = None
        try:
            check_pack(self.path, ROOT_BYTES)
            return read_entry(self.path, layout.GROUP_FILE), stamp
        except PermissionError as error:
            raise forbidden(self.path, error) from error

    def unchanged(self, stamp: Any) -> bool:
        return self._stamp() == stamp

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError as error:
            raise NotARunError(f"{self.path} is gone: was it moved or deleted?") from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def kvstore(self, inside: str) -> JSON:
        base = {"driver": "file", "path": str(self.path)}
        return {"driver": "zip", "base": base, "path": f"{inside}/"}

    def context(self) -> JSON:
        # the zip's index is read once, and not for every array
        return {"cache_pool": {"total_bytes_limit": INDEX_BYTES}}

    def check_folder(self, inside: str) -> None:
        pass

    def stored(self, key: str) -> tuple[str, int, int | None] | None:
        if self._entries is None:
            self._entries = entries_of(self.path)
        entry = self._entries.get(key)
        return None if entry is None else (self.name, *place_of(self.path, *entry))

    def locked(self) -> bool:
        return False

    def inside(self, path: str) -> str:
        return f"{self.path}: {path}"

    def size(self) -> int | None:
        return self.path.stat().st_size


class S3Place:
    """A run in a bucket. Endpoint, region and credentials are those of the environment."""

    remote = True
    seconds: float | None = READ_SECONDS

    def __init__(self, address: str) -> None:
        bucket, _, key = address[len("s3://") :].partition("/")
        if not bucket or "@" in bucket or "?" in address or not key.strip("/"):
            raise NotARunError(
                f"{_without_secrets(address)} names no run in a bucket: expected "
                f"s3://bucket/key/run; endpoint and credentials come from AWS_ENDPOINT_URL, "
                f"AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        self._bucket, self._key = bucket, _root_of(key)
        self.name = f"s3://{bucket}/{self._key.removesuffix('/' + layout.ROOT)}"
        self._file = f"s3://{bucket}/{self._key}/{layout.GROUP_FILE}"

    @property
    def path(self) -> Path:
        raise _no_path(self.name)

    def root(self) -> tuple[bytes, Any]:
        found = self._read(None)
        if found.state != "value":
            raise NotARunError(
                f"{self.name} holds no run: there is no object {self._file}, or no such bucket. "
                f"Is the address that of the run's directory, and AWS_ENDPOINT_URL right?"
            )
        _check_size(len(found.value), self._file)
        return found.value, found.stamp.generation

    def unchanged(self, stamp: Any) -> bool:
        found = self._read(stamp)
        if found.state == "missing":
            raise NotARunError(f"{self._file} is gone: was the run moved or deleted?")
        return found.state == "unspecified" or found.stamp.generation == stamp

    def _read(self, unless: Any) -> Any:
        ts = tensorstore()
        try:
            context = ts.Context(self.context())
            opening = ts.KvStore.open(
                {**self.kvstore(""), "path": f"{self._key}/"}, context=context
            )
            store = opening.result(timeout=ROOT_SECONDS)
            given = {} if unless is None else {"if_not_equal": unless}
            return store.read(layout.GROUP_FILE, **given).result(timeout=ROOT_SECONDS)
        except (ValueError, TimeoutError, OSError) as error:
            raise unreachable(self._file, error) from error

    def kvstore(self, inside: str) -> JSON:
        return bucket_store(self._bucket, f"{self._key}/{inside}/")

    def context(self) -> JSON:
        return {"s3_request_retries": RETRIES}

    def check_folder(self, inside: str) -> None:
        pass

    def stored(self, key: str) -> tuple[str, int, int | None] | None:
        return None

    def locked(self) -> bool:
        return True

    def inside(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._key}/{path}"

    def size(self) -> int | None:
        return None


def bucket_store(bucket: str, path: str) -> JSON:
    """TensorStore's words for what stands in a bucket, with what the environment says of S3."""
    spec: JSON = {"driver": "s3", "bucket": bucket, "path": path}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        spec |= {"endpoint": endpoint.rstrip("/"), "aws_region": region or "us-east-1"}
    elif region:
        spec["aws_region"] = region
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        spec["aws_credentials"] = {"type": "environment"}  # no look at ~/.aws, said on stderr
    return spec


class WebPlace:
    """A run on a web server: plain GETs of files."""

    remote = True
    seconds: float | None = READ_SECONDS

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise NotARunError(
                f"{_without_secrets(address)} is not the address of a run: expected "
                f"http(s)://host/path/run, without user, password, '?' or '#'"
            )
        key = quote(_root_of(unquote(parts.path)))
        self._root = f"{parts.scheme.lower()}://{parts.netloc}/{key}"
        self.name = self._root.removesuffix("/" + layout.ROOT)
        self._file = f"{self._root}/{layout.GROUP_FILE}"

    @property
    def path(self) -> Path:
        raise _no_path(self.name)

    def root(self) -> tuple[bytes, Any]:
        return fetch(self._file, ROOT_BYTES, ROOT_SECONDS)

    def unchanged(self, stamp: Any) -> bool:
        seen: Seen = stamp
        return fetch_unless(self._file, seen, ROOT_BYTES, ROOT_SECONDS)

    def kvstore(self, inside: str) -> JSON:
        return {"driver": "http", "base_url": self._root, "path": f"{inside}/"}

    def context(self) -> JSON:
        return {"http_request_retries": RETRIES}

    def check_folder(self, inside: str) -> None:
        pass

    def stored(self, key: str) -> tuple[str, int, int | None] | None:
        return None

    def locked(self) -> bool:
        return True

    def inside(self, path: str) -> str:
        return f"{self._root}/{path}"

    def size(self) -> int | None:
        return None


def _look(file: Path) -> os.stat_result | None:
    """Of a file of a run; None where it is not there.

    Raises:
        FormatError: something else stands there, which might never end, or lead anywhere.
        PlaceError: it may not be looked at.
    """
    try:
        found = file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise forbidden(file, error) from error
    if stat.S_ISLNK(found.st_mode):
        raise not_in_it(file, "is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise not_in_it(file, "is no file")
    return found


def not_in_it(file: str | Path, what: str) -> FormatError:
    """What a link comes to, or something else that is no file, where a run's file should stand."""
    return FormatError(
        f"{file} {what}: a run's files are its own. If you trust where it leads, copy the run with "
        f"`cp -rL` and open the copy"
    )


def forbidden(path: str | Path, error: OSError) -> PlaceError:
    """What a file or directory comes to that this user may not read."""
    return PlaceError(
        f"{path} may not be read ({error.strerror}): ask whoever owns the run for the right to read "
        f"its files and to enter its directories, or open a copy of your own"
    )


def unreachable(what: str, error: Exception) -> PlaceError:
    """What a failed read of something on another machine comes to."""
    said = " ".join(str(error).split())[:SAID] or "no answer in time"
    if re.search(r"\bPERMISSION_DENIED\b|http_response_code='40[13]'", said):  # not a port's digits
        return PlaceError(
            f"{what} may not be read (403): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the "
            f"address and AWS_ENDPOINT_URL; S3 also says so of what is not there to those who may "
            f"not list the bucket"
        )
    if isinstance(error, TimeoutError):
        said = "no answer in time"
    return PlaceError(
        f"{what} cannot be reached: {said}. Is the address right (for s3:// AWS_ENDPOINT_URL and "
        f"AWS_REGION too), the server running, and this machine online? Then try again"
    )


def _root_of(key: str) -> str:
    key = key.strip("/")
    return key if key.split("/")[-1] == layout.ROOT else f"{key}/{layout.ROOT}".lstrip("/")


def _check_size(size: int, file: str) -> None:
    if size > ROOT_BYTES:
        raise FormatError(
            f"{file} takes {size:,} bytes, more than the {ROOT_BYTES:,} that a run's root may take: "
            f"it was not written by huelapse, or is damaged"
        )


def _no_path(name: str) -> PlaceError:
    return PlaceError(f"{name} is on another machine and has no path here; use `run.place`")


def _without_secrets(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", address).partition("?")[0]


def size_of(path: Path) -> int:
    """Bytes of all files in a directory; links count as themselves, and what goes meanwhile not."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(Path(directory) / name).st_size
            except OSError:
                continue
    return total
