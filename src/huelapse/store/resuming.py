"""Whether a recording is the same as the one it is to go on with."""

from collections.abc import Mapping, Sequence
from typing import Any

from huelapse.errors import ResumeError
from huelapse.schema import Layer, Split
from huelapse.store.reader import StoreReader
from huelapse.superclasses import ATTRIBUTE

SHOWN = 80
"""Letters of a difference that are told."""


def check_same_units(
    reader: StoreReader, layers: Sequence[Layer], responses: Sequence[str]
) -> None:
    """
    Raises:
        ResumeError: the run's units, or what is recorded of them, are others.
    """
    ours = {layer.path: layer.as_json() for layer in layers}
    theirs = {layer.path: layer.as_json() for layer in reader.layers}
    if list(ours) != list(theirs):
        new = [path for path in ours if path not in theirs]
        gone = [path for path in theirs if path not in ours]
        what = "; ".join(
            f"{word} {', '.join(paths[:5])}"
            for word, paths in (("now there are also", new), ("now missing are", gone))
            if paths
        )
        raise _refused(reader, f"its layers are others: {what or 'they run in another order'}")
    for path, layer in ours.items():
        if layer != theirs[path]:
            raise _refused(reader, f"layer {path!r} {_difference(theirs[path], layer)}")
    if tuple(responses) != reader.responses:
        raise _refused(
            reader,
            f"it holds responses {', '.join(reader.responses)}, not {', '.join(responses)}",
        )


def check_same_superclasses(reader: StoreReader, now: Mapping[str, str] | None) -> None:
    """Those of a run that has none may be given later; a run that has some need not be told them again.

    Raises:
        ResumeError: the run's superclasses are others.
    """
    before: Any = reader.attributes.get(ATTRIBUTE)
    if before is None or now is None or dict(before) == dict(now):
        return
    name = next(name for name in {**before, **now} if before.get(name) != now.get(name))
    was, is_now = (repr(one[name])[:SHOWN] if name in one else "nothing" for one in (before, now))
    raise _refused(reader, f"superclasses: {name[:SHOWN]!r} belonged to {was}, now to {is_now}")


def check_same_split(reader: StoreReader, before: Split, now: Split) -> None:
    """
    Raises:
        ResumeError: the split's classes, probe or optional arrays are others.
    """
    old, new = before.as_json(), now.as_json()
    for key in ("kind", "groupings", "multilabel", "extras"):
        if old.get(key) != new.get(key):
            raise _refused(
                reader,
                f"{key} of split {now.name!r} {_difference({key: old.get(key)}, {key: new.get(key)})}",
            )
    hashes = before.facts.get("hash"), now.facts.get("hash")
    if hashes[0] != hashes[1]:
        raise _refused(
            reader,
            f"the probe of split {now.name!r} is not the one recorded so far (hash {hashes[0]}, now "
            f"{hashes[1]}), so their numbers cannot stand on one timeline",
        )


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for key in {**before, **now}:
        if before.get(key) != now.get(key):
            was, is_now = (str(one.get(key))[:SHOWN] for one in (before, now))
            return f"had {key} {was}, and has {is_now} now"
    return "differs"


def _refused(reader: StoreReader, what: str) -> ResumeError:
    return ResumeError(
        f"{reader.directory} cannot be gone on with: {what}. Record what it was begun with, or pass "
        f'exist="new" for a run beside it. Nothing was changed'
    )
