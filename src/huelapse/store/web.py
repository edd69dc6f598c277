"""The root of a run on a web server: one file, in bounded time and memory."""

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from huelapse.errors import FormatError, NotARunError, PlaceError

SETTLED = 2.0
"""Seconds after which a file's time, told in whole seconds, tells it from a later one."""
PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Seen:
    """What tells a file from a later one at the same address."""

    etag: str | None
    modified: tuple[str, str] | None
    """Time and length; None where the time can't be relied on."""
    digest: bytes


def fetch(url: str, most: int, seconds: float) -> tuple[bytes, Seen]:
    """A file and what tells it from later ones.

    Raises:
        NotARunError: there is none.
        FormatError: it takes more than `most` bytes.
        PlaceError: the server can't be reached, refuses, or takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    with _request(url, "GET", {}, seconds) as answer:
        content = _read(url, answer, most, deadline)
        return content, Seen(
            etag=answer.headers.get("etag"),
            modified=_modified(answer.headers),
            digest=hashlib.sha256(content).digest(),
        )


def fetch_unless(url: str, seen: Seen, most: int, seconds: float) -> bool:
    """Whether the file is still the one that was seen; its content is read only where nothing
    less tells. Raises as `fetch`."""
    if seen.etag is not None:
        with _request(url, "GET", {"If-None-Match": seen.etag}, seconds) as answer:
            return answer.status == 304 or answer.headers.get("etag") == seen.etag
    if seen.modified is not None:
        with _request(url, "HEAD", {}, seconds) as answer:
            return _modified(answer.headers) == seen.modified
    return fetch(url, most, seconds)[1].digest == seen.digest


def _modified(headers: Any) -> tuple[str, str] | None:
    changed, now, length = (headers.get(h) for h in ("last-modified", "date", "content-length"))
    if changed is None or now is None or length is None:
        return None
    try:
        age = (parsedate_to_datetime(now) - parsedate_to_datetime(changed)).total_seconds()
    except (ValueError, TypeError):
        return None
    return (changed, length) if age >= SETTLED else None


def _request(url: str, method: str, headers: dict[str, str], seconds: float) -> Any:
    opener = urllib.request.OpenerDirector()  # of http alone: a redirect never leads to a file
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    try:
        request = urllib.request.Request(url, headers={"Cache-Control": "no-cache", **headers})  # noqa: S310
        request.method = method
        answer = opener.open(request, timeout=min(seconds, 10.0))
    except urllib.error.HTTPError as error:
        if error.code == 304:
            return error
        error.close()
        if error.code in (404, 410):
            raise NotARunError(
                f"{url} is not there ({error.code}): expected the address of a run's directory, as "
                f"given to Recorder, on a server that gives out its files"
            ) from error
        raise PlaceError(
            f"{url} cannot be read: the server says {error.code} {error.reason}. huelapse sends no "
            f"password or token over http: let the server give the files out to this machine, "
            f"or copy the run (huelapse pack) and open the copy"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(url, error) from error
    if answer is None:
        raise _failed(url, ValueError("redirected to something that is not http"))
    return answer


def _read(url: str, answer: Any, most: int, deadline: float) -> bytes:
    declared = answer.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise _too_large(url, f"{int(declared):,}", most)
    pieces: list[bytes] = []
    total = 0
    try:
        while piece := answer.read1(PIECE):
            total += len(piece)
            pieces.append(piece)
            if total > most:
                raise _too_large(url, f"more than {most:,}", most)
            if time.monotonic() > deadline:
                raise TimeoutError("no end in time")
    except (OSError, http.client.HTTPException) as error:
        raise _failed(url, error) from error
    if declared.isdigit() and total < int(declared):
        raise _failed(url, EOFError(f"the connection ended after {total} of {declared} bytes"))
    return b"".join(pieces)


def _too_large(url: str, size: str, most: int) -> FormatError:
    return FormatError(
        f"{url} takes {size} bytes, more than the {most:,} that a run's root may take: it was not "
        f"written by huelapse, or is damaged"
    )


def _failed(url: str, error: Exception) -> PlaceError:
    said = " ".join(str(getattr(error, "reason", None) or error).split())[:300]
    return PlaceError(
        f"{url} cannot be reached: {said or type(error).__name__}. Is the address right, the server "
        f"running, and this machine online? Then try again"
    )
