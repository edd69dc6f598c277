"""The page behind a proxy's prefix and through a tunnel, in a real Chromium."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from closer_run import trained
from typer.testing import CliRunner
from viewing import TOKEN, Viewer

import huelapse
from huelapse.cli import app
from huelapse.color import paint
from huelapse.palette import palette
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf

pytestmark = pytest.mark.timeout(300)

PREFIX = "/user/ana/proxy/8642"
HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("behind") / "run")


@contextmanager
def proxied(address: str, seen: list[tuple[str, str, str]], *, passes_host: bool) -> Iterator[str]:
    """A reverse proxy that offers a viewer under a prefix and strips it, as nginx and
    jupyter-server-proxy do; everything else there is another's. Notes path, cookies and origin."""
    target = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("cookie", ""), self.headers.get("origin", "")))
            if not self.path.startswith(f"{PREFIX}/"):
                self.reply(404, {}, b"another's")
                return
            upstream = HTTPConnection(target.hostname or "", target.port)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            headers["Host"] = self.headers["Host"] if passes_host else target.netloc
            upstream.request("GET", self.path.removeprefix(PREFIX), headers=headers)
            answer = upstream.getresponse()
            told = {k: v for k, v in answer.getheaders() if k.lower() not in HOP}
            self.reply(answer.status, told, answer.read())
            upstream.close()

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        host = "viewer.localhost" if passes_host else "127.0.0.1"
        yield f"http://{host}:{server.server_port}{PREFIX}/?{target.query}"
        server.shutdown()
        thread.join()


@contextmanager
def forwarded(port: int) -> Iterator[int]:
    """A TCP forwarder on another port, as `ssh -L` is one."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    class Both(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as far:
                for end in (far, self.request):
                    end.settimeout(10)  # one that is idle is given up
                back = threading.Thread(target=pump, args=(far, self.request))
                back.start()
                pump(self.request, far)
                back.join()

    with ThreadingTCPServer(("127.0.0.1", 0), Both) as server:  # waits for its threads at the end
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def tab(browser: Any) -> Iterator[Any]:
    """With a cookie jar of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    yield context
    context.close()


def check(viewer: Viewer, run: huelapse.Run) -> None:
    """The colors are Python's, and what is asked for later comes, too."""
    assert "token" not in viewer.page.url
    colors = paint(run.preferred(), np.nan_to_num(run.strength()), palette(10), "dark")
    units = np.flatnonzero(np.isin(run.state(), [0, 1])).tolist()
    assert viewer.cell_colors(units) == colors[units].tolist()
    viewer.open("view=confusion&unit=5")
    viewer.by("inspector").get_by_role("heading", name="Through training").wait_for()
    viewer.page.reload()
    viewer.ready()
    assert "unit=5" in viewer.page.url
    assert [line for line in viewer.said if "willReadFrequently" not in line] == []


@pytest.mark.browser
def test_behind_a_prefix_all_stays_below_it(run: huelapse.Run, browser: Any) -> None:
    seen: list[tuple[str, str, str]] = []
    with (
        in_background(Shelf([run]), token=TOKEN) as address,
        proxied(address, seen, passes_host=False) as outside,
        tab(browser) as context,
    ):
        check(Viewer(context.new_page(), outside), run)
        assert {path[: len(PREFIX) + 1] for path, _, _ in seen} == {f"{PREFIX}/"}
        (cookie,) = context.cookies()
        assert cookie["path"] == PREFIX
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        # what else is offered there hears nothing of the token
        context.new_page().goto(outside.partition(PREFIX)[0] + "/user/mallory/")
        path, cookies, _ = next(one for one in reversed(seen) if "mallory" in one[0])
        assert (path, cookies) == ("/user/mallory/", "")


