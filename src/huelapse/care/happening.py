"""What `huelapse events` prints."""

import json
from collections import Counter

from rich.console import Console
from rich.table import Table

from huelapse.events import Event, Events
from huelapse.run import Run
from huelapse.terminal import shown

SHOWN = 40
"""Events that are listed; --json lists all."""


def events(
    out: Console, run: Run, *, split: str | None, grouping: str, measure: str, as_json: bool
) -> None:
    """The events of a run, the last of them as a table, with what noise alone would give.

    Raises:
        SelectionError: there is no such split, grouping or measure.
        FormatError: a part of the run is missing or damaged.
    """
    found = run.events(split, grouping, measure)
    if as_json:
        out.out(json.dumps(found.as_json(), indent=2))
        return
    out.print(f"{shown(run.name)}: {_counted(found)}", soft_wrap=True)
    if not found:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("step", "what", "layer", "unit", "class", "strength"):
        numbers = column in ("step", "unit", "strength")
        table.add_column(column, justify="right" if numbers else "left")
    for event in found.events[-SHOWN:]:
        table.add_row(
            str(event.step),
            event.kind.replace("_", " "),
            shown(event.layer),
            "" if event.unit is None else str(event.unit),
            shown(_classes(event)),
            f"{event.strength:.2f}",
        )
    out.print(table)
    if len(found) > SHOWN:
        out.print(f"The last {SHOWN} of {len(found):,}; --json lists all.")


def _counted(found: Events) -> str:
    if not found:
        return f"nothing happened to any unit in {found.snapshots} snapshots"
    kinds = Counter(event.kind for event in found.events)
    told = [
        f"{number:,} {kind.replace('_', ' ')}"
        + (
            f" ({_at_most(found.expected_false[kind])} of them by noise)"
            if kind in found.expected_false
            else ""
        )
        for kind, number in kinds.most_common()
    ]
    return f"{', '.join(told)} in {found.snapshots} snapshots"


def _at_most(number: float) -> str:
    return "hardly any" if number < 0.05 else f"at most {number:.1f}"


def _classes(event: Event) -> str:
    by = "suppressed by " if event.suppressed else ""
    if event.before is not None and event.after is not None:
        return f"{event.before} → {by}{event.after}"
    return f"{by}{event.after}" if event.after is not None else event.before or ""
