"""What every HTTP request passes before a route sees it: header size, Host and Origin, and the caller's token (DESIGN 3.5.7)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import ClassVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge import problem
from bridge.errors import BridgeError, Malformed, Refusal
from bridge.identity import Tokens

MAX_HEADERS = 32 * 1024  #: bytes of all header names and values together
_OPEN = ("/healthz/", "/openapi.json", "/v1/invocations/")
#: Headers that decide something: with two of them, a proxy in front may have looked at the other one.
_ONCE = frozenset(
    (b"host", b"origin", b"authorization", b"content-type", b"x-correlation-id", b"x-deadline", b"x-invocation-token", b"traceparent")
)
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?")


class HeadersTooLarge(Refusal):
    """The headers are too large."""

    code: ClassVar[str] = "HeadersTooLarge"
    status: ClassVar[int] = 431


class _WrongHost(Refusal):
    """This name is not served here."""

    code: ClassVar[str] = "WrongHost"
    status: ClassVar[int] = 421


class Guard:
    """ASGI middleware. The caller stands in `scope["state"]["caller"]` afterwards.

    Without tokens whoever reaches the port may do everything, so only requests addressed to this machine by name pass, and none that a page
    of another origin makes a browser send. With tokens every path needs one, but for probes, the API's description, and
    invocations, which have a token of their own.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens, hosts: Collection[str], origins: Collection[str] = ()) -> None:
        self._app, self._tokens, self._hosts, self._origins = app, tokens, frozenset(hosts), frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer with the problem."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except BridgeError as refusal:
                await problem.answer(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        _check_headers(scope["headers"])
        headers = Headers(scope=scope)
        if not self._tokens.tokens:
            self._check_host(headers)
        if not scope["path"].startswith(_OPEN):
            scope.setdefault("state", {})["caller"] = self._tokens.caller(headers.get("authorization", ""))

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        named = _HOST.fullmatch(host)
        if named is None or (named[1] or named[2]) not in self._hosts:
            raise _WrongHost(
                f"The Host header says {host[:100]!r}.", hint="Without tokens the API answers under its loopback address only."
            )
        # Another port of this machine is another origin: what serves pages there is not the bridge.
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}", *self._origins}:
            raise _WrongHost("The request comes from a page of another origin.", hint="Configure tokens to use the API from elsewhere.")


def _check_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    size, once = 0, []
    for name, value in headers:
        size += len(name) + len(value)
        if name in _ONCE or name.startswith(b"ce-"):
            once.append(name)
    if size > MAX_HEADERS:
        raise HeadersTooLarge(f"The headers have {size:,} bytes; {MAX_HEADERS:,} are allowed.")
    if len(set(once)) < len(once):
        twice = sorted({name.decode("latin-1") for name in once if once.count(name) > 1})
        raise Malformed(f"The header {twice[0][:100]} comes more than once.", hint="Send it once.")
