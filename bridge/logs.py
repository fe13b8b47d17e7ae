"""Log lines on standard error: text for people, or one JSON object for each line (docs/running.md).

structlog renders the steps of `bridge.telemetry`. Its ProcessorFormatter renders the records of the standard library and of other libraries
with the same processors. So a traceback, a Python warning or a message of aiohttp has the same form as a step.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import MutableMapping
from contextlib import suppress
from contextvars import Context, ContextVar
from types import TracebackType
from typing import Any

import structlog
from pydantic_core import PydanticSerializationError, to_json

RUN: ContextVar[str] = ContextVar("run", default="")
"""The correlation id of the run that the current task works for. A line without a run of its own gets it."""

TRACE: ContextVar[tuple[str, str]] = ContextVar("trace", default=("", ""))
"""The `traceparent` and `tracestate` of the span that the current task works in; empty without one. Its lines get the ids of both."""

Entry = MutableMapping[str, Any]

_log = logging.getLogger("bridge")
#: Characters that JSON does not escape and that some readers take for the end of a line.
_LINE_ENDS = [(each.encode(), f"\\u{ord(each):04x}".encode()) for each in "\x85\u2028\u2029"]
_OWN_LOGGER = "bridge"  #: the console does not name it, because most lines are its own


def setup(*, level: str, form: str) -> Any:
    """Send every log line of this process to standard error in one form. Returns the bound logger for steps.

    With `form` json, uncaught exceptions are logged too, because Python would print them as text.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    to_line = json_line if form == "json" else console_line
    processors: list[Any] = [structlog.processors.add_log_level, _Timestamp(), _run_and_trace_of_task, structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*processors, lambda _logger, _method, entry: to_line(entry)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_StandardError,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(allow=["run"])],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *processors,
            structlog.processors.StackInfoRenderer(),
            lambda _logger, _method, entry: to_line(entry).decode(),
        ],
    )
    _listen_to_the_standard_library(number, formatter)
    if form == "json":
        _log_uncaught_exceptions()
    return structlog.get_logger().bind()


def json_line(entry: Entry) -> bytes:
    """Render one JSON object on one line, whatever the values are."""
    try:
        line = to_json(entry, fallback=repr, inf_nan_mode="null")
    except (PydanticSerializationError, ValueError):  # a text with half a surrogate pair, a value that contains itself
        line = json.dumps({name: str(value).encode(errors="backslashreplace").decode() for name, value in entry.items()}).encode()
    if not line.isascii():
        for character, escaped in _LINE_ENDS:
            line = line.replace(character, escaped)
    return line


def console_line(entry: Entry) -> bytes:
    """`2026-01-31T12:00:00Z info  order-4711  called the function (attempt.started) target=inspect attempt=1`.

    A traceback follows on lines of its own. These are indented, so that no message in it can look like a line of the log.
    """
    time, level, step = entry.pop("timestamp"), entry.pop("level"), entry.pop("step", "")
    sentence, run, logger = entry.pop("event"), entry.pop("run", "-"), entry.pop("logger", _OWN_LOGGER)
    trace = [line for name in ("exception", "stack") for line in str(entry.pop(name, "")).splitlines()]
    fields = entry if logger == _OWN_LOGGER else {"logger": logger, **entry}
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    line = f"{time} {level:<7} {run}  {sentence}{f' ({step})' if step else ''} {rest}".rstrip()
    return "\n".join([_printable(line), *(f"    {_printable(each)}" for each in trace)]).encode(errors="backslashreplace")


def _printable(text: str) -> str:
    """The text without line ends and control characters: an id of a message may contain anything and must not forge a line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def on_loop_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The exception handler of an event loop: asyncio's own, plus the run that the failed task worked for (from Python 3.12 on)."""
    context_of = getattr(context.get("task") or context.get("future"), "get_context", None)
    found = context_of() if context_of is not None else None
    token = RUN.set(found.get(RUN, "") if isinstance(found, Context) else RUN.get())
    try:
        loop.default_exception_handler(context)
    finally:
        RUN.reset(token)


class _Timestamp:
    """A processor that adds the time in RFC 3339. The date is formatted once a second, because it costs more than the rest of the line."""

    def __init__(self) -> None:
        self._second, self._date = -1, ""

    def __call__(self, _logger: Any, _method: str, entry: Entry) -> Entry:
        second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second, self._date = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        entry["timestamp"] = f"{self._date}.{nanoseconds // 1000:06d}Z"
        return entry


def _run_and_trace_of_task(_logger: Any, _method: str, entry: Entry) -> Entry:
    if "run" not in entry and (run := RUN.get()):
        entry["run"] = run
    if traceparent := TRACE.get()[0]:
        entry["trace_id"], entry["span_id"] = traceparent[3:35], traceparent[36:52]
    return entry


def _write(line: bytes) -> None:
    """Write one line to standard error. If that fails (a full disk, a reader that is gone), the bridge continues without it."""
    with suppress(OSError):
        sys.stderr.buffer.write(line + b"\n")
        sys.stderr.buffer.flush()


class _StandardError:
    """The logger that structlog wraps. It has a method for each level, and all do the same."""

    debug = info = warning = error = critical = staticmethod(_write)


class _StandardLibraryHandler(logging.Handler):
    """Writes records of the standard library. An error while formatting one is logged in the same form, too."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - the contract of logging: a bad record never breaks who logs it
            told = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname}
            text = f"a log line could not be formatted: {str(record.msg)[:200]!r} ({error!r})"
            line = self.format(logging.makeLogRecord({**told, "msg": "%s", "args": (text,)}))
        _write(line.encode(errors="backslashreplace"))


class OncePerMinute(logging.Filter):
    """Lets the same message pass once a minute, with the number of suppressed ones, so that nobody who reaches a port can fill the log.

    Messages are the same if their format strings are, whatever the arguments. A line with a traceback always passes, because it reports a
    bug.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, tuple[float, int]] = {}  # when it passed last (monotonic, in seconds), and how often it was held back since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes."""
        if record.exc_info:
            return True
        now, form = time.monotonic(), str(record.msg)
        at, held = self._told.get(form, (now - _MINUTE, 0))
        passes = now - at >= _MINUTE
        self._told[form] = (now, 0) if passes else (at, held + 1)
        if passes and held:
            record.msg = f"{record.msg} ({held:,} more since the last such line)"
        return passes


_MINUTE = 60.0  #: seconds
#: The loggers of what listens on ports, and writes a line for a request that it refuses.
_OF_PORTS = ("uvicorn.error", "bridge.dapr.appcallback")
_once_per_minute = OncePerMinute()


def _listen_to_the_standard_library(number: int, formatter: logging.Formatter) -> None:
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, _StandardLibraryHandler)]:
        root.removeHandler(earlier)
    handler = _StandardLibraryHandler()
    handler.setFormatter(formatter)
    root.addHandler(handler)
    root.setLevel(number)
    logging.captureWarnings(True)
    for name in _OF_PORTS:
        logging.getLogger(name).addFilter(_once_per_minute)


def _log_uncaught_exceptions() -> None:
    def in_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            _log.critical("the process ends with an error that nothing handled", exc_info=(kind, error, trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "unknown"
        if args.exc_value is not None:
            _log.error("thread %s ended with an error", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    def unraisable(args: Any) -> None:
        trace = (args.exc_type, args.exc_value, args.exc_traceback)
        _log.error("%s %r", args.err_msg or "an error was ignored in", args.object, exc_info=trace)

    sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, unraisable
