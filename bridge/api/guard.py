"""Checks every HTTP request before it reaches a route: the size of its headers, Host and Origin, and the caller's token."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.api import problem
from bridge.auth import Tokens
from bridge.errors import BridgeError, Malformed, Refusal

MAX_HEADERS = 32 * 1024  #: bytes of all header names and values together
_OPEN = ("/healthz/", "/openapi.json", "/v1/invocations/")
_ROOTS = ("/v1/", "/healthz/", "/metrics", "/openapi.json")  #: what paths of the API begin with
#: Headers that decide something: with two of them, a proxy in front may have looked at the other one.
_ONCE = frozenset((b"host", b"origin", b"authorization", b"content-type", b"x-correlation-id", b"x-deadline", b"x-invocation-token"))
AUTHORITY = "authority"  #: where the state of a request has host and port of an address that stood in its first line
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?")


class HeadersTooLarge(Refusal):
    """The headers are too large."""

    code: ClassVar[str] = "HeadersTooLarge"
    status: ClassVar[int] = 431


class _WrongHost(Refusal):
    """The API does not answer to this host name."""

    code: ClassVar[str] = "WrongHost"
    status: ClassVar[int] = 421


class Guard:
    """ASGI middleware that checks requests. It puts the caller into `scope["state"]["caller"]`.

    Without configured tokens, whoever reaches the port may do everything. So only requests that address this machine by name pass, and none
    that a page of another origin makes a browser send. With tokens every path needs one. Exempt are probes, the description of the API, the
    handshake of web hooks, and invocations, which have tokens of their own.

    A proxy may serve the API `below` a path, and may pass that path on or remove it.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens, hosts: Collection[str], origins: Collection[str] = (), below: str = "") -> None:
        self._app, self._tokens, self._hosts, self._origins = app, tokens, frozenset(hosts), frozenset(origins)
        self._below = tuple(below + root for root in _ROOTS) if below else ()
        self._depth = len(below)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with a problem."""
        if scope["type"] == "http":
            if self._below and scope["path"].startswith(self._below):
                scope = {**scope, "path": scope["path"][self._depth :]}
            try:
                self._check(scope)
            except BridgeError as refusal:
                await problem.answer(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = _checked(scope["headers"])
        state = scope.setdefault("state", {})
        if not self._tokens.tokens:
            self._check_host(headers, state.get(AUTHORITY))
        if not (scope["path"].startswith(_OPEN) or (scope["method"] == "OPTIONS" and scope["path"] == "/v1/events")):
            state["caller"] = self._tokens.caller(headers.get(b"authorization", b"").decode("latin-1"))

    def _check_host(self, headers: Mapping[bytes, bytes], authority: bytes | None) -> None:
        host = self._own_name(headers.get(b"host", b""), "The Host header")
        if authority is not None:
            # It counts in place of the Host header (RFC 9112, section 3.2.2), which a proxy may have looked at all the same.
            host = self._own_name(authority, "The address in the request line")
        # Another port of this machine is another origin: what serves pages there is not the bridge.
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() not in {f"http://{host}", f"https://{host}", *self._origins}:
            raise _WrongHost(
                "The request comes from a web page of another origin.",
                hint="List the origin under cors_origins if it is a loopback address. Other origins need tokens.",
            )

    def _own_name(self, name: bytes, where: str) -> str:
        """The host name with its port, if the API answers to it. Raises _WrongHost."""
        host = name.decode("latin-1").lower()
        named = _HOST.fullmatch(host)
        if named is None or (named[1] or named[2]) not in self._hosts:
            raise _WrongHost(
                f"{where} is {host[:100]!r}.", hint="Without configured tokens the API answers only requests to its loopback address."
            )
        return host


def _checked(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that may appear only once. Raises HeadersTooLarge, and Malformed if one is repeated or the body has a content coding."""
    size, once = 0, {}
    for name, value in headers:
        size += len(name) + len(value)
        if name in _ONCE or name.startswith(b"ce-"):
            if name in once:
                raise Malformed(f"The header {name.decode('latin-1')[:100]} comes more than once.", hint="Send it once.")
            once[name] = value
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise Malformed(f"The transfer coding {value.decode('latin-1')[:100]!r} is not accepted.", hint="Send only chunked.")
    if size > MAX_HEADERS:
        raise HeadersTooLarge(f"The headers have {size:,} bytes; {MAX_HEADERS:,} are allowed.")
    return once
