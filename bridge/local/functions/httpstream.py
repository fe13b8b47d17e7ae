"""Bodies of requests and responses that are passed on piece by piece, for an app that answers HTTP itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

MOST_WAITING = 262_144  #: bytes of a body that wait for their reader before its sender is held up


class StreamBroken(Exception):
    """The other side is gone before the body was complete."""


class BodyPieces:
    """A body as it comes. `hold` and `go_on` stop its sender and let it send again."""

    def __init__(self, hold: Callable[[], None], go_on: Callable[[], None]) -> None:
        self._hold, self._go_on = hold, go_on
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._held = self._ended = self._broken = self._dropped = False
        self._news = asyncio.Event()

    async def looked_at(self) -> bytes:
        """All of the body, which can be read again afterwards. Raises StreamBroken."""
        pieces = [piece async for piece in self]
        self._pieces.extend(pieces)
        self._waiting = sum(map(len, pieces))
        return b"".join(pieces)

    def add(self, piece: bytes) -> None:
        """Take a piece from the sender."""
        if self._dropped:
            return
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting > MOST_WAITING and not self._held:
            self._held = True
            self._hold()
        self._news.set()

    def drop(self) -> None:
        """Nobody reads the rest: its sender can go on to its end."""
        self._dropped = True
        self._pieces.clear()
        self._waiting = 0
        if self._held:
            self._held = False
            self._go_on()

    def end(self) -> None:
        """The body is complete."""
        self._ended = True
        self._news.set()

    def broken(self) -> None:
        """The sender is gone; if the body is not complete it never will be."""
        self._broken = not self._ended
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces, to the end of the body. Raises StreamBroken."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._waiting -= len(piece)
                if self._held and self._waiting <= MOST_WAITING // 2:
                    self._held = False
                    self._go_on()
                yield piece
            if self._broken:
                raise StreamBroken
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()


class AnswerSink(Protocol):
    """Where a response is written while it is made."""

    begun: bool
    """Whether its head was written, so that its status cannot change any more."""

    def begin(self, status: int, headers: Sequence[tuple[str, str]], length: int | None) -> None:
        """Write the head, with the length of the body if it is known."""

    async def write(self, piece: bytes) -> None:
        """Write a piece of the body, at the pace of the client. Raises StreamBroken once the client is gone."""
