"""Servers of a run's files: plain HTTP, and as much of S3 as reading objects takes."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

KEY = "AKIAHUELAPSE"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class S3(BaseHTTPRequestHandler):
    """GET and HEAD of objects, `/bucket/key`: ETag, If-None-Match, Range, errors as S3 words them.

    A listing is refused, and so is who does not sign with KEY. Signatures are not verified.
    """

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def __init__(self, folder: Path, asked: list[str], *args: object) -> None:
        self.folder, self.asked = folder, asked
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path, _, query = self.path.partition("?")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        if query or not key:
            return self.fail(403, "AccessDenied")
        if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
            return self.fail(403, "InvalidAccessKeyId")
        if not (self.folder / bucket).is_dir():
            return self.fail(404, "NoSuchBucket")
        file = self.folder / bucket / key
        if not file.is_file():
            return self.fail(404, "NoSuchKey")
        content = file.read_bytes()
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if self.headers.get("If-None-Match") == etag:
            return self.give(304, b"", etag)
        if self.headers.get("If-Match") not in (None, etag):
            return self.fail(412, "PreconditionFailed")
        wanted = self.headers.get("Range")
        if wanted is None:
            return self.give(200, content, etag)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(content) - int(last))
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        return self.give(206, content[start:stop], etag, f"bytes {start}-{stop - 1}/{len(content)}")

    def fail(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>"
        self.give(status, text.encode(), None)

    def give(self, status: int, content: bytes, etag: str | None, part: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if etag:
            self.send_header("ETag", etag)
        if part:
            self.send_header("Content-Range", part)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def serving(handler: object) -> Iterator[str]:
    """Address of a server in a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def web(folder: Path) -> Iterator[str]:
    with serving(partial(Quiet, directory=str(folder))) as address:
        yield address


@contextmanager
def s3(folder: Path, asked: list[str]) -> Iterator[str]:
    """Every folder below `folder` is a bucket."""
    with serving(partial(S3, folder, asked)) as address:
        yield address
