"""What a run holds, for `huelapse info`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from huelapse.store.partial import PARTIAL, SUFFIX
from huelapse.terminal import shown

GROUPS, MEMBERS = 10, 5
"""Superclasses that are told, and of each so many of what belongs to it."""


def summary(run: Any) -> dict[str, Any]:
    from huelapse.measures import TUNED, State

    layers: list[dict[str, Any]] = []
    steps = [int(step) for step in run.steps] if run.splits else []
    for layer in run.layers:
        row: dict[str, Any] = {
            "path": layer.path,
            "kind": layer.kind,
            "units": layer.units,
            "unit_axis": layer.unit_axis,
        }
        if steps:
            first, last = (_mean(run.strength(step, layer.path)) for step in (steps[0], None))
            tuned = (run.state(None, layer.path, threshold=TUNED) == State.TUNED).mean()
            row |= {
                "mean_strength_first": first,
                "mean_strength_last": last,
                "share_tuned_last": round(float(tuned), 4),
            }
        layers.append(row)
    return {
        "path": run.place,
        "name": run.name,
        "state": run.status,
        "classes": list(run.classes) if run.splits else [],
        "superclasses": run.superclasses,
        "units": run.units,
        "splits": {
            split.name: {
                "kind": split.kind,
                "samples": split.facts.get("samples"),
                "mode": split.facts.get("mode"),
                "snapshots": len(run.coordinate("step", split.name)),
                "steps": run.coordinate("step", split.name).tolist(),
                "groupings": [g.name for g in split.groupings],
                "metrics": run.metrics(split.name),
                "ranks": split.facts.get("ranks"),
                "padding": split.facts.get("padding"),
                "incomplete": [asdict(one) for one in run.incomplete(split.name)],
            }
            for split in run.splits
        },
        "steps": steps,
        "accuracy_last": None
        if not steps or run.split().multilabel
        else round(float(run.accuracy()[-1]), 4),
        "layers": layers,
        "parts_waiting": _parts_waiting(run.place),
        "bytes": run.bytes,
        **run.facts,
    }


def _parts_waiting(place: str) -> int:
    """Files of ranks and workers that are in no snapshot, or in one that is not whole."""
    directory = Path(place).absolute() / PARTIAL
    return sum(1 for _ in directory.glob(f"*{SUFFIX}")) if directory.is_dir() else 0


def _mean(strength: Any) -> float | None:
    """Mean over the units of which something is known; None where there are none."""
    known = strength[strength == strength]
    return round(float(known.mean()), 4) if len(known) else None


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _missing(incomplete: Sequence[dict[str, Any]]) -> str:
    """Snapshots that count fewer samples than others, in one sentence."""
    told = [
        f"step {one['step']} ({one['parts']} of {one['expected'] or 'an unknown number of'} parts)"
        for one in incomplete[:3]
    ]
    more = len(incomplete) - len(told)
    return (
        f"  merged without all parts: {', '.join(told)}{f' and {more:,} more' if more else ''}; "
        f"`huelapse merge` adds those that come late"
    )


def _belonging(told: Mapping[str, str]) -> str:
    """Which superclasses there are, and what belongs to each, in one line.

    Args:
        told: class or superclass → what it belongs to; one that stands alone to itself.
    """
    members: dict[str, list[str]] = {}
    for name, parent in told.items():
        if parent != name:
            members.setdefault(parent, []).append(name)
    alone = [name for name, parent in told.items() if parent == name and name not in members]
    each = [f"{shown(name)} ({_few(own, MEMBERS)})" for name, own in members.items()]
    return (
        f"{len(members):,} superclass{'es' if len(members) > 1 else ''}: {', '.join(each[:GROUPS])}"
        + (f" and {len(each) - GROUPS:,} more" if len(each) > GROUPS else "")
        + (f"; on their own: {_few(alone, MEMBERS)}" if alone else "")
    )


def _few(names: Sequence[str], most: int) -> str:
    """So many of the names, and how many more there are."""
    more = len(names) - most
    return ", ".join(map(shown, names[:most])) + (f" and {more:,} more" if more > 0 else "")


def _gap(gap: dict[str, Any]) -> str:
    """What is missing, before its reason."""
    if "rank" in gap:
        who = f"Rank {gap['rank']}"
        if "until" in gap:
            return f"{who} could not write its share of steps {gap['step']} to {gap['until']}"
        return f"{who} stopped recording at step {gap['step']}"
    if "until" in gap:
        return f"Snapshots of steps {gap['step']} to {gap['until']} could not be written"
    return f"Recording stopped at step {gap['step']}"


def print_summary(out: Console, found: dict[str, Any]) -> None:
    facts: dict[str, Any] = found["facts"] or {}
    out.print(
        f"[bold]{shown(found['name'])}[/bold]  {shown(found['path'])}  ({shown(found['state'])})",
        soft_wrap=True,
    )
    out.print(
        f"{shown(facts.get('model', '?'))}, {facts.get('parameters', 0):,} parameters; "
        f"{len(found['classes'])} classes; {found['units']:,} units"
        + ("" if found["bytes"] is None else f"; {found['bytes'] / 1e6:.1f} MB on disk")
    )
    if found["superclasses"]:
        out.print(_belonging(found["superclasses"]), soft_wrap=True)
    for name, split in found["splits"].items():
        steps: list[int] = split["steps"]
        out.print(
            f"{shown(name)}: {shown(split['kind'])} of {split['samples']:,} samples in "
            f"{shown(split['mode'])} mode, "
            + (f"of {split['ranks']} ranks together, " if split["ranks"] else "")
            + f"{split['snapshots']} snapshots"
            + (f", steps {steps[0]} to {steps[-1]}" if steps else "")
        )
        if split["padding"]:
            out.print(f"  {shown(split['padding'])}", soft_wrap=True)
        if split["incomplete"]:
            out.print(f"[yellow]{_missing(split['incomplete'])}[/yellow]", soft_wrap=True)
    cost: dict[str, float] = found.get("cost") or {}
    if cost:
        windows = cost.get("window_share", 0.0)
        first = cost.get("first_probe_seconds", 0.0)
        out.print(
            f"Probes took {cost['probe_share']:.1%} of the training time"
            + (f", the one before it {first:.2g} s" if first else "")
            + (f", hooks and sums of windows {windows:.1%}" if windows else "")
            + f", handing over {cost.get('waiting_seconds', 0.0):.2g} s; "
            f"{found['dropped'] or 0} snapshots dropped"
        )
    ranks: dict[str, Any] = found.get("ranks") or {}
    unseen = ranks.get("expected", 0) - len(ranks.get("seen", ()))
    if ranks and unseen > 0:
        out.print(
            f"[yellow]{unseen} of {ranks['expected']} ranks were never seen where this run was "
            f"recorded: is it on a disk that all of them share?[/yellow]",
            soft_wrap=True,
        )
    if found["parts_waiting"] and found["state"] != "recording":
        out.print(
            f"[yellow]{found['parts_waiting']:,} parts of ranks or workers are not merged: "
            f"`huelapse merge` tells what they wait for[/yellow]",
            soft_wrap=True,
        )
    gaps: list[dict[str, Any]] = found.get("gaps") or []
    for gap in gaps:
        out.print(f"{_gap(gap)}: {shown(gap['reason'])}", soft_wrap=True)
    if found["accuracy_last"] is not None:
        out.print(f"Accuracy at the last snapshot: {found['accuracy_last']:.1%}")
    table = Table("layer", "kind", box=None, pad_edge=False)
    for column in ("units", "mean strength, first", "last", "tuned, last"):
        table.add_column(column, justify="right")
    for layer in found["layers"]:
        measured = "mean_strength_first" in layer
        table.add_row(
            shown(layer["path"]),
            shown(layer["kind"]),
            f"{layer['units']:,}",
            *(
                (
                    _two(layer["mean_strength_first"]),
                    _two(layer["mean_strength_last"]),
                    f"{layer['share_tuned_last']:.0%}",
                )
                if measured
                else ("", "", "")
            ),
        )
    out.print(table)
