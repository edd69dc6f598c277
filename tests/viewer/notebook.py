"""A notebook without Jupyter: the real Viewer and its messages, and a page that loads it as anywidget
does. Messages go over a small server; buffers arrive as parts of a message, at any offset."""

import json
import queue
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm

HOST = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<html lang="en"><title>A notebook</title>
<body data-jp-theme-light="LIGHT" style="font: italic 30px serif; color: red"><main>
<h1 id="huelapse">huelapse</h1><div id="out"></div></main>
<script type="module">
const state = await (await fetch("state")).json();
const heard = {};
const model = {
  get: (name) => state[name],
  on: (name, f) => (heard[name] ??= []).push(f),
  send: (content) => void fetch("send", { method: "POST", body: JSON.stringify(content) }),
};
const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
const widget = (await import(url)).default;
widget.initialize({ model });
globalThis.leave = [];
globalThis.show = async () => {
  const el = document.createElement("div");
  document.getElementById("out").append(el);
  globalThis.leave.push(await widget.render({ model, el }));
  globalThis.huelapse = el.firstChild.huelapse;
};
globalThis.escaped = [];
addEventListener("keydown", (event) => globalThis.escaped.push(event.key));
void show();
for (;;) {
  const message = await (await fetch("next")).arrayBuffer();
  if (message.byteLength === 0) continue;
  const length = new DataView(message).getUint32(0, true);
  const { method, content, state: changed } = JSON.parse(
    new TextDecoder().decode(new Uint8Array(message, 4, length)));
  if (method === "custom")
    for (const f of heard["msg:custom"] ?? []) f(content, [new DataView(message, 4 + length)]);
  else for (const [name, value] of Object.entries(changed ?? {})) {
    state[name] = value;
    for (const f of heard[`change:${name}`] ?? []) f();
  }
}
</script></body></html>"""


class Notebook:
    """What a kernel's comm sends, in order, and the one who hears what the page sends."""

    def __init__(self) -> None:
        self.sent: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()
        self.state: dict[str, Any] = {}
        self.viewer: Any = None
        self.open = True
        notebook = self

        class Recorded(BaseComm):
            def publish_msg(self, msg_type: str, data: Any = None, buffers: Any = None, **_: Any):
                if msg_type == "comm_open":
                    notebook.state = dict(data["state"])
                elif msg_type == "comm_msg":
                    notebook.sent.put((data, b"".join(bytes(b) for b in buffers or ())))

        self.comm = Recorded

    def hear(self, content: Any) -> None:
        """As ipywidgets gives a message of the page to its widget."""
        self.viewer._handle_custom_msg(content, [])

    def next(self, seconds: float = 10) -> tuple[dict[str, Any], bytes]:
        return self.sent.get(timeout=seconds)


@contextmanager
def notebook() -> Iterator[Notebook]:
    """Widgets that are made in the block talk to it."""
    with pytest.MonkeyPatch.context() as patched:
        found = Notebook()
        patched.setattr(comm, "create_comm", found.comm)
        yield found


@contextmanager
def shown(book: Notebook, *, light: bool = False) -> Iterator[str]:
    """The address of a page that shows the notebook's viewer."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            match self.path:
                case "/":
                    page = HOST.replace("LIGHT", str(light).lower())
                    self.answer(page.encode(), "text/html")
                case "/state":
                    self.answer(json.dumps(book.state).encode(), "application/json")
                case "/next":
                    self.answer(self.following(), "application/octet-stream")
                case _:
                    self.send_error(404)

        def following(self) -> bytes:
            try:
                data, content = book.next(0.5)
            except queue.Empty:
                return b""
            told = json.dumps(data).encode()
            return struct.pack("<I", len(told)) + told + content

        def do_POST(self) -> None:
            book.hear(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.answer(b"", "text/plain")

        def answer(self, content: bytes, kind: str) -> None:
            with suppress(ConnectionError):  # the page was closed
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
