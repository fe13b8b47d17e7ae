from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
import structlog

from bridge import logs
from bridge.adapters.dapr.availability import Availability


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """What a process sets up once for its whole life."""
    root, hooks, level = logging.getLogger(), (sys.excepthook, threading.excepthook, sys.unraisablehook), logging.getLogger().level
    handlers = list(root.handlers)
    filters = {name: list(logging.getLogger(name).filters) for name in logs._OF_PORTS}
    yield
    for name, earlier in filters.items():
        logging.getLogger(name).filters[:] = earlier
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Any:
    """The objects that were logged since; a line that is none fails."""
    step = logs.setup(level="info", form="json")

    def objects() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    objects.step = step  # type: ignore[attr-defined]
    return objects


def test_a_step_and_a_line_of_a_library_have_the_same_fields(written: Any) -> None:
    written.step.info("accepted the request", step="run.accepted", run="r-1")
    logging.getLogger("aiohttp.server").warning("Error handling %s", "request")
    step, library = written()
    assert {"event": "accepted the request", "step": "run.accepted", "run": "r-1", "level": "info"}.items() <= step.items()
    assert {"event": "Error handling request", "logger": "aiohttp.server", "level": "warning"}.items() <= library.items()
    assert step["timestamp"].endswith("Z")
    assert library["timestamp"].endswith("Z")


def test_a_traceback_is_a_field(written: Any) -> None:
    with contextlib.suppress(ZeroDivisionError):
        try:
            print(1 / 0)  # noqa: T201
        except ZeroDivisionError:
            logging.getLogger("any").exception("could not divide")
            raise
    (line,) = written()
    assert line["event"] == "could not divide"
    assert line["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_within_a_span_has_the_ids_of_its_trace_and_of_it(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    def tell() -> None:
        logs.TRACE.set(("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1"))
        step.info("called the function", step="attempt.started", run="r-1")

    step = logs.setup(level="info", form=form)
    copy_context().run(tell)
    step.info("accepted the request", step="run.accepted", run="r-2")
    within, without = capsys.readouterr().err.splitlines()
    for text in ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "trace_id", "span_id"):
        assert text in within
    assert "trace_id" not in without


def test_the_run_is_that_of_the_task_unless_the_line_names_one(written: Any) -> None:
    def work() -> None:
        logs.RUN.set("r-1")
        logging.getLogger("aiohttp").warning("lost")
        written.step.warning("the run ended")
        logging.getLogger("bridge").warning("of another one", extra={"run": "r-2"})
        written.step.warning("of another one", run="r-3")

    copy_context().run(work)
    logging.getLogger("bridge").warning("of none")
    assert [line.get("run") for line in written()] == ["r-1", "r-1", "r-2", "r-3", None]


@pytest.mark.parametrize("text", ["a\nb\r\x85\u2028c", "half a pair \ud800", "\x1b[2J"])
def test_a_line_stays_one_object_whatever_the_values_are(written: Any, text: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [each for each in root.handlers if type(each).__module__ == logs.__name__]  # pytest's own raises
    loop: list[Any] = []
    loop.append(loop)
    for value in (text, float("nan"), float("inf"), object(), loop, {1: {text}}):
        written.step.warning(text, value=value)
    logging.getLogger("any").warning("%s", text, extra={"run": text})
    logging.getLogger("any").warning("not %d", text)
    assert len(written()) == 8


def test_warnings_and_errors_that_nothing_handled_are_log_lines(written: Any) -> None:
    warnings.simplefilter("always")
    warnings.warn("old\nway", DeprecationWarning, stacklevel=1)
    threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError("in a thread"), None, threading.current_thread())))
    sys.excepthook(ValueError, ValueError("in main"), None)
    found = written()
    assert [line["level"] for line in found] == ["warning", "error", "critical"]
    assert [line.get("exception") for line in found] == [None, "ValueError: in a thread", "ValueError: in main"]


async def test_what_a_task_failed_with_is_told_with_its_run(written: Any) -> None:
    class Task:
        def get_context(self) -> Any:
            context = copy_context()
            context.run(logs.RUN.set, "r-1")
            return context

    loop = asyncio.get_running_loop()
    logs.on_loop_exception(loop, {"message": "Task exception was never retrieved", "exception": ValueError("lost"), "future": Task()})
    logs.on_loop_exception(loop, {"message": "of no task"})
    first, second = written()
    assert (first["run"], first["exception"], "run" in second) == ("r-1", "ValueError: lost", False)


def test_nothing_below_the_level_is_written(written: Any) -> None:
    logging.getLogger("any").debug("detail")
    written.step.debug("detail")
    assert written() == []


def console(**fields: object) -> str:
    entry = {"timestamp": "2026-01-31T12:00:00Z", "level": "info", "event": "called the function", "step": "attempt.started"}
    return logs.console_line({**entry, **fields}).decode()


def test_a_line_for_people_is_the_sentence_of_its_step_with_its_ids() -> None:
    expected = "2026-01-31T12:00:00Z info    order-4711  called the function (attempt.started) target=inspect attempt=1"
    assert console(run="order-4711", target="inspect", attempt=1) == expected


@pytest.mark.parametrize("field", ["run", "detail", "event"])
def test_no_value_can_begin_a_line_or_command_a_terminal(field: str) -> None:
    shown = console(**{field: "a\n2026 forged\r\x1b[2J\u202e\x85ü"})
    assert shown.isprintable()
    assert r"a\n2026 forged\r\x1b[2J\u202e\x85ü" in shown


def test_a_traceback_for_people_is_indented_so_that_nothing_in_it_looks_like_a_line() -> None:
    first, *rest = console(logger="aiohttp", exception="Traceback:\n  ValueError: a\n2026-01-31T12:00:00Z forged\x1b[2J").split("\n")
    assert first.endswith("called the function (attempt.started) logger=aiohttp")
    assert rest == ["    Traceback:", "      ValueError: a", r"    2026-01-31T12:00:00Z forged\x1b[2J"]


def test_a_process_whose_log_nobody_reads_goes_on() -> None:
    work = "import os; os.close(2); from bridge import telemetry; telemetry.setup(); telemetry.step('sweep', run='r-1'); print('done')"
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.stderr = open(2, 'w', closefd=False); {work}"], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "done\n"


def test_what_a_stranger_can_cause_is_logged_once_a_minute(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(logs._once_per_minute, "_told", {})
    monkeypatch.setattr(logs.time, "monotonic", lambda: moment)
    ports = logging.getLogger("uvicorn.error")
    for _ in range(500):
        ports.warning("Invalid HTTP request received.")
        ports.warning("Unsupported upgrade request.")
    assert [line["event"] for line in written()] == ["Invalid HTTP request received.", "Unsupported upgrade request."]
    moment += 60
    ports.warning("Invalid HTTP request received.")
    assert [line["event"] for line in written()] == ["Invalid HTTP request received. (499 more since the last such line)"]
    ports.error("a mistake", exc_info=ValueError("a"))
    ports.error("a mistake", exc_info=ValueError("b"))
    assert len(written()) == 2


async def test_each_component_that_is_away_is_named_within_the_same_minute(written: Any) -> None:
    for name in ("store", "bus"):
        Availability(name).lose("connection refused")
    assert [line["event"] for line in written()] == ["the store is away: connection refused", "the bus is away: connection refused"]
