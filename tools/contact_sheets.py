"""Every view of a run on one sheet for each size and theme: `python tools/contact_sheets.py RUN OUT`.

For looking at all of the page after a change, and for `docs/views`. The views by themselves, in full
size, are left in OUT/NAME/. Needs Chromium, playwright and Pillow.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from screenshots import shoot

import huelapse

SIZES = ("1440x900", "1024x768", "760x620")
COLUMNS = 3
TILE = 420
"""Pixels that a view is wide on a sheet."""
GAP = 8
QUALITY = 72
"""Of a sheet as WebP: about 100 kB."""


def states(run: huelapse.Run) -> dict[str, str]:
    """Addresses of the views, by name."""
    last = int(run.steps[-1])
    middle = int(run.steps[len(run.steps) // 3])
    layers = run.layers
    # a unit to look at: the strongest of the layer before the output
    layer = layers[-2]
    strength = run.strength(step=last)[layer.offset : layer.offset + layer.units]
    unit = layer.offset + int((strength if strength.size else [0]).argmax())
    matrix = run.confusion()[-1]
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    row, column = divmod(int(wrong.argmax()), len(matrix))
    return {
        "untrained": f"step={run.steps[0]}",
        "middle": f"step={middle}",
        "trained": f"step={last}",
        "unit": f"step={last}&unit={unit}",
        "class": f"step={last}&class=1",
        "layer": f"view=layer&layer={len(layers) // 2}&step={last}",
        "classes": f"view=classes&step={last}",
        "confusion": f"view=confusion&step={last}&cell={row},{column}",
        "samples": f"view=samples&step={last}&only=wrong&sample=0",
        "geometry": "view=geometry",
        "compare": f"view=compare&step={last}",
        "table": f"view=table&step={last}",
    }


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    path, out = sys.argv[1], Path(sys.argv[2])
    found = states(huelapse.open(path))
    name = Path(path).name
    for size in SIZES:
        for theme in ("dark", "light"):
            wanted = [
                f"{name}/{size}-{theme}/{view}@{size}={state}&theme={theme}"
                for view, state in found.items()
            ]
            paste(shoot([path], out, wanted), out / f"{name}-{size}-{theme}.webp", theme)


def paste(views: list[Path], to: Path, theme: str) -> None:
    tiles = [Image.open(view).convert("RGB") for view in views]
    height = round(TILE * tiles[0].height / tiles[0].width)
    rows = -(-len(tiles) // COLUMNS)
    ground = (60, 60, 60) if theme == "dark" else (200, 200, 200)
    size = (COLUMNS * (TILE + GAP) + GAP, rows * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, ground)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, COLUMNS)
        at = (GAP + column * (TILE + GAP), GAP + row * (height + GAP))
        sheet.paste(tile.resize((TILE, height), Image.Resampling.LANCZOS), at)
    sheet.save(to, quality=QUALITY, method=6)
    print(to, f"{to.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
