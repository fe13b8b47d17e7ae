"""What every HTTP request passes before a route sees it: header size, Host and Origin, and the caller's token (DESIGN 3.5.7)."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge import problem
from bridge.errors import BridgeError, Refusal
from bridge.identity import Tokens

MAX_HEADERS = 32 * 1024  #: bytes of all header names and values together
_OPEN = ("/healthz/", "/openapi.json", "/v1/invocations/")


class _HeadersTooLarge(Refusal):
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

    def __init__(self, app: ASGIApp, *, tokens: Tokens, hosts: Collection[str]) -> None:
        self._app, self._tokens, self._hosts = app, tokens, frozenset(hosts)

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
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > MAX_HEADERS:
            raise _HeadersTooLarge(f"The headers have {size:,} bytes; {MAX_HEADERS:,} are allowed.")
        headers = Headers(scope=scope)
        if not self._tokens.tokens:
            self._check_host(headers)
        if not scope["path"].startswith(_OPEN):
            scope.setdefault("state", {})["caller"] = self._tokens.caller(headers.get("authorization", ""))

    def _check_host(self, headers: Headers) -> None:
        host = _name(f"//{headers.get('host', '')}")
        if host not in self._hosts:
            raise _WrongHost(
                f"The Host header says {host[:100]!r}.", hint="Without tokens the API answers under its loopback address only."
            )
        origin = headers.get("origin")
        if origin is not None and _name(origin) not in self._hosts:
            raise _WrongHost("The request comes from a page of another origin.", hint="Configure tokens to use the API from elsewhere.")


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
