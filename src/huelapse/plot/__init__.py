"""Pictures of a run without a browser: Matplotlib figures in the page's colors. `Run.plot`."""

from typing import Any

from huelapse.errors import SelectionError
from huelapse.measures import DEFAULT
from huelapse.painting import Painter
from huelapse.palette import Choice
from huelapse.plot import kymograph, layer, network, through, unit
from huelapse.plot.cells import Shown
from huelapse.plot.style import Picture, Preset, Style, ThemeName
from huelapse.schema import TRUE

__all__ = ["Picture", "Plot"]


class Plot:
    """Makes pictures of a run. Each is a `matplotlib.figure.Figure` that nothing else holds.

    Calling it gives one that makes them otherwise: `run.plot(preset="slide", theme="dark")`. A hue
    means a class and nothing else; what is not held is exactly neutral; nothing is interpolated.
    """

    def __init__(
        self,
        painter: Painter,
        preset: Preset = "double",
        theme: ThemeName = "light",
        split: str | None = None,
        grouping: str = TRUE,
        measure: str = DEFAULT,
        colors: Choice | None = None,
    ) -> None:
        self._painter, self._run = painter, painter.run
        self._how: dict[str, Any] = {
            "preset": preset,
            "theme": theme,
            "split": split,
            "grouping": grouping,
            "measure": measure,
            "colors": colors,
        }

    def __call__(self, **how: Any) -> "Plot":
        """The same with other options.

        Args:
            preset: "column" (3.35 in wide, 7 pt), "double" (7 in) or "slide" (≥ 18 pt).
            theme: "light" or "dark".
            split, grouping, measure: as everywhere.
            colors: of the classes (docs/colors.md); default: the run's own.

        Raises:
            TypeError: there is no such option.
        """
        unknown = [name for name in how if name not in self._how]
        if unknown:
            raise TypeError(f"no option {unknown[0]!r}; there are {', '.join(self._how)}")
        return Plot(self._painter, **{**self._how, **how})

    def network(self, step: int | None = None) -> Picture:
        """Every unit of every layer at a step (default: the last)."""
        shown = self._shown()
        return network.network(shown, self._run.index(step, shown.split))

    def layer(self, path: str, step: int | None = None) -> Picture:
        """What each unit of a layer responds to at a step, class by class."""
        shown = self._shown()
        return layer.layer(shown, path, self._run.index(step, shown.split))

    def kymograph(self, path: str) -> Picture:
        """A layer's units through training, under the accuracy."""
        return kymograph.kymograph(self._shown(), path)

    def unit(self, path: str, i: int, step: int | None = None) -> Picture:
        """One unit: its tuning at a step with 95 % intervals, and through training."""
        shown = self._shown()
        return unit.unit(shown, path, i, self._run.index(step, shown.split))

    def classes(self) -> Picture:
        """The share of each layer that is tuned to each class, through training."""
        return through.classes(self._shown())

    def timeline(self) -> Picture:
        """Accuracy, loss, and each layer's mean strength through training."""
        return through.timeline(self._shown())

    def _shown(self) -> Shown:
        how = self._how
        style = Style.of(how["preset"], how["theme"])
        shown = Shown.of(
            self._painter, how["split"], how["grouping"], how["measure"], style, how["colors"]
        )
        if len(shown.steps) == 0:
            raise SelectionError(f"{self._run.place} has no snapshot yet")
        return shown
