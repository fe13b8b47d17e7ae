"""Log records and printed lines on their way to the host, tagged with the invocation they belong to."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from .wire import Wire

if TYPE_CHECKING:
    from typing_extensions import Buffer  # the worker may run where this package is not

CurrentInvocation = Callable[[], str | None]


def send_through(wire: Wire, invocation: CurrentInvocation) -> None:
    """Send everything that is logged or printed from here on."""
    root = logging.getLogger()
    root.addHandler(_Records(wire, invocation))
    wanted = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING", "").strip().lower() in ("1", "true", "t", "yes", "y")
    root.setLevel(logging.DEBUG if wanted else logging.INFO)
    # Microsoft's runtime says a line an invocation here; the host says the same better.
    logging.getLogger("azure.functions").setLevel(logging.DEBUG if wanted else logging.WARNING)
    # Written through, so that each invocation's bytes are seen while it is known whose they are.
    sys.stdout = _Stdout(_Prints(wire, invocation), encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)


def end_line() -> None:
    """Send the line that the running invocation has begun. A function may have put anything in the place of standard output."""
    with suppress(Exception):
        sys.stdout.flush()


class _Records(logging.Handler):
    def __init__(self, wire: Wire, invocation: CurrentInvocation) -> None:
        super().__init__()
        self._wire = wire
        self._invocation = invocation

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._wire.send({"op": "log", "id": self._invocation(), "level": record.levelname.lower(), "text": self.format(record)})
        except Exception:  # noqa: BLE001 - the contract of logging: a bad record never breaks who logs it
            self.handleError(record)


class _Stdout(io.TextIOWrapper):
    """Standard output, which all functions share: none of them can close it for the others."""

    def close(self) -> None:
        self.flush()


class _Prints(io.BufferedIOBase):
    """What is written to standard output, a line at a time; each invocation has a line of its own."""

    def __init__(self, wire: Wire, invocation: CurrentInvocation) -> None:
        self._wire = wire
        self._invocation = invocation
        self._begun: dict[str | None, bytes] = {}

    @property
    def name(self) -> str:
        return "<stdout>"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def write(self, data: Buffer) -> int:
        invocation, written = self._invocation(), bytes(data)
        *whole, rest = (self._begun.pop(invocation, b"") + written).split(b"\n")
        if rest:
            self._begun[invocation] = rest
        for line in whole:
            self._send(invocation, line)
        return len(written)

    def close(self) -> None:
        self.flush()

    def flush(self) -> None:
        invocation = self._invocation()
        if begun := self._begun.pop(invocation, b""):
            self._send(invocation, begun)

    def _send(self, invocation: str | None, line: bytes) -> None:
        self._wire.send({"op": "log", "id": invocation, "level": "info", "text": line.decode(errors="replace")})
