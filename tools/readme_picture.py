"""Draws README's picture from two demo runs: one layer, and the same trained on permuted labels.

huelapse demo --no-view --out A; huelapse demo --no-view --shuffle-labels --out B
python tools/readme_picture.py A B
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import huelapse
from huelapse.plot import axes as ax
from huelapse.plot.cells import Shown, tuned
from huelapse.plot.key import class_key
from huelapse.plot.kymograph import draw_cells, notes_of
from huelapse.plot.style import Style

OUT = Path(__file__).parents[1] / "docs"
LAYER = "fc1.1"


def pair(paths: list[Path], theme: str) -> Any:
    style = Style.of("double", theme)
    runs = [huelapse.open(path) for path in paths]
    shown = [Shown.of(run.painter, None, "true", "margin", style, None) for run in runs]
    with style.figure(height=1.0) as picture:
        grid = picture.subplots(2, 2, height_ratios=[1, 4.4], sharex="col")
        for column, (one, lead) in enumerate(zip(shown, ("", "Labels permuted: "), strict=True)):
            layer = one.run.layer(LAYER)
            pictures = one.pictures(layer.slice)
            share = tuned({name: values[-1] for name, values in pictures.items()}).mean()
            curve, cells = grid[:, column]
            ax.accuracy(curve, one)
            curve.spines["bottom"].set_visible(False)
            curve.tick_params(axis="x", length=0, labelbottom=False)
            name, tells = LAYER.partition(".")[0], f"{100 * share:.0f} %"
            words = f"{lead}{tells} tuned" if lead else f"{tells} of {name} ends tuned to a class"
            curve.set_title(words, fontweight="bold", pad=9)
            draw_cells(cells, one, pictures)
            ax.snapshots(cells, one)
            if column:
                curve.set_ylabel("")
                curve.set_yticks([])
        classes = shown[0].classes
        state = np.concatenate([one.pictures(slice(None))["state"].ravel() for one in shown])
        class_key(picture, shown[0], np.ones(len(classes)), notes=notes_of(state))
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs=2)
    paths: list[Path] = parser.parse_args().runs
    for theme in ("light", "dark"):
        pair(paths, theme).savefig(OUT / f"kymograph-{theme}.png", dpi=230)


if __name__ == "__main__":
    main()
