"""A bucket in the place of a disk that all machines share: parts of a replay, and what belongs to them.

Files have the names that they have in a run's `partial/`, where they are written first and fetched to.
Needs neither the model nor torch.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from huelapse.errors import NewerPartialError, PartialError, ReplayError
from huelapse.replaying import beginning, roster
from huelapse.replaying.asked import Asked
from huelapse.replaying.committing import Committer, Standing
from huelapse.replaying.naming import NamedPart, named_part
from huelapse.replaying.notes import Notes, is_note
from huelapse.store.objects import Objects
from huelapse.store.partial import PARTIAL
from huelapse.store.partial_file import PartialFile
from huelapse.store.pieces import GREATEST, MOST_PIECES, FilesInBucket

BEGINNING = re.compile(r"\.replay-([0-9a-f]{16})-(\d{4})of(\d{4})\.safetensors")
ROSTER = re.compile(r"\.replay-([0-9a-f]{16})-job-\d{6,}of\d{6,}\.json")
MARK = re.compile(r"\.(?:mark|trial)-[0-9a-f]{32}")
AT_ONCE = 8
"""Small files fetched at a time."""


class InBucket:
    """Where parts of a replay wait that machines without a disk in common have made."""

    def __init__(self, address: str, *, keep: bool = False) -> None:
        """
        Args:
            address: `s3://bucket/key`, of one run alone.
            keep: leave in the bucket what has been committed.

        Raises:
            OptionError: it is no folder in a bucket.
        """
        self._objects = Objects(address)
        self._files = FilesInBucket(self._objects)
        self._keep = keep
        self.notes = Notes(self._files, self._objects.name)
        self._known = False
        self.name = self._objects.name

    def try_out(self, *, writing: bool = True) -> None:
        """
        Args:
            writing: whether something is to be put there.

        Raises:
            PlaceError: it cannot be reached, or may not be used.
        """
        self._objects.try_out(writing=writing)

    @property
    def known(self) -> bool:
        """Whether something of a replay was there when `parts` looked."""
        return self._known

    # --- as it begins ------------------------------------------------------------------------------

    def begin(self, run: Path, asked: Asked) -> Standing | None:
        """What has been committed of this replay, by whomever; None where nobody says.

        What its parts were recorded of is fetched into the run's `partial/`.

        Raises:
            ReplayError: parts of another replay wait there.
            PlaceError: the bucket cannot be reached.
        """
        names = self._files.listed().whole
        begun = {name: match for name in names if (match := BEGINNING.fullmatch(name))}
        own = [name for name, match in begun.items() if match[1] == asked.digest]
        self.fetch_small(run, own)
        with TemporaryDirectory(prefix="huelapse-") as beside:
            self.fetch_small(Path(beside), [name for name in begun if name not in own])
            for match in begun.values():
                numbers = int(match[2]), int(match[3])
                found = beginning.find(Path(beside), match[1], *numbers)
                if found is not None and found.split.name == asked.split:
                    raise self._otherwise(asked, found.asked)
        self.notes.read(names)
        for noted in self.notes.all:
            if noted.split == asked.split and noted.standing.digest != asked.digest:
                raise self._otherwise(asked, noted.standing.asked)
        ours = self.notes.of(asked.digest)
        return None if ours is None or ours.split != asked.split else ours.standing

    def _otherwise(self, asked: Asked, before: Mapping[str, Any]) -> ReplayError:
        what = asked.difference(before) or "it was another version of huelapse"
        return ReplayError(
            f"{self.name} has parts of another replay of {asked.split!r}: {what}. Give each run an "
            f"address of its own (--parts-at), or each replay a split"
        )

    # --- what is put there ---------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Whether a file is there as a whole."""
        return self._files.has(name)

    def leave(self, path: Path) -> None:
        """Put a file there.

        Raises:
            PlaceError: the bucket cannot be reached, or refuses.
        """
        self._files.send(path.name, path)

    def leave_beginning(self, run: Path, path: Path) -> None:
        """The same of what parts were recorded of, unless it is there.

        Args:
            run: whose `partial/` the file is in.
            path: of the file.

        Raises:
            ReplayError: one is there that differs.
            PlaceError: the bucket cannot be reached, or refuses.
        """
        match = BEGINNING.fullmatch(path.name)
        assert match is not None
        numbers = match[1], int(match[2]), int(match[3])
        if self._files.has(path.name):
            with TemporaryDirectory(prefix="huelapse-") as beside:
                self.fetch_small(Path(beside), [path.name])
                known = beginning.find(Path(beside), *numbers)
            own = beginning.find(run, *numbers)
            difference = own.difference(known) if own is not None and known is not None else None
            if difference is not None:
                raise ReplayError(
                    f"{difference}, at {self.name}. Give each replay an address of its own"
                )
            if known is not None:
                return
        self.leave(path)

    def leave_roster(self, path: Path) -> None:
        """The same of what a job says of itself, in place of what it said before."""
        self._files.write(path.name, path.read_bytes())

    def mark(self) -> tuple[str, str]:
        """Key and content of a small object by which others tell that they see the same bucket."""
        key, content = f".mark-{uuid4().hex}", uuid4().hex
        self._objects.put(key, content.encode())
        return key, content

    def sees(self, key: str, content: str) -> bool:
        """Whether a mark is there."""
        with suppress(PartialError):
            return self._objects.get(key, len(content)) == content.encode()
        return False

    def unmark(self, key: str) -> None:
        self._objects.remove([key])

    # --- what is fetched from it ----------------------------------------------------------------------

    def parts(self, run: Path) -> tuple[list[NamedPart], list[str]]:
        """Parts that wait, and in sentences what else is there that is of no use. What belongs to the
        parts is fetched into the run's `partial/`.

        Raises:
            ReplayError: what was there before was committed into another run.
            PlaceError: the bucket cannot be reached.
        """
        listed = self._files.listed()
        small = [n for n in listed.whole if BEGINNING.fullmatch(n) or ROSTER.fullmatch(n)]
        why = self.fetch_small(run, small)
        odd = [f"{name}: {told}" for name, told in why.items()]
        self.notes.read(listed.whole)
        self.notes.check_run(run)
        small = [name for name in small if name not in why]
        known = {match[1][:8] for match in map(BEGINNING.fullmatch, small) if match}
        found: list[NamedPart] = []
        for name in listed.whole:
            part = named_part(name)
            if part is not None and part.digest in known:
                found.append(part)
            elif part is not None:
                odd.append(f"{name}: nothing there says what it was recorded of")
            elif name not in small and name not in why and not is_note(name):
                odd.append(f"{name}: it is no file of a replay")
        odd += [f"{k}: it is no file of a replay" for k in listed.others if not MARK.fullmatch(k)]
        self._known = bool(found or small or self.notes.all)
        return found, odd

    def fetch_small(self, run: Path, names: Sequence[str]) -> dict[str, str]:
        """What parts were recorded of, and what jobs say of themselves, into the run's `partial/`.

        Returns:
            Those that could not be, and why.
        """

        def fetch(name: str) -> str | None:
            path, match = run / PARTIAL / name, BEGINNING.fullmatch(name)
            try:
                most = roster.MOST_BYTES if match is None else beginning.MOST_BYTES
                self._files.fetch(name, path, most)
            except PartialError as error:
                return str(error)
            if match is None:
                return None
            if beginning.find(run, match[1], int(match[2]), int(match[3])) is None:
                return "it is damaged"
            return None

        with ThreadPoolExecutor(AT_ONCE) as fetching:
            found = zip(names, fetching.map(fetch, names), strict=True)
            return {name: told for name, told in found if told is not None}

    def commit(
        self, committer: Committer, paths: Sequence[Path], fetched: Sequence[Path] | None = None
    ) -> None:
        """Fetch parts of a checkpoint, commit it, and note and remove them. No copies are left.

        Args:
            committer: of the run.
            paths: of all its parts, in the run's `partial/`: where they are to be.
            fetched: of those that are in the bucket; None for all.

        Raises:
            PartialError: one is damaged, or another than its name says. It is open again: whoever is to
                do its task does it anew.
            PlaceError: the bucket cannot be reached.
            Others: as `Committer.commit`.
        """
        own = paths if fetched is None else fetched
        committer.begin()  # another who commits into this run would fetch to the same places
        try:
            for path in own:
                self._fetch(path)
            committer.commit(paths)
        except PartialError:
            for path in own:
                if not self._keep and path.is_file() and not _is_whole(path):
                    self._files.reopen(path.name)
            raise
        finally:
            for path in own:
                path.unlink(missing_ok=True)
        self.settle(committer, [path.name for path in own])

    def settle(self, committer: Committer, names: Sequence[str]) -> None:
        """Note what is in the run, then remove its parts."""
        if self._keep or not committer.durable:
            return
        self.notes.write(committer)
        for name in names:
            self._files.remove(name)

    def clear(self, digest: str) -> None:
        """Remove what belongs to parts, once all parts there are are in the run. The note stays."""
        if self._keep:
            return
        listed = self._files.listed()
        whole = (named_part(name) for name in listed.whole)
        if any(part is not None and part.digest == digest[:8] for part in whole):
            return
        for name in (*listed.whole, *listed.unfinished):
            part = named_part(name)
            match = BEGINNING.fullmatch(name) or ROSTER.fullmatch(name)
            if (match and match[1] == digest) or (part and part.digest == digest[:8]):
                self._files.remove(name)

    def _fetch(self, path: Path) -> None:
        try:
            self._files.fetch(path.name, path, GREATEST * MOST_PIECES)
        except PartialError as error:
            if not self._keep and not isinstance(error, NewerPartialError):
                self._files.reopen(path.name)
            raise
        _check_name(path)


def _check_name(path: Path) -> None:
    """
    Raises:
        PartialError: a part is damaged, or was put there under another's name.
    """
    with PartialFile(path) as file:
        name = file.about.file_name
    if name != path.name:
        raise PartialError(f"{path.name} holds another part: {name}")


def _is_whole(path: Path) -> bool:
    try:
        _check_name(path)
        with PartialFile(path) as file:
            file.verify()
    except NewerPartialError:
        return True
    except PartialError:
        return False
    return True
