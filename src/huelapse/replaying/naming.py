"""What parts are called: the same for the same numbers, so that nothing is done twice."""

import hashlib
import re
from pathlib import Path

from huelapse.replaying.checkpoints import is_address
from huelapse.replaying.files import identity_of

PART = re.compile(r"replay-([0-9a-f]{8})([0-9a-f]{16})-([0-9]{4,})")


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
