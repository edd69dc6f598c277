"""What follows from a run and takes time to derive, kept beside it. Always safe to delete.

Names of files are digests of all that their content follows from, so nothing here is ever out of date:
what no longer fits is not found.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.store.atomic import replace_file
from huelapse.store.places import Place

logger = logging.getLogger(__name__)

DIRECTORY = "cache"
VERSION = 1
"""Of what is kept here; a change makes all that was kept before be derived anew."""
USER_BYTES = 2 * 2**30
"""The most that is kept in the user's cache directory; what was not used for longest goes first."""

Arrays = dict[str, np.ndarray]


def digest(*parts: Any) -> str:
    """A name for what follows from `parts`, which are plain JSON values."""
    text = json.dumps([VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class Cache:
    """Derived arrays of one run: in its directory, or, where that can't be written, in the user's
    cache directory. A cache that fails costs time and nothing else."""

    def __init__(self, place: Place, run: str) -> None:
        """
        Args:
            place: of the run.
            run: its id; one without has no cache, as nothing would tell it from others.
        """
        self.directory: Path | None = None
        self.shared = False
        if not run:
            return
        own = None if place.remote else place.path
        if (
            own is not None
            and own.is_dir()
            and os.access(own, os.W_OK)
            and _is_own(own / DIRECTORY)
        ):
            self.directory = own / DIRECTORY
        else:
            self.directory = user_directory() / run
            self.shared = True

    def find(self, kind: str, key: str) -> Arrays | None:
        """Arrays kept under a digest; None where there are none, or no whole ones."""
        file = self._file(kind, key)
        if file is None:
            return None
        try:
            # a checksum of each array is compared
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
            if self.shared:
                os.utime(file)
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever the library says of a file it can't make sense of
            logger.debug("%s cannot be used: %s", file, error)
            with contextlib.suppress(OSError):
                file.unlink()
            return None
        return arrays

    def has(self, kind: str, key: str) -> bool:
        file = self._file(kind, key)
        return file is not None and file.is_file()

    def keep(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> bool:
        """Keep arrays under a digest; whether that was possible."""
        file = self._file(kind, key)
        if file is None:
            return False
        content = io.BytesIO()
        np.savez(content, **arrays)  # pyright: ignore[reportArgumentType]
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, content.getvalue())
            self.make_room()
        except OSError as error:
            logger.debug("%s cannot be kept: %s", file, error)
            return False
        return True

    def make_room(self) -> None:
        """See that the user's cache directory stays within its bounds; a run's own has none."""
        if self.shared:
            _make_room(user_directory(), USER_BYTES)

    def _file(self, kind: str, key: str) -> Path | None:
        return None if self.directory is None else self.directory / kind / f"{key}.npz"


def _is_own(directory: Path) -> bool:
    """Whether nothing in a run that came from elsewhere would make us write outside of it."""
    folders = (directory, *directory.iterdir()) if directory.is_dir() else (directory,)
    return not any(folder.is_symlink() for folder in folders)


def user_directory() -> Path:
    """Where this user's programs keep what can be derived again."""
    from platformdirs import user_cache_path

    return user_cache_path("huelapse", appauthor=False)


def _make_room(directory: Path, most: int) -> None:
    """Remove files, those not used for longest first, until they take no more than `most` bytes."""
    found: list[tuple[float, int, Path]] = []
    for above, _, names in os.walk(directory):
        for name in names:
            file = Path(above) / name
            with contextlib.suppress(OSError):
                told = file.stat()
                found.append((told.st_mtime, told.st_size, file))
    total = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if total <= most:
            break
        file.unlink(missing_ok=True)
        total -= size
