"""Calls of gRPC: unary ones, and those in which both sides send messages for as long as they like."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from bridge.grpcserver import frames
from bridge.grpcserver.frames import END_HEADERS, END_STREAM, MAX_FRAME, WINDOW, frame

INVALID_ARGUMENT, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 3, 6, 7, 8
UNKNOWN, FAILED_PRECONDITION, UNIMPLEMENTED, INTERNAL = 2, 9, 12, 13

Headers = list[tuple[str, str]]
Method = Callable[[bytes, Headers], Awaitable[bytes]]
"""Answers one message; what it raises beside GrpcError becomes INTERNAL."""
StreamMethod = Callable[["GrpcStream"], Awaitable[None]]
"""Serves a stream, which is over when this returns."""


class GrpcError(Exception):
    """A call ends with this status instead of an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class CallConnection(Protocol):
    """What a call needs of its connection."""

    window: int  #: bytes that may still be sent, of all calls together
    max_message: int  #: bytes

    def write(self, data: bytes) -> None:
        """Send frames."""

    def begin(self, call: GrpcCall) -> None:
        """Run what answers the call."""

    def forget(self, call: GrpcCall) -> None:
        """The call is over."""


class GrpcCall:
    """What both kinds of call share: the way of messages to the peer, as far as its windows allow."""

    __slots__ = ("_begun", "_connection", "_trailers", "_unsent", "body", "headers", "path", "stream", "window")

    def __init__(self, connection: CallConnection, stream: int, path: str, headers: Headers, window: int = WINDOW) -> None:
        self._connection, self.stream, self.path, self.headers = connection, stream, path, headers
        self.window = window  #: bytes that may still be sent
        self.body = bytearray()  #: what has come and is not a whole message yet
        self._begun = False  #: whether the headers of the response have been sent
        self._unsent: deque[memoryview] = deque()  #: what the peer's windows hold back
        self._trailers = b""  #: that follow it

    def take(self, payload: bytes) -> None:
        """Bytes of messages have come."""
        raise NotImplementedError

    def ended(self) -> None:
        """The peer has sent everything."""
        raise NotImplementedError

    def gone(self) -> None:
        """The peer has given the call up, or the connection is lost."""

    def send(self, message: bytes) -> None:
        """Send a message, now or when the peer's windows allow it."""
        head = self._head()
        data = b"".join((b"\x00", len(message).to_bytes(4, "big"), message))
        if not self._unsent and self._fits(len(data)):
            self._connection.write(head + self._data(data))
            return
        if head:
            self._connection.write(head)
        self._unsent.append(memoryview(data))
        self.flush()

    def answer(self, message: bytes) -> None:
        """Send the only message and end the call: nearly always in one write."""
        size = len(message) + 5
        if not self._fits(size):
            self.send(message)
            self.end(frames.SUCCESS)
            return
        data = self._data(b"".join((b"\x00", len(message).to_bytes(4, "big"), message)))
        self._connection.write(self._head() + data + frame(frames.HEADERS, END_HEADERS | END_STREAM, self.stream, frames.SUCCESS))
        self._connection.forget(self)

    def end(self, trailers: bytes) -> None:
        """End the call after what is still unsent."""
        if self._unsent:
            self._trailers = trailers
            return
        block = trailers if self._begun else frames.RESPONSE + trailers
        # No RST_STREAM follows, though the peer may want to send more: a client of gRPC ends such a stream by itself.
        self._connection.write(frame(frames.HEADERS, END_HEADERS | END_STREAM, self.stream, block))
        self._connection.forget(self)

    def fail(self, status: int, message: str) -> None:
        """End the call with a status instead of an answer."""
        self._unsent.clear()
        self.end(frames.status(status, message))

    def flush(self) -> None:
        """Send of what is unsent as much as the peer's windows allow."""
        while self._unsent:
            data = self._unsent[0]
            size = min(len(data), self._connection.window, self.window, MAX_FRAME)
            if size <= 0:
                return
            self._connection.write(self._data(data[:size]))
            if size < len(data):
                self._unsent[0] = data[size:]
            else:
                self._unsent.popleft()
        if self._trailers:
            self.end(self._trailers)

    def _fits(self, size: int) -> bool:
        return size <= min(self._connection.window, self.window, MAX_FRAME)

    def _head(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return frame(frames.HEADERS, END_HEADERS, self.stream, frames.RESPONSE)

    def _data(self, data: bytes | memoryview) -> bytes:
        self._connection.window -= len(data)
        self.window -= len(data)
        return frame(frames.DATA, 0, self.stream, data)


class UnaryCall(GrpcCall):
    """One message, and one for an answer."""

    __slots__ = ()

    def take(self, payload: bytes) -> None:
        """Bytes of the message have come."""
        self.body += payload
        if len(self.body) > self._connection.max_message + 5:
            self.fail(RESOURCE_EXHAUSTED, "The message is too large.")

    def ended(self) -> None:
        """The message is there."""
        self._connection.begin(self)

    def message(self) -> bytes:
        """The message. Raises GrpcError."""
        body = self.body
        if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:
            raise GrpcError(INTERNAL, "Expected one message that is not compressed.")
        return bytes(body[5:])


class GrpcStream(GrpcCall):
    """Messages in both directions."""

    __slots__ = ("_messages", "_news", "_received", "_take", "over")

    def __init__(self, connection: CallConnection, stream: int, path: str, headers: Headers, window: int = WINDOW) -> None:
        super().__init__(connection, stream, path, headers, window)
        self.over = asyncio.Event()  #: set when no further message comes
        self._messages: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._received = 0
        self._take: Callable[[bytes], None] | None = None

    async def read(self) -> bytes | None:
        """The next message; None if there is no further one."""
        while not self._messages:
            if self.over.is_set():
                return None
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()

    def take_with(self, take: Callable[[bytes], None]) -> None:
        """Give each message to `take` from now on, which costs less than to read them."""
        self._take = take
        while self._messages and not self.over.is_set():
            take(self._messages.popleft())

    def close(self) -> None:
        """Take no further message."""
        self._take = _drop
        self.gone()

    def take(self, payload: bytes) -> None:
        """Bytes of messages have come."""
        self._received += len(payload)
        if self._received >= frames.REPLENISH:
            self._connection.write(frames.window_update(self.stream, self._received))
            self._received = 0
        self.body += payload
        while len(self.body) >= 5 and not self.over.is_set():
            size = int.from_bytes(self.body[1:5], "big")
            if self.body[0]:
                self._refuse(INTERNAL, "Expected messages that are not compressed.")
            elif size > self._connection.max_message:
                self._refuse(RESOURCE_EXHAUSTED, "The message is too large.")
            elif len(self.body) < size + 5:
                return
            else:
                message = bytes(self.body[5 : size + 5])
                del self.body[: size + 5]
                self._deliver(message)

    def ended(self) -> None:
        """The peer has sent everything."""
        self.gone()

    def gone(self) -> None:
        """No further message comes."""
        self.over.set()
        self._news.set()

    def _deliver(self, message: bytes) -> None:
        if self._take is not None:
            self._take(message)
            return
        self._messages.append(message)
        self._news.set()

    def _refuse(self, status: int, message: str) -> None:
        self.close()
        self.fail(status, message)


def _drop(_message: bytes) -> None:
    """Takes what comes after the end."""
