"""What the page is told first: what a run holds, and which resources there are of it."""

from typing import Any

from huelapse.events import KINDS
from huelapse.geometry.outlining import keeps
from huelapse.measures import MEASURES, TUNED
from huelapse.painting import CHUNK
from huelapse.palette import LEVELS
from huelapse.run import Run
from huelapse.schema import PREDICTED, TRUE, Split
from huelapse.viewer import alike, closer, pictured, tables
from huelapse.viewer.leveled import Belongings

TITLES = {TRUE: "True label", PREDICTED: "Predicted"}


def manifest(run: Run, belongings: Belongings, *, addressed: bool) -> dict[str, Any]:
    """The run as a whole: its layers, splits and groupings, and which resources there are.

    Args:
        addressed: whether this state can be asked for by its version.
    """
    facts: dict[str, Any] = run.facts["facts"] or {}
    return {
        "format": 1,
        "name": run.name,
        "created": facts.get("created", ""),
        "state": run.status,
        "version": run.version,
        **({"addressed": True} if addressed else {}),
        "model": {"name": facts.get("model", ""), "parameters": facts.get("parameters", 0)},
        "versions": {"huelapse": facts.get("huelapse", ""), **facts.get("versions", {})},
        "levels": LEVELS,
        "chunk": CHUNK,
        "threshold": TUNED,
        "measures": [
            {
                "name": m.name,
                "title": m.title,
                "about": m.about,
                "non_negative": m.non_negative,
            }
            for m in MEASURES.values()
            if m.colors
        ],
        "event_kinds": list(KINDS),
        "layers": [layer.as_json() for layer in run.layers],
        "segments": list(run.segments),
        "splits": [_split(run, belongings, split) for split in run.splits],
    }


def _split(run: Run, belongings: Belongings, split: Split) -> dict[str, Any]:
    pictures = pictured.described(run, split.name)
    return {
        "name": split.name,
        "kind": split.kind,
        "samples": split.facts.get("samples"),
        "mode": split.facts.get("mode"),
        "weights": split.facts.get("weights"),
        "multilabel": split.multilabel,
        "snapshots": len(run.coordinate("step", split.name)),
        "hidden": run.hidden(split.name),
        "metrics": run.metrics(split.name),
        "incomplete": [
            {"snapshot": one.snapshot, "parts": one.parts, "expected": one.expected}
            for one in run.incomplete(split.name)
        ],
        "resources": [
            *closer.confusion_name(run, split),
            *(["alike"] if tables.has_alike(run, split) else []),
            *("heat", "units", "table", "compare"),
            *(["geometry"] if any(g.name == TRUE for g in split.groupings) else []),
            *(["similarity"] if keeps(run, split.name) else []),
            *(["floor", "cell_units"] if run.has("responses", split.name) else []),
            *(["through_layers"] if alike.has_layers(run, split) else []),
            *(["samples"] if closer.has_samples(run, split.name) else []),
            *(["thumbnails"] if run.has("thumbnails", split.name) else []),
            *pictures,
            *(["cell_maps", "unit_maps"] if "maps" in pictures else []),
        ],
        **pictures,
        "groupings": [
            {
                "name": g.name,
                "title": TITLES.get(g.name, g.name),
                "classes": list(g.classes),
                **tables.told(g, belongings),
            }
            for g in split.groupings
        ],
    }
