"""The log of the functions host: one line for each invocation, for each line that a function logs, and for what happens to workers.

The bridge's own `telemetry` looks the same but brings structlog and the metrics, which would double the time the host takes to start.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def setup() -> None:
    """Send log lines from INFO on to standard error: as text, or as JSON where BRIDGE_LOG_FORMAT says so, as a bridge with JSON sets it."""
    # No line shows who wrote it, or from which thread; looking that up for each record is half of what a line costs.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the documentation of logging names this way to leave out the caller
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if os.environ.get("BRIDGE_LOG_FORMAT") == "json" else LineFormatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class LineFormatter(logging.Formatter):
    """Formats the time once for all lines of a second, and a line once for the log of the host and that of the app."""

    def __init__(self, form: str) -> None:
        super().__init__(form)
        self._second, self._text = -1, ""
        self._last: tuple[logging.LogRecord | None, str] = (None, "")

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        formatted, line = self._last
        if formatted is not record:
            line = super().format(record)
            self._last = record, line
        return line

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """`2026-01-31 12:00:00,123` in local time, as logging writes it."""
        if datefmt is not None:
            return super().formatTime(record, datefmt)
        second = int(record.created)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text},{int(record.msecs):03d}"


class JsonFormatter(logging.Formatter):
    """One JSON object for each record, with the fields that the bridge's own JSON lines have."""

    def format(self, record: logging.LogRecord) -> str:
        """The object on one line; a traceback is the text in `exception`."""
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"timestamp": timestamp, "level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
