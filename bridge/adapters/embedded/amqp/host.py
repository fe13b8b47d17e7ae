"""What a connection needs of whoever runs it, and what it writes through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Host(Protocol):
    """What runs a connection: it moves the bytes and runs coroutines."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine; it is cancelled when the connection ends."""

    def wake(self) -> None:
        """There is something to write."""

    def let_read(self, more: bool) -> None:
        """Whether more bytes may be read from the client."""

    def internal_error(self, fault: Exception) -> None:
        """The broker failed; this is for the log."""


class Output:
    """What is to be written to a client.

    It `is_full` while more than `limit` bytes wait, or while the transport cannot take more because the client reads too slowly.
    """

    def __init__(self, limit: int, wake: Callable[[], None], changed: Callable[[], None]) -> None:
        """`wake` is called when there is something to write, `changed` when it has become full or is so no more."""
        self.is_full = False
        self._limit, self._wake, self._changed = limit, wake, changed
        self._frames: list[bytes] = []
        self._size = 0
        self._transport_is_full = False

    def write(self, frame: bytes) -> None:
        """Put a frame into the output."""
        if not self._frames:
            self._wake()
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > self._limit:
            self._update()

    def take(self) -> list[bytes]:
        """What is to be written now."""
        frames, self._frames = self._frames, []
        self._size = 0
        return frames

    def written(self) -> None:
        """What was taken is with the transport now."""
        if self.is_full:
            self._update()

    def set_transport_full(self, full: bool) -> None:
        """The transport cannot take more, or can again."""
        self._transport_is_full = full
        self._update()

    def _update(self) -> None:
        full = self._transport_is_full or self._size > self._limit
        if full is not self.is_full:
            self.is_full = full
            self._changed()
