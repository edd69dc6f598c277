"""Sizes, inks and papers of pictures. Everything that is no class is neutral."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from huelapse.errors import MissingExtraError, OptionError

try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise MissingExtraError(
        "pictures need Matplotlib, which is not installed: pip install 'huelapse[plot]'",
        name="matplotlib",
    ) from error

Preset = Literal["column", "double", "slide"]
ThemeName = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Size:
    """Inches and points. `text` is the smallest text there is."""

    width: float
    height: float
    text: float
    title: float
    line: float


SIZES: dict[str, Size] = {
    "column": Size(width=3.35, height=2.9, text=7.0, title=8.0, line=0.8),
    "double": Size(width=7.0, height=4.2, text=7.5, title=9.0, line=1.0),
    "slide": Size(width=13.33, height=7.5, text=18.0, title=24.0, line=2.5),
}


@dataclass(frozen=True, slots=True)
class Inks:
    page: str
    ink: str
    quiet: str
    faint: str


INKS: dict[str, Inks] = {
    "light": Inks(page="#ffffff", ink="#16181d", quiet="#5f646d", faint="#c9ccd2"),
    "dark": Inks(page="#0e1014", ink="#f2f3f5", quiet="#9aa0aa", faint="#3c4048"),
}

TO_KEEP_TEXT: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none"}
"""Text stays text in vector files: it can be searched, edited and set in the journal's face."""


class Picture(Figure):
    """A figure that is saved as it was made: on its own page, with its text as text."""

    def savefig(self, fname: Any, **how: Any) -> None:
        """As Matplotlib's, at 300 dots per inch unless told otherwise."""
        with mpl.rc_context(TO_KEEP_TEXT):
            given: Any = {"facecolor": self.get_facecolor(), "dpi": 300, **how}
            super().savefig(fname, **given)


@dataclass(frozen=True, slots=True)
class Style:
    preset: Preset
    theme: ThemeName
    size: Size
    inks: Inks

    @classmethod
    def of(cls, preset: str, theme: str) -> "Style":
        """
        Raises:
            OptionError: there is no such preset or theme.
        """
        for what, given, known in (("preset", preset, SIZES), ("theme", theme, INKS)):
            if given not in known:
                raise OptionError(f"no {what} {given!r}; there are {', '.join(known)}")
        return cls(preset, theme, SIZES[preset], INKS[theme])  # pyright: ignore[reportArgumentType]

    @contextmanager
    def figure(self, height: float = 1.0) -> Generator[Picture]:
        """An empty picture; what is drawn inside takes its sizes and inks.

        Args:
            height: as a share of the preset's.
        """
        size, inks = self.size, self.inks
        settings: Any = {
            "font.size": size.text,
            "axes.titlesize": size.title,
            "axes.labelsize": size.text,
            "xtick.labelsize": size.text,
            "ytick.labelsize": size.text,
            "axes.linewidth": size.line * 0.6,
            "lines.linewidth": size.line,
            "axes.edgecolor": inks.faint,
            "axes.labelcolor": inks.quiet,
            "axes.titlecolor": inks.ink,
            "axes.titlelocation": "left",
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.color": inks.ink,
            "xtick.color": inks.quiet,
            "ytick.color": inks.quiet,
            "xtick.major.size": size.text * 0.3,
            "ytick.major.size": size.text * 0.3,
            "xtick.major.width": size.line * 0.6,
            "ytick.major.width": size.line * 0.6,
            "hatch.linewidth": size.line * 0.4,
            "hatch.color": inks.quiet,
            **TO_KEEP_TEXT,
        }
        with mpl.rc_context(settings):
            tall = size.height if self.preset == "slide" else size.height * height
            picture = Picture(figsize=(size.width, tall), facecolor=inks.page, layout="constrained")
            FigureCanvasAgg(picture)
            gap = size.text / 72
            layout: Any = picture.get_layout_engine()
            layout.set(w_pad=gap * 0.4, h_pad=gap * 0.4, wspace=0.02, hspace=0.02)
            yield picture

    def letters(self, points: float | None = None) -> int:
        """How many letters fit beside each other."""
        return int(self.size.width * 72 / ((points or self.size.title) * 0.6))
