"""JSON lines to and from the host, on descriptors that functions cannot reach by accident."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

_CHUNK = 256 * 1024  #: bytes read at a time

Json = dict[str, Any]


class Wire:
    """The host's end of the line. `send` may be called from any thread."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()

    @classmethod
    def over_stdio(cls) -> Wire:
        """Keep standard input and output for the host alone.

        What functions, or programs they start, read from standard input is empty; what they write to standard output goes to
        standard error, which the host logs.
        """
        incoming, outgoing = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(incoming, outgoing)

    def send(self, message: Json) -> None:
        """Write one message; it has left the process when this returns, so a crash right after loses nothing."""
        data = memoryview(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        with self._lock:
            while data:
                data = data[os.write(self._outgoing, data) :]

    def listen(self, deliver: Callable[[list[Json]], object]) -> None:
        """Hand over messages as they come, and end the process when the host closes the line or is gone.

        Runs in a thread of its own: a function that blocks the event loop must not keep an orphan alive.
        """
        pending: list[bytes] = []
        while data := os.read(self._incoming, _CHUNK):
            pending.append(data)
            if b"\n" not in data:
                continue
            *lines, rest = b"".join(pending).split(b"\n")
            pending = [rest]
            deliver([json.loads(line) for line in lines])
        os._exit(0)
