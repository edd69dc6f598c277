"""What parts are called: the same for the same numbers, so that nothing is done twice."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from huelapse.replaying.checkpoints import is_address
from huelapse.replaying.files import identity_of
from huelapse.store.partial import SUFFIX

PART = re.compile(r"replay-([0-9a-f]{8})([0-9a-f]{16})-([0-9]{4,8})")
FILE = re.compile(rf".*-(\d{{1,19}})-{PART.pattern}-[0-9a-f]{{12}}{re.escape(SUFFIX)}")
"""Of a part, as `store.partial.file_name` calls it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPart:
    """A part, as the name of its file says."""

    name: str
    step: int
    digest: str
    """The first half of what was asked."""
    key: str
    """Of the checkpoint."""
    part: int


def named_part(name: str) -> NamedPart | None:
    """What the name of a file says; None where it is no part's."""
    match = FILE.fullmatch(name)
    if match is None:
        return None
    step, digest, key, part = match.groups()
    return NamedPart(name=name, step=int(step), digest=digest, key=key, part=int(part))


def identity_at(place: str) -> str:
    """Of a checkpoint's content; an address stands for what it holds.

    Raises:
        CheckpointError: it cannot be read.
    """
    return place if is_address(place) else identity_of(Path(place))


def key_of(digest: str, identity: str, step: int) -> str:
    """Of a checkpoint's snapshot: of what was asked, of which content, at which step."""
    return hashlib.sha256(f"{digest}\n{identity}\n{step}".encode()).hexdigest()[:16]


def part_name(digest: str, key: str, part: int) -> str:
    return f"replay-{digest[:8]}{key}-{part:04d}"


def key_in(name: str, digest: str) -> str | None:
    """The key in the name of a part; None where it is no part of that replay."""
    match = PART.fullmatch(name)
    return match[2] if match is not None and match[1] == digest[:8] else None
