"""A server of S3, as much of it as reading, writing, listing and removing objects takes; its faults."""

import hashlib
import hmac
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

import pytest

KEY = "AKIAHUELAPSE"
SECRET = "never-to-be-said/secret"
PAGE = 50
"""Names told at a time, so that there are several pages."""


@dataclass
class Fault:
    """What goes wrong with some requests: a status, or one of KINDS."""

    method: str
    inside: str
    """Of the path."""
    what: int | str
    times: int = 10**9
    after: int = 0
    """Such requests that go well before."""


KINDS = ("cut", "short", "slow", "kill")
"""The connection is closed in the middle of a request's body, or of an answer's; a second's delay;
whoever asks is killed in the middle of it."""
CODES = {403: "AccessDenied", 404: "NoSuchBucket", 500: "InternalError", 503: "SlowDown"}


@dataclass
class Served:
    """What a server was asked, and what is to go wrong."""

    folder: Path
    """Every folder in it is a bucket."""
    asked: list[str] = field(default_factory=list[str])
    """Paths of GETs, HEADs and listings."""
    written: list[str] = field(default_factory=list[str])
    """Keys, as they were written."""
    removed: list[str] = field(default_factory=list[str])
    faults: list[Fault] = field(default_factory=list[Fault])
    writable: bool = True
    greatest: int = 0
    """Bytes of the largest object that was written."""
    victim: int | None = None
    """Process id of who is to be killed."""

    def kill(self) -> None:
        end = time.monotonic() + 10
        while self.victim is None and time.monotonic() < end:
            time.sleep(0.001)
        assert self.victim is not None
        os.kill(self.victim, signal.SIGKILL)


