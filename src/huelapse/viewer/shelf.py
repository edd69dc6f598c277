"""The runs that one server offers: those it was given, or what a folder holds now."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from huelapse.errors import HuelapseError, NotARunError, PlaceError
from huelapse.listing import Listed, is_bucket, list_one, places_in
from huelapse.palette import Choice
from huelapse.run import Run, open_run
from huelapse.viewer.resources import Resources

LOOK = 2.0
"""Seconds in which a folder is not looked into twice."""

STATES = 4
"""Earlier states of a run that pages can still ask for."""

Place = str | Path


@dataclass(slots=True)
class Book:
    """One run: where it is, and once it was asked for, its resources and what a list says of it."""

    place: Place
    resources: Resources | None = None
    listed: Listed | None = None
    version: str = ""
    told: OrderedDict[str, Resources] = field(default_factory=OrderedDict[str, Resources])
    """States whose manifest was asked for, by version: a page may begin with one of them."""
    shown: OrderedDict[str, Resources] = field(default_factory=OrderedDict[str, Resources])
    """States that a page shows: those of which anything else was asked for."""


class Shelf:
    """Runs by an opaque id. No path from a request touches the disk: what a folder holds is found by
    looking into it."""

    def __init__(
        self,
        runs: Sequence[Run] = (),
        *,
        colors: Choice | None = None,
        find: Callable[[], Sequence[Place]] | None = None,
        above: str = "",
    ) -> None:
        """
        Args:
            runs: that are offered.
            colors: of their classes.
            find: finds more of them, each time the list is asked for.
            above: the folder that `find` looks into, left out of what a run is called.
        """
        self._colors, self._find, self._above = colors, find, above
        self._books: dict[str, Book] = {}
        for run in runs:
            self._books[run_id(run)] = Book(place_of(run), self._resources_of(run))
        self._looked = float("-inf")
        self._looking = Lock()

    def look(self) -> None:
        """Find what there is now: runs that are gone are no longer offered."""
        if self._find is None:
            return
        with self._looking:
            if time.monotonic() - self._looked < LOOK:
                return
            found = {id_of(place): place for place in self._find()}
            kept = {id_: self._books.get(id_) or Book(place) for id_, place in found.items()}
            self._books = kept
            self._looked = time.monotonic()

    def runs(self) -> Iterator[Run]:
        """Those that can be read."""
        self.look()
        for id_ in list(self._books):
            try:
                resources = self.resources(id_)
            except (HuelapseError, OSError):
                continue
            if resources is not None:
                yield resources.run

    def resources(self, id_: str) -> Resources | None:
        """Of the present state of a run; None where there is no such run.

        Raises:
            HuelapseError: it cannot be read.
        """
        if id_ not in self._books:
            self.look()
        book = self._books.get(id_)
        if book is None:
            return None
        if book.resources is None:
            book.resources = self._resources_of(open_run(book.place))
        newer = book.resources.run.refreshed()
        if newer is not book.resources.run:
            book.resources = self._resources_of(newer, book.resources)
        return book.resources

    def _resources_of(self, run: Run, before: Resources | None = None) -> Resources:
        return Resources(run, before, colors=self._colors, other=self._run, addressed=True)

    def _run(self, id_: str) -> Run | None:
        found = self.resources(id_)
        return None if found is None else found.run

    def state(self, id_: str, version: str, *, manifest: bool) -> Resources | None:
        """Of a state that a page shows, though the run has gone on; None where it is not known (any
        more). A snapshot that is committed late takes its place by step, and shifts those behind.

        Args:
            id_: of the run.
            version: of the state, as its manifest says; "" for the present one.
            manifest: whether that is what is asked for: many come, and few are shown.

        Raises:
            HuelapseError: it cannot be read.
        """
        resources = self.resources(id_)
        book = self._books.get(id_)
        if resources is None or book is None:
            return None
        if version and version != resources.run.version:
            with self._looking:
                resources = book.shown.get(version) or book.told.get(version)
        if resources is not None:
            kept = book.told if manifest else book.shown
            with self._looking:
                kept[resources.run.version] = resources
                kept.move_to_end(resources.run.version)
                while len(kept) > STATES:
                    kept.popitem(last=False)
        return resources

    def listed(self) -> list[dict[str, Any]]:
        """A row for each run, as `huelapse ls` has them; of a single run its name alone."""
        self.look()
        books = dict(self._books)
        if self._find is None and len(books) == 1:
            ((id_, book),) = books.items()
            assert book.resources is not None
            return [{"id": id_, "name": book.resources.run.name}]
        return list(self._rows(books))

    def _rows(self, books: dict[str, Book]) -> Iterator[dict[str, Any]]:
        for id_, book in books.items():
            place = str(book.place)
            try:
                version = open_run(book.place).version
            except (HuelapseError, OSError):
                version = ""
            if book.listed is None or version != book.version or not version:
                book.listed, book.version = list_one(book.place, sized=False), version
            told = book.listed.as_json()
            inside = place.removeprefix(self._above).strip("/\\") if self._above else place
            yield {
                **{name: told[name] for name in SHOWN},
                "id": id_,
                "name": told["name"] or Path(place).name,
                "place": inside or place,
            }


SHOWN = ("state", "created", "classes", "snapshots", "last_step", "accuracy", "error")


def shelf_of(*given: Place, colors: Choice | None = None) -> Shelf:
    """The shelf of what a user named: runs, or folders (or those in a bucket) that hold runs.

    Raises:
        NotARunError, PlaceError: one of them is neither.
    """
    runs: list[Run] = []
    folders: list[Place] = []
    for place in given:
        try:
            runs.append(open_run(place))
        except NotARunError:
            if not _holds_runs(place):
                raise
            folders.append(place)
    if not folders:
        return Shelf(runs, colors=colors)
    named = [place_of(run) for run in runs]
    above = str(folders[0]) if len(given) == 1 else ""
    return Shelf(
        colors=colors,
        find=lambda: [*named, *(place for one in folders for place in places_in(one))],
        above=above,
    )


def _holds_runs(given: Place) -> bool:
    """Whether there are runs in it; what is itself one, and bad, is not a folder of runs."""
    try:
        own = given if is_bucket(str(given)) else Path(given)
        return any(place != own for place in places_in(given))
    except (NotARunError, PlaceError):
        return False


def run_id(run: Run) -> str:
    """Opaque and stable: the same run has the same address tomorrow."""
    return id_of(place_of(run))


def place_of(run: Run) -> Place:
    return run.place if run.remote else run.path


def id_of(place: Place) -> str:
    told = str(place.resolve()) if isinstance(place, Path) else place
    return hashlib.sha256(told.encode()).hexdigest()[:12]
