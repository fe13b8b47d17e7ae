"""Limits the memory for request bodies, so that many large requests at once cannot exhaust it.

A body counts from its first byte until its request has been answered, or until `release` says that it is not needed any longer. A request
that announces its length is refused before its body is read, so that the requests already accepted can be read to their end.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.errors import Full

SMALL = 16 * 1024  #: bytes; a body up to this is always taken, so that large ones do not shut small ones out


class BodiesInHand:
    """ASGI middleware that counts bodies. `most` is the largest total size, in bytes, of the bodies of all requests in progress."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its body."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive, _announced(scope))
        scope.setdefault("state", {})["body"] = body
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.release()

    def hold(self, size: int) -> None:
        """Add to the counted bytes. Raises Full if that exceeds the limit."""
        if self._held + size > self._most:
            raise Full(
                f"The bodies of the requests in progress have {self._held:,} bytes; max_bodies_in_hand allows {self._most:,}.",
                retry_after=1,
            )
        self._held += size

    def drop(self, size: int) -> None:
        """Subtract from the counted bytes."""
        self._held -= size


class _Body:
    """The body of one request."""

    def __init__(self, all_bodies: BodiesInHand, receive: Receive, announced: int) -> None:
        self._all, self._receive = all_bodies, receive
        self._announced, self._arrived, self._held = announced, 0, 0
        self._is_over = False

    async def receive(self) -> Message:
        """The next part of the body. Raises Full if there is no room for it."""
        if not self._arrived:
            self._hold(self._announced)
        message = await self._receive()
        self._arrived += len(message.get("body", b""))
        self._hold(self._arrived)
        return message

    def _hold(self, size: int) -> None:
        if size > SMALL and size > self._held and not self._is_over:
            self._all.hold(size - self._held)
            self._held = size

    def release(self) -> None:
        """Stop counting the body."""
        self._is_over = True
        self._all.drop(self._held)
        self._held = 0


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= 15 else 0
    return 0


def release(scope: Scope) -> None:
    """Stop counting the body of the request, which is not needed any longer, although the request is not answered yet."""
    body = scope.get("state", {}).get("body")
    if body is not None:
        body.release()
