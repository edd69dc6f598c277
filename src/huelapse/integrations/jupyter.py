"""The page in a notebook cell, by anywidget.

from huelapse.integrations.jupyter import Viewer

viewer = Viewer("runs/fashion")
viewer                                # in the last line of a cell
viewer.selection.unit                 # what is chosen in the page
viewer.show(step=400, layer="fc1")    # and from here
"""

import gzip
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import uuid4

from huelapse.errors import (
    FormatError,
    HuelapseError,
    MissingExtraError,
    OptionError,
    SelectionError,
)
from huelapse.measures import find_measure
from huelapse.palette import Choice
from huelapse.run import Run, open_run
from huelapse.schema import TRUE, Layer
from huelapse.viewer.server import Page, load_static
from huelapse.viewer.shelf import Shelf, run_id

logger = logging.getLogger(__name__)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, but broken
            raise
    raise MissingExtraError(
        "the page in a notebook needs anywidget: pip install 'huelapse[jupyter]', "
        "then restart the kernel and reload the notebook's page",
        name=name,
    )


if TYPE_CHECKING:
    import traitlets
    from anywidget import AnyWidget
else:
    AnyWidget = _library("anywidget").AnyWidget
    traitlets = _library("traitlets")

VIEWS = ("network", "layer", "classes", "confusion", "samples", "table", "compare", "geometry")
"""As the page's address names them."""
HEIGHT, LOWEST = 620, 400
"""Of a cell, in CSS pixels."""
ANSWERING = 2
"""Threads: the kernel's own stays free for cells."""
WORTH_PACKING = 1024
"""Bytes from which an answer is packed."""


class Selection(traitlets.HasTraits):
    """What is chosen in the page. It is read here, and set by `Viewer.show` or a click.

    Every trait can be observed: ``viewer.selection.observe(seen, "unit")``. All are None until the
    page is open, and where nothing is chosen.
    """

    view = traitlets.Unicode(None, allow_none=True, read_only=True)
    split = traitlets.Unicode(None, allow_none=True, read_only=True)
    grouping = traitlets.Unicode(None, allow_none=True, read_only=True)
    measure = traitlets.Unicode(None, allow_none=True, read_only=True)
    step = traitlets.Int(None, allow_none=True, read_only=True)
    """Of the snapshot at the playhead."""
    layer = traitlets.Unicode(None, allow_none=True, read_only=True)
    """Path of the unit's layer, or of the one that is looked at by itself."""
    unit = traitlets.Int(None, allow_none=True, read_only=True)
    """Index in its layer, from 0."""
    class_name = traitlets.Unicode(None, allow_none=True, read_only=True)
    """Of the class that is highlighted."""
    cell = traitlets.Tuple(None, allow_none=True, read_only=True)
    """Names of the true and the predicted class of a confusion cell."""
    sample = traitlets.Int(None, allow_none=True, read_only=True)
    """Index in the split's samples."""
    threshold = traitlets.Float(None, allow_none=True, read_only=True)

    def __repr__(self) -> str:
        chosen = {name: getattr(self, name) for name in self.trait_names()}
        told = (f"{name}={value!r}" for name, value in chosen.items() if value is not None)
        return f"Selection({', '.join(told)})"

    def take(self, chosen: Mapping[str, Any]) -> None:
        """Set all traits at once; observers hear of those that changed."""
        with self.hold_trait_notifications():
            for name, value in chosen.items():
                self.set_trait(name, value)


