"""Who may ask: this machine's browser, with the token, for reading only."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware: GET and HEAD only, loopback hosts only, same origin, and the token.

    The address carries the token once; the answer is a cookie (HttpOnly, SameSite=Strict) and the
    plain address, so that the token does not stay in the address bar. Any port of a loopback host
    is allowed in Host, so that an SSH tunnel works; anything else is refused, which keeps out pages
    that have a public name resolve to 127.0.0.1.
    """

    def __init__(self, app: App, *, token: str, cookie: str) -> None:
        self._app = app
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket is never answered
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = query.pop("token", [""])[-1]
        if given and _same(given, self._token):
            rest = urlencode(query, doseq=True)
            place = "./" + (f"?{rest}" if rest else "")
            cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, "", {"location": place, "set-cookie": cookie})
            return
        if not _same(self._given_cookie(scope), self._token):
            await _answer(
                send,
                403,
                "This page needs the token: open the whole address that `huelapse view` printed.",
            )
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [(k, v) for k, v in message["headers"] if k.decode() not in HEADERS]
                message["headers"] = kept + _encoded(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "Only GET and HEAD are answered."
        headers = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or _host(hosts[0]) not in LOOPBACK:
            return 421, "This server answers to localhost, 127.0.0.1 and [::1] only."
        single = {name: value.decode("latin-1") for name, value in headers}
        if single.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            # a link from another page may open the page itself, and nothing else
            opens = single.get(b"sec-fetch-mode") == "navigate" and scope["path"] == "/"
            if not opens:
                return 403, "Requests from other sites are refused."
        origin = single.get(b"origin")
        if origin is not None and origin.partition("://")[2] != hosts[0]:
            return 403, "Requests from other origins are refused."
        return None

    def _given_cookie(self, scope: Scope) -> str:
        # by hand: other servers on this host share the cookies, and one odd name of theirs stops
        # the standard library's parser before it comes to ours
        for header, value in scope["headers"]:
            if header == b"cookie":
                for part in value.decode("latin-1").split(";"):
                    name, _, given = part.strip().partition("=")
                    if name == self._cookie:
                        return given
        return ""


def new_token() -> str:
    return secrets.token_urlsafe(24)


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def _host(value: str) -> str:
    """The host without its port, in lower case."""
    value = value.strip().lower()
    if value.startswith("["):
        end = value.find("]")
        rest = value[end + 1 :]
        return value[: end + 1] if not rest or rest[1:].isdigit() else ""
    name, _, port = value.partition(":")
    return name if not port or port.isdigit() else ""


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _answer(
    send: Send, status: int, text: str, headers: dict[str, str] | None = None
) -> None:
    body = text.encode()
    plain = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
    }
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": _encoded({**plain, **HEADERS, **(headers or {})}),
        }
    )
    await send({"type": "http.response.body", "body": body})
