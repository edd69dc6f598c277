"""A run as one HTML file: the page, and as much of the run as a budget allows, to open from disk."""

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from huelapse.palette import Choice
from huelapse.run import Run
from huelapse.store.atomic import check_place, replace_file
from huelapse.viewer.collecting import BESIDE, Collected, Done, nobody
from huelapse.viewer.parts import Parts
from huelapse.viewer.server import load_static
from huelapse.viewer.shelf import run_id

BUDGET = 10 * 10**6
"""Bytes of the file, by default."""

PRESSED = 6
"""How hard gzip tries."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of an export."""

    bytes: int
    left_out: tuple[str, ...]
    """Parts that had no room."""
    unreadable: tuple[str, ...] = ()
    """Parts of which something is damaged, and left out."""


def write_page(
    run: Run,
    path: Path,
    *,
    budget: int = BUDGET,
    colors: Choice | None = None,
    force: bool = False,
    done: Done = nobody,
) -> Exported:
    """Write a run as an HTML file that needs no server and no network.

    What has no room is left out, the least needed first (see `Parts`), and named on the page; so is
    what is damaged.

    Args:
        run: its present state is written.
        path: of the file; it is whole or not there.
        budget: bytes that the file may have.
        colors: of the classes, as for the viewer.
        force: replace a file that is there.
        done: called with the share of the work that is done, and what is being made.

    Raises:
        ExportError: the run has no snapshot, not even its pictures have room, or no place for a file.
        ExportExistsError: there is a file, and it is not to be replaced.
        ServerError: the page is not built.
    """
    check_place(path, force=force)
    parts = Parts(run, colors)
    page = _Page(run)
    whole = json.dumps({**parts.whole, "left_out": [part.name for part in parts.parts]})
    overhead = page.overhead + len(_packed(whole.encode())) + BESIDE
    found = parts.collect(budget - overhead, _packed, done)
    found.content["manifest.json"] = _packed(json.dumps(found.manifest, allow_nan=False).encode())
    content = page.html(found.content, found.unreadable)
    replace_file(path, content)
    return exported(len(content), found)


def exported(size: int, found: Collected) -> Exported:
    """What became of what was collected, in so many bytes."""
    return Exported(size, tuple(found.left_out), tuple(found.manifest.get("unreadable", ())))


def _packed(content: bytes) -> bytes:
    # without a time, so that the same run gives the same file
    return base64.b64encode(gzip.compress(content, PRESSED, mtime=0))


class _Page:
    """The page's own files, as they stand in one."""

    def __init__(self, run: Run) -> None:
        self._run = run
        static = load_static()
        font = (
            base64.b64encode(static["inter.woff2"][0]).decode() if "inter.woff2" in static else ""
        )
        style = static["main.css"][0].decode()
        self._style = style.replace("inter.woff2", f"data:font/woff2;base64,{font}").replace(
            "</style", "<\\/style"
        )
        script = static["main.js"][0].decode()
        self._script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
        # packed like the run, and run when a film is asked for: the policy knows it unpacked
        self._film = static["film.js"][0].decode()
        self.overhead = len(self.html({}))

    def html(
        self, data: dict[str, bytes], unreadable: Mapping[str, str] = MappingProxyType({})
    ) -> bytes:
        """The file, with packed resources by their path below the run, and why others are not there."""
        id_ = run_id(self._run)
        runs = {"runs": [{"id": id_, "name": self._run.name}]}
        blocks = {"runs.json": _packed(json.dumps(runs).encode())}
        blocks["film.js"] = _packed(self._film.encode())
        blocks |= {f"{id_}/{key}": content for key, content in data.items()}
        policy = (
            f"default-src 'none'; script-src '{_digest(self._script)}' "
            f"'{_digest(self._film)}'; style-src "
            f"'{_digest(self._style)}'; font-src data:; img-src data: blob:; base-uri 'none'; "
            f"form-action 'none'"
        )
        lines = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f"<title>{html.escape(self._run.name)} · huelapse</title>",
            f'<link rel="icon" href="data:,"><style>{self._style}</style></head>',
            '<body><div id="huelapse"></div>',
            "<noscript>huelapse needs JavaScript to draw the network.</noscript>",
            *(
                f'<script type="text/plain" data-key="{html.escape(key)}">{content.decode()}</script>'
                for key, content in blocks.items()
            ),
            *(
                f'<script type="text/plain" data-key="{html.escape(f"{id_}/{key}")}" '
                f'data-damaged="{html.escape(why)}"></script>'
                for key, why in unreadable.items()
            ),
            f'<script type="module">{self._script}</script></body></html>',
        ]
        return "\n".join(lines).encode()


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