class S3(BaseHTTPRequestHandler):
    """GET, HEAD, PUT and DELETE of objects, `/bucket/key`, and ListObjectsV2: ETag, If-None-Match,
    Range, errors as S3 words them. An object is there as a whole or not at all.

    Who does not sign with KEY is refused, and so is a listing and a change where `writable` is not set.
    Of what changes or lists something the signature is verified, and a body's SHA-256.
    """

    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # an answer in one packet, which no delayed acknowledgment holds up

    def __init__(self, served: Served, *args: object) -> None:
        self.served = served
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.served.asked.append(self.path)
        path, _, query = self.path.partition("?")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        if self.broken():
            return None
        if "list-type=2" in query and self.served.writable:
            return self.list(bucket, query)
        if query or not key:
            return self.fail(403, "AccessDenied")
        if not self.known(bucket):
            return None
        file = self.served.folder / bucket / key
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
        if start >= len(content):
            return self.fail(416, "InvalidRange")
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        return self.give(206, content[start:stop], etag, f"bytes {start}-{stop - 1}/{len(content)}")

    def do_PUT(self) -> None:
        bucket, _, key = unquote(self.path).lstrip("/").partition("/")
        length = int(self.headers["Content-Length"])
        if self.broken():
            return None
        content = self.rfile.read(length)
        if not self.known(bucket) or not self.signed():
            return None
        if len(content) != length:  # whoever sent it is gone
            self.close_connection = True
            return None
        if hashlib.sha256(content).hexdigest() != self.headers["x-amz-content-sha256"]:
            return self.fail(400, "XAmzContentSHA256Mismatch")
        file = self.served.folder / bucket / key
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f"{file.name}.{threading.get_ident()}.put")
        beside.write_bytes(content)
        beside.replace(file)
        self.served.written.append(key)
        self.served.greatest = max(self.served.greatest, length)
        return self.give(200, b"", f'"{hashlib.md5(content).hexdigest()}"')

    def do_DELETE(self) -> None:
        bucket, _, key = unquote(self.path).lstrip("/").partition("/")
        if self.broken() or not self.known(bucket) or not self.signed():
            return
        (self.served.folder / bucket / key).unlink(missing_ok=True)
        self.served.removed.append(key)
        self.give(204, b"", None)

    def list(self, bucket: str, query: str) -> None:
        if not self.known(bucket) or not self.signed():
            return
        folder = self.served.folder / bucket
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".put")
        names = sorted(file.relative_to(folder).as_posix() for file in files)
        after = asked.get("continuation-token", asked.get("start-after", ""))
        names = [n for n in names if n.startswith(asked.get("prefix", "")) and n > after]
        told, more = names[:PAGE], len(names) > PAGE
        text = "".join(f"<Contents><Key>{escape(n)}</Key><Size>1</Size></Contents>" for n in told)
        if more:
            text += f"<NextContinuationToken>{escape(told[-1])}</NextContinuationToken>"
        text = (
            f"<IsTruncated>{str(more).lower()}</IsTruncated><KeyCount>{len(told)}</KeyCount>{text}"
        )
        text = f"<?xml version='1.0'?><ListBucketResult>{text}</ListBucketResult>"
        self.give(200, text.encode(), None)

    # --- refusals and faults -----------------------------------------------------------------------

    def known(self, bucket: str) -> bool:
        """Whether this may go on; else it has been answered."""
        if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
            self.fail(403, "InvalidAccessKeyId")
        elif self.command in ("PUT", "DELETE") and not self.served.writable:
            self.fail(403, "AccessDenied")
        elif not (self.served.folder / bucket).is_dir():
            self.fail(404, "NoSuchBucket")
        elif bucket == "closed":
            self.fail(403, "AccessDenied")
        else:
            return True
        return False

    def signed(self) -> bool:
        """Whether the signature is right (AWS Signature Version 4); else it has been answered."""
        told = self.headers["Authorization"]
        fields = dict(one.strip().split("=", 1) for one in told.partition(" ")[2].split(","))
        names = fields["SignedHeaders"].split(";")
        path, _, query = self.path.partition("?")
        pairs = sorted(tuple(one.partition("=")[::2]) for one in query.split("&") if one)
        request = "\n".join(
            [
                self.command,
                quote(unquote(path), safe="/-_.~"),
                "&".join(
                    f"{quote(unquote(k), safe='-_.~')}={quote(unquote(v), safe='-_.~')}"
                    for k, v in pairs
                ),
                *(f"{name}:{self.headers[name].strip()}" for name in names),
                "",
                ";".join(names),
                self.headers["x-amz-content-sha256"],
            ]
        )
        scope = fields["Credential"].partition("/")[2]
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self.headers['x-amz-date']}\n{scope}\n{hashed}"
        key = f"AWS4{SECRET}".encode()
        for one in (*scope.split("/"), text):
            key = hmac.new(key, one.encode(), hashlib.sha256).digest()
        if key.hex() == fields["Signature"]:
            return True
        self.fail(403, "SignatureDoesNotMatch")
        return False

    def broken(self) -> bool:
        """Whether a fault was made of this request."""
        for fault in self.served.faults:
            if fault.method == self.command and fault.inside in self.path and fault.times > 0:
                fault.after -= 1
                if fault.after >= 0:
                    continue
                fault.times -= 1
                if fault.what == "slow":
                    time.sleep(1.0)
                    return False
                self.close_connection = True
                if fault.what in ("cut", "kill"):
                    self.rfile.read(min(10, int(self.headers.get("Content-Length", 0))))
                    if fault.what == "kill":
                        self.served.kill()
                elif fault.what == "short":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(b"a beginning")
                else:
                    assert isinstance(fault.what, int)
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    self.fail(fault.what, CODES[fault.what])
                return True
        return False

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


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Whoever asked is gone: killed, as tests do."""


@contextmanager
def serving(handler: object) -> Iterator[str]:
    """Address of a server in a thread."""
    server = _Server(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def served(folder: Path, patched: pytest.MonkeyPatch, *, writable: bool = True) -> Iterator[Served]:
    """A server whose buckets are the folders in `folder`, with the environment that leads to it."""
    told = Served(folder=folder, writable=writable)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patched.delenv(name)
    patched.setenv("AWS_ACCESS_KEY_ID", KEY)
    patched.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patched.setenv("NO_PROXY", "127.0.0.1")
    with serving(partial(S3, told)) as address:
        patched.setenv("AWS_ENDPOINT_URL", address)
        yield told
