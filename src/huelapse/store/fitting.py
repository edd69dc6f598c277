"""Whether a part is one of this run: of the same units and classes, and of steps that still stand."""

from collections.abc import Mapping, Sequence

from huelapse.schema import TRUE, Split
from huelapse.store.partial import About
from huelapse.store.partial_file import PartialFile
from huelapse.store.reader import StoreReader

Layers = tuple[tuple[str, int], ...]
"""Path and number of units of each."""


def refusal(
    file: PartialFile, reader: StoreReader, layers: Layers, splits: Mapping[str, Split]
) -> str | None:
    """Why a part cannot be one of this run; None where it can."""
    about = file.about
    if about.run and reader.id and about.run != reader.id:
        return f"it is of another run (id {about.run[:40]}, here {reader.id})"
    if about.split not in splits:
        return f"the run has no split {about.split!r}; it has {', '.join(splits) or 'none'}"
    if about.layers != layers:
        return f"its layers are others: {_difference(dict(about.layers), dict(layers))}"
    split = splits[about.split]
    ours, theirs = (
        {one.name: one.classes for one in groupings}
        for groupings in (split.groupings, about.groupings)
    )
    if ours.keys() != theirs.keys():
        return f"its groupings are {', '.join(theirs)}; the run has {', '.join(ours)}"
    for name, classes in ours.items():
        if theirs[name] != classes:
            found = _difference(_numbered(theirs[name]), _numbered(classes))
            return f"its classes of grouping {name!r} are others: {found}"
    if split.groupings != about.groupings:
        return f"its groupings are in another order: {', '.join(theirs)}"
    if file.peaks != (len(reader.responses) > 1):
        return f"the run's responses are {', '.join(reader.responses)}, its are others"
    if file.has_confusion != (TRUE in ours and not split.multilabel):
        return "confusion counts are " + ("not the run's" if file.has_confusion else "missing")
    declared = {extra.path: extra.as_json() for extra in split.extras}
    for extra in about.extras:
        if declared.get(extra.path) != extra.as_json():
            return f"it holds {extra.path!r:.99} in a way that the run's split does not"
    if file.path.name != about.file_name:
        return f"a part of this content is named {about.file_name}: is it a copy?"
    return _given_up(about, reader)


def _given_up(about: About, reader: StoreReader) -> str | None:
    """Whether the training was gone on with from before this moment, and came there again."""
    if about.segment is None:
        return None
    segments = reader.attributes["segments"]
    if about.segment >= len(segments):
        return f"it is of segment {about.segment}; the run has {len(segments)}"
    later = segments[about.segment + 1 :]
    starts = [one.get("first_step", 0) for one in later if not one.get("merged")]
    if any(start < about.step for start in starts):
        return f"the training was resumed at step {min(starts)}, and made step {about.step} again"
    return None


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


def _difference(theirs: Mapping[str, int], ours: Mapping[str, int]) -> str:
    """In a few words, how a table of a part differs from the run's."""
    for word, here, there in (("it has", theirs, ours), ("it lacks", ours, theirs)):
        names = [name for name in here if name not in there]
        if names:
            return f"{word} {', '.join(repr(name) for name in names[:3])}"
    for name, value in ours.items():
        if theirs[name] != value:
            return f"{name!r} is {theirs[name]}, not {value}"
    return "they are in another order"