@pytest.mark.browser
def test_a_proxy_that_passes_its_name_on_must_be_allowed(run: huelapse.Run, browser: Any) -> None:
    seen: list[tuple[str, str, str]] = []
    with (
        in_background(Shelf([run]), token=TOKEN, hosts=["viewer.localhost"]) as address,
        proxied(address, seen, passes_host=True) as outside,
        tab(browser) as context,
    ):
        check(Viewer(context.new_page(), outside), run)
    with (
        in_background(Shelf([run]), token=TOKEN) as address,
        proxied(address, seen, passes_host=True) as outside,
        tab(browser) as context,
    ):
        page = context.new_page()
        assert page.goto(outside).status == 421
        assert "--allow-host" in page.locator("body").inner_text()


@pytest.mark.browser
def test_two_tunnels_on_other_ports_work_side_by_side(run: huelapse.Run, browser: Any) -> None:
    with (
        in_background(Shelf([run]), token="one") as first,
        in_background(Shelf([run]), token="two") as second,
        forwarded(urlsplit(first).port) as here,
        forwarded(urlsplit(second).port) as there,
        tab(browser) as context,
    ):
        viewer = Viewer(context.new_page(), f"http://localhost:{here}/?token=one")
        other = Viewer(context.new_page(), f"http://localhost:{there}/?token=two")
        check(other, run)
        check(viewer, run)  # the second's cookie has not locked it out
        assert {cookie["name"] for cookie in context.cookies()} == {
            f"huelapse-{here}",
            f"huelapse-{there}",
        }


def find_sshd() -> str | None:
    return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def reached(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.browser
@pytest.mark.skipif(
    find_sshd() is None or shutil.which("ssh") is None or os.geteuid() != 0, reason="no SSH server"
)
def test_through_a_real_ssh_tunnel(run: huelapse.Run, browser: Any, tmp_path: Path) -> None:
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True)
    (tmp_path / "config").write_text(
        f"HostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\nPidFile none\n"
        f"UsePAM no\nStrictModes no\nPermitRootLogin yes\nListenAddress 127.0.0.1\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as b:
        door, here = one.getsockname()[1], b.getsockname()[1]
    Path("/run/sshd").mkdir(exist_ok=True)  # the daemon asks for it
    daemon = subprocess.Popen(
        [find_sshd() or "", "-D", "-e", "-p", str(door), "-f", str(tmp_path / "config")]
    )
    with in_background(Shelf([run]), token=TOKEN) as address, tab(browser) as context:
        tunnel = subprocess.Popen(
            [
                *("ssh", "-N", "-L", f"{here}:localhost:{urlsplit(address).port}"),
                *("-p", str(door), "-i", str(tmp_path / "user"), "127.0.0.1"),
                *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known"),
                *("-o", "ConnectionAttempts=20"),
            ]
        )
        try:
            deadline = time.monotonic() + 20
            while not reached(here):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            check(Viewer(context.new_page(), f"http://localhost:{here}/?token={TOKEN}"), run)
        finally:
            for process in (tunnel, daemon):
                process.terminate()
                process.wait(10)


# --- what `view` prints --------------------------------------------------------------------------


def printed(monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[str, dict[str, Any]]:
    given: dict[str, Any] = {}

    def serve(run: str, *, ready: Any, **rest: Any) -> None:
        given.update(rest)
        ready("http://127.0.0.1:8770/?token=abc")

    monkeypatch.setattr("huelapse.viewer.server.serve", serve)
    done = CliRunner().invoke(app, ["view", "runs/x", "--no-browser", *options])
    assert done.exit_code == 0, done.output
    return done.output, given


def test_on_a_remote_machine_the_line_for_ones_own_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert "ssh" not in printed(monkeypatch)[0]
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.3 22")
    monkeypatch.setattr("platform.node", lambda: "node7")
    assert "ssh -L 8770:localhost:8770 node7" in printed(monkeypatch)[0]


def test_names_of_proxies_are_given_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    options = ["--allow-host", "a.example", "--allow-host", "b.example"]
    told, given = printed(monkeypatch, *options)
    assert given["hosts"] == ["a.example", "b.example"]
    assert "?token=abc" in told.partition("Through the proxy")[2]
