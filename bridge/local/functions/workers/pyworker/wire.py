"""JSON lines to and from the host, on descriptors that functions cannot reach by accident."""

from __future__ import annotations

import json
import os
import select
import threading
from typing import Any

_CHUNK = 256 * 1024  #: bytes read at a time
_CHECK = 1.0  #: seconds between two checks that the host is there, in case the system does not report its end

Json = dict[str, Any]

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode


class Wire:
    """The connection with the host. `send` may be called from any thread."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()
        self._begun: list[bytes] = []  #: the start of a message whose end has not come yet

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
        data = memoryview(_encode(message).encode() + b"\n")
        with self._lock:
            while data:
                data = data[os.write(self._outgoing, data) :]

    def receive(self) -> list[Json]:
        """Wait for bytes from the host and return the messages they complete. Ends the process when the host has closed the connection."""
        data = os.read(self.incoming, _CHUNK)
        if not data:
            os._exit(0)
        self._begun.append(data)
        if b"\n" not in data:
            return []
        *lines, rest = b"".join(self._begun).split(b"\n")
        self._begun = [rest] if rest else []
        return [_decode(line.decode())[0] for line in lines]

    def end_with_host(self) -> None:
        """End the process when the host closes the connection or is gone, even while a function blocks the event loop."""
        threading.Thread(target=self._watch, args=(os.getppid(),), daemon=True).start()

    def _watch(self, host: int) -> None:
        end = select.poll()
        end.register(self.incoming, 0)  # asked for no event, the system still reports that the other side has closed
        while not end.poll(_CHECK * 1000):
            if os.getppid() != host:
                break
        os._exit(0)
