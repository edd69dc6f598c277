"""Who may ask: this machine's browser, with the token, for reading only."""

import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode

from huelapse.errors import OptionError

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
    that have a public name resolve to 127.0.0.1. A proxy's name is allowed by being told.

    The cookie is called after the port that the browser sees, so that tunnels to viewers on several
    machines keep theirs apart, and has no path: the browser then takes the folder of the address, and
    behind a proxy's prefix nothing else there is sent the token.
    """

    def __init__(self, app: App, *, token: str, hosts: Collection[str] = ()) -> None:
        """
        Args:
            app: what is guarded.
            token: that the address carries.
            hosts: names that are answered to beside loopback ones, as `host_name` gives them.
        """
        self._app = app
        self._token = token
        self._told = frozenset(hosts)
        self._hosts = LOOPBACK | self._told

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
            cookie = f"{_cookie_name(scope)}={self._token}; HttpOnly; SameSite=Strict"
            await _answer(send, 303, "", {"location": place, "set-cookie": cookie})
            return
        if not any(_same(given, self._token) for given in _given_cookies(scope)):
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
        if len(hosts) != 1 or _host(hosts[0]) not in self._hosts:
            return 421, (
                "This server answers to localhost, 127.0.0.1 and [::1] only; behind a proxy that "
                "passes its own name on, allow that: huelapse view --allow-host NAME."
            )
        single = {name: value.decode("latin-1") for name, value in headers}
        if single.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            # a link from another page may open the page itself, and nothing else
            opens = single.get(b"sec-fetch-mode") == "navigate" and scope["path"] == "/"
            if not opens:
                return 403, "Requests from other sites are refused."
        if (
            b"sec-fetch-site" in single
        ):  # the browser has said that it is ours, whatever its address
            return None
        origin = single.get(b"origin", "").partition("://")[2]
        if b"origin" in single and origin != hosts[0] and _host(origin) not in self._told:
            return 403, (
                "Requests from other origins are refused; behind a proxy, allow its name: "
                "huelapse view --allow-host NAME."
            )
        return None


def new_token() -> str:
    return secrets.token_urlsafe(24)


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def host_name(given: str) -> str:
    """A host as Host has it: lower case, without a port, not an address of a page.

    Raises:
        OptionError: it is none.
    """
    name = _host(given)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]", name):
        raise OptionError(
            f"{given!r} is no host name; expected one as in the proxy's address: viewer.example.org"
        )
    return name


def _given_cookies(scope: Scope) -> Iterator[str]:
    """Those of our name; a folder's and its parent's may both come."""
    # by hand: other servers on this host share the cookies, and one odd name of theirs stops
    # the standard library's parser before it comes to ours
    own = _cookie_name(scope)
    for header, value in scope["headers"]:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                name, _, given = part.strip().partition("=")
                if name == own:
                    yield given


def _cookie_name(scope: Scope) -> str:
    """By the port that the browser sees: cookies of all ports of a host are one jar."""
    host = next(value for name, value in scope["headers"] if name == b"host").decode("latin-1")
    _, _, port = host.rpartition("]")[2].partition(":")
    return f"huelapse-{port}" if port else "huelapse"


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