class Viewer(AnyWidget):
    """The page on one run, in a cell. What it shows travels in the notebook's own messages, as binary
    buffers: no port is opened, and nothing of the run is saved in the notebook.

    While a cell runs the kernel hears no message, and the page waits; what it has loaded stays usable.
    """

    _answering: ThreadPoolExecutor | None = None
    _wanted = traitlets.Unicode("").tag(sync=True)
    height = traitlets.Int(HEIGHT, read_only=True).tag(sync=True)
    """Of the cell, in CSS pixels."""

    def __init__(
        self,
        run: Run | str | os.PathLike[str],
        *,
        height: int = HEIGHT,
        colors: Choice | None = None,
    ) -> None:
        """
        Args:
            run: or where it is: a directory, a pack, s3://… or https://….
            height: of the cell, in CSS pixels; from 700 wide the page has all its parts.
            colors: of the classes, as for `huelapse view`.

        Raises:
            NotARunError, PlaceError: there is no run.
            PaletteError: `colors` names a class that the run does not have.
            OptionError: the height is below 400.
            ServerError: the page is not built.
        """
        if height < LOWEST:
            raise OptionError(f"the height is {height}, expected at least {LOWEST} pixels")
        found = run if isinstance(run, Run) else open_run(os.fspath(run))
        if colors is not None:
            colors.check([g.classes for split in found.splits for g in split.groupings])
        self._id = run_id(found)
        self._shelf = Shelf([found], colors=colors)
        self._page = Page(self._shelf)
        self._answering = ThreadPoolExecutor(ANSWERING, thread_name_prefix="huelapse-page")
        self._sending = Lock()
        self._shows = 0
        self.selection = Selection()
        script = load_static()["main.js"][0].decode()
        # a file of its own for each viewer: a host that loads equal files once would mix two runs up
        self._esm = f"{script}\n// {uuid4().hex}"
        super().__init__()
        self.set_trait("height", height)
        self.on_msg(self._hear)

    @property
    def run(self) -> Run:
        """The run as it is now."""
        resources = self._shelf.resources(self._id)
        assert resources is not None
        return resources.run

    def close(self) -> None:
        """Take the page away, everywhere it is shown."""
        if self._answering is not None:  # ipywidgets closes what could not be made, too
            self._answering.shutdown(wait=False, cancel_futures=True)
        super().close()

    def show(
        self,
        *,
        step: int | None = None,
        view: str | None = None,
        split: str | None = None,
        grouping: str | None = None,
        measure: str | None = None,
        layer: str | None = None,
        unit: int | None = None,
        class_name: str | None = None,
        sample: int | None = None,
        threshold: float | None = None,
    ) -> None:
        """Turn the page to what is named; what is None stays as it is.

        Args:
            step: of a snapshot.
            view: network, layer, classes, confusion, samples or table.
            split, grouping, measure: by name.
            layer: its path; a selected unit of another one is selected no more.
            unit: index in `layer`.
            class_name: of the class to be highlighted, in the grouping that is then shown.
            sample: index in the samples of the split that is then shown.
            threshold: from which a unit counts as tuned; 0.05 … 0.95.

        Raises:
            SelectionError: the run has no such step, split, grouping, measure, layer, unit, class or
                sample.
            OptionError: no such view, a unit without its layer, a threshold out of range.
        """
        run, now = self.run, self.selection
        if view is not None and view not in VIEWS:
            raise OptionError(f"no view {view!r}; there are {', '.join(VIEWS)}")
        if unit is not None and layer is None:
            raise OptionError("which layer the unit is of must be said: show(layer=…, unit=…)")
        if threshold is not None and not 0.05 <= threshold <= 0.95:
            raise OptionError(f"the threshold is {threshold:g}, expected 0.05 … 0.95")
        shown = run.split(split or now.split)
        groups = run.grouping(grouping or now.grouping or shown.groupings[0].name, shown.name)
        wanted: dict[str, Any] = {
            "step": step, "view": view, "split": split, "grouping": grouping, "sample": sample,
            "measure": None if measure is None else find_measure(measure).name,
            "threshold": threshold,
        }  # fmt: skip
        if step is not None:
            run.index(step, shown.name)
        if layer is not None:
            wanted |= _place_of(run, run.layer(layer), unit)
        if class_name is not None:
            wanted["class"] = _index(groups.classes, class_name, "class")
        if sample is not None:
            _check_below(sample, int(shown.facts.get("samples") or 0), "sample")
        self._shows += 1  # the same wish twice is two wishes
        told = {key: value for key, value in wanted.items() if value is not None}
        self._wanted = urlencode({**told, "wish": self._shows})

    # --- what the page asks ----------------------------------------------------------------------

    def _hear(self, _: Any, content: Any, buffers: Any) -> None:
        """A message of the page."""
        match content:
            case {"kind": "get", "id": int(id_), "key": str(key)}:
                assert self._answering is not None
                self._answering.submit(self._answer, id_, key)
            case {"kind": "selected", "address": dict(address)}:
                self._note(address)
            case _:
                logger.debug("a message that is none of the page's: %.200r", content)

    def _answer(self, id_: int, key: str) -> None:
        """Content of a resource, with what a server would answer as a status."""
        status, content = 200, b""
        try:
            found = self._page.answer(key)
            if found is None:
                status = 404
            else:
                content = found.content
        except FormatError as error:  # it will not be better the next time
            logger.warning("%s", error)
            status = 422
        except HuelapseError as error:
            logger.warning("%s", error)
            status = 500
        except Exception:  # the page must hear of it, or it waits forever
            logger.exception("%s could not be made", key)
            status = 500
        packed = len(content) > WORTH_PACKING
        if packed:
            content = gzip.compress(content, 2)
        answer = {"kind": "answer", "id": id_, "status": status, "gzip": packed}
        with self._sending:
            self.send(answer, [content])

    def _note(self, address: dict[str, Any]) -> None:
        """What is chosen now, by its names."""
        run = self.run
        try:
            split, grouping = str(address["split"]), str(address["grouping"])
            classes = run.grouping(grouping, split).classes
            unit, layer = int(address["unit"]), int(address["layer"])
            if unit >= 0:
                layer = next(i for i, one in enumerate(run.layers) if unit < one.offset + one.units)
            true, _, predicted = str(address["cell"]).partition(",")
            own = run.grouping(TRUE, split).classes if predicted else ()
            chosen: dict[str, Any] = {
                "view": str(address["view"]),
                "split": split,
                "grouping": grouping,
                "measure": str(address["measure"]),
                "step": int(address["step"]),
                "layer": run.layers[layer].path if layer >= 0 else None,
                "unit": unit - run.layers[layer].offset if unit >= 0 else None,
                "class_name": classes[int(address["class"])] if address["class"] >= 0 else None,
                "cell": (own[int(true)], own[int(predicted)]) if own else None,
                "sample": int(address["sample"]) if address["sample"] >= 0 else None,
                "threshold": int(address["threshold"]) / 100,
            }
        except (HuelapseError, LookupError, TypeError, ValueError, StopIteration) as error:
            logger.debug("a selection that is none of this run's: %r", error)
            return
        self.selection.take(chosen)


def _place_of(run: Run, layer: Layer, unit: int | None) -> dict[str, int]:
    """A layer, and a unit of it, as the page's address names them."""
    index = run.layers.index(layer)
    if unit is None:
        return {"layer": index}
    _check_below(unit, layer.units, f"unit of layer {layer.path!r}")
    return {"layer": index, "unit": layer.offset + unit}


def _check_below(given: int, number: int, what: str) -> None:
    if not 0 <= given < number:
        raise SelectionError(f"no {what} {given}: there are {number}, from 0")


def _index(names: Sequence[str], name: str, what: str) -> int:
    if name not in names:
        raise SelectionError(f"no {what} {name!r}; there are {', '.join(names)}")
    return names.index(name)
