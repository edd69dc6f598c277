"""The page's server: static files of the bundle, and the run's resources."""

import json
import mimetypes
import socket
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from huelapse.errors import FormatError, HuelapseError, SelectionError, ServerError
from huelapse.palette import Choice
from huelapse.viewer.answers import Answer, Answers
from huelapse.viewer.security import Guard, host_name, new_token
from huelapse.viewer.shelf import Shelf, shelf_of

HOST = "127.0.0.1"
PORT = 8765
PORTS_TRIED = 20
STATIC = ("index.html", "main.js", "main.css", "film.js")
PASSING = ("manifest.json", "live.json")
"""Of a run, what may be something else though nothing was committed: a writer may be gone."""


def passes(rest: str) -> bool:
    """Whether an answer is true for now alone: of who writes, of another run, or of what is being
    worked out."""
    match rest.split("/"):
        case [name]:
            return name in PASSING
        case [_, "geometry.st"] | [_, _, "compare", *_]:
            return True
        case _:
            return False


class Page:
    """Everything one server answers. No path from a request ever touches the disk: static files
    are read once at the start, and runs are known by an opaque id."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._static = {path: Answer.of(*file) for path, file in load_static().items()}
        self._answers = Answers()

    def answer(self, path: str) -> Answer | None:
        """What is asked for; None where there is nothing.

        Raises:
            HuelapseError: the run can't be read any more.
        """
        if path in self._static:
            return self._static[path]
        if path == "runs.json":
            listed = json.dumps({"runs": self._shelf.listed()}).encode()
            return Answer.of(listed, "application/json")
        name, _, rest = path.partition("/")
        id_, _, version = name.partition("@")
        resources = self._shelf.state(id_, version, manifest=rest == "manifest.json")
        if resources is None:
            return None
        try:
            if passes(rest):
                return Answer.of(*resources.get(rest))
            state = id_, resources.run.version
            return self._answers.find((*state, rest), lambda: resources.get(rest))
        except SelectionError:
            return None


def load_static() -> dict[str, tuple[bytes, str]]:
    """The built page: request path → content and media type.

    Raises:
        ServerError: the bundle is not there.
    """
    folder = files("huelapse.viewer").joinpath("static")
    found: dict[str, tuple[bytes, str]] = {}
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.is_file():
                kind = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
                if entry.name.endswith(".js"):  # some systems' registries say text/plain
                    kind = "text/javascript"
                found[entry.name] = (entry.read_bytes(), kind)
    missing = [name for name in STATIC if name not in found]
    if missing:
        raise ServerError(
            f"the viewer's page is not built: {', '.join(missing)} missing in {folder}; "
            f"in a checkout run `make frontend`, otherwise install huelapse again"
        )
    found[""] = found["index.html"]
    return found


def build_app(shelf: Shelf, *, token: str, hosts: Collection[str] = ()) -> Any:
    """The ASGI application that offers the runs of a shelf, to loopback hosts and `hosts`."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    page = Page(shelf)

    async def respond(request: Request) -> Response:
        path = request.path_params["path"]
        try:
            answer = await run_in_threadpool(page.answer, path)
        except FormatError as error:  # it will not be better the next time
            return Response(str(error), 422, media_type="text/plain")
        except HuelapseError as error:
            return Response(str(error), 500, media_type="text/plain")
        if answer is None:
            return Response("Not found.", 404, media_type="text/plain")
        headers = {"etag": answer.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == answer.tag:
            return Response(status_code=304, headers=headers)
        content = answer.content
        if answer.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            content = answer.packed
            headers["content-encoding"] = "gzip"
        return Response(content, media_type=answer.kind, headers=headers)

    app = Starlette(routes=[Route("/{path:path}", respond, methods=["GET", "HEAD"])])
    return Guard(app, token=token, hosts=hosts)  # pyright: ignore[reportArgumentType]


def listen(port: int | None, host: str = HOST) -> socket.socket:
    """A listening socket on loopback.

    Args:
        port: exactly this one, or None for the first free from 8765 on.

    Raises:
        ServerError: the port is taken.
    """
    candidates = range(PORT, PORT + PORTS_TRIED) if port is None else [port]
    reason: OSError | None = None
    for candidate in candidates:
        # the protocol named: only then does asyncio send small answers at once (TCP_NODELAY), which
        # would otherwise wait 40 ms for the other side's acknowledgement of their head
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # SO_REUSEADDR, so that a viewer just stopped does not block its successor
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            reason = error if isinstance(error, OSError) else OSError(str(error))
            continue
        return listener
    where = f"port {port}" if port is not None else f"ports {PORT} to {PORT + PORTS_TRIED - 1}"
    raise ServerError(
        f"{where} on {host}: {reason}; is another viewer running? "
        f"Choose another with --port N, or leave it out to take a free one"
    )


@contextmanager
def in_background(
    shelf: Shelf,
    *,
    token: str | None = None,
    port: int | None = None,
    hosts: Collection[str] = (),
) -> Generator[str]:
    """Serve runs from a thread of this process while the block lasts.

    Args:
        token: of the address; by default a new one.
        port: None takes the first free one from 8765 on.
        hosts: names of proxies that pass them on.

    Yields:
        the page's address, token included.
    """
    import uvicorn

    _import_first()
    key = token or new_token()
    with listen(port) as listener:
        number = int(listener.getsockname()[1])
        app = build_app(shelf, token=key, hosts=hosts)
        serving = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://{HOST}:{number}/?token={key}"
        finally:
            serving.should_exit = True
            thread.join()


def _import_first() -> None:
    """What requests need, before there are any: importing keeps the interpreter to itself for tens of
    milliseconds, and a training may run in this process."""
    for name in ("scipy.cluster.hierarchy", "scipy.special"):
        import_module(name)


def serve(
    *places: str | Path,
    port: int | None = None,
    ready: Callable[[str], None] | None = None,
    colors: Choice | None = None,
    hosts: Collection[str] = (),
) -> None:
    """Serve a run, several, or the runs of a folder, until interrupted.

    Args:
        places: a run's directory, pack or address; or a folder, or one in a bucket, that holds runs:
            of several runs the page begins with a list.
        port: None takes the first free one from 8765 on.
        ready: called with the page's address (token included) once it answers.
        colors: of the classes; by default those of each run's facts, or else the standard ones.
        hosts: names of proxies that pass them on, answered to beside localhost.

    Raises:
        NotARunError, PlaceError: one of them is no run and holds none.
        PaletteError: `colors` names a class that the run does not have.
        OptionError: one of `hosts` is no name of a host.
    """
    import uvicorn

    names = [host_name(host) for host in hosts]
    shelf = shelf_of(*places, colors=colors)
    if colors is not None:
        colors.check(
            [g.classes for run in shelf.runs() for split in run.splits for g in split.groupings]
        )
    listener = listen(port)
    number = int(listener.getsockname()[1])
    token = new_token()
    app = build_app(shelf, token=token, hosts=names)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    server = uvicorn.Server(config)
    if ready is not None:
        ready(f"http://{HOST}:{number}/?token={token}")
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
