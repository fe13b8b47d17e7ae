"""Runs functions for the HTTP front and the triggers, and tells in the log how each one went."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from typing import Any

from bridge.local.functions.supervisor import Supervisor, TimedOut, WorkerDown
from bridge.local.functions.worker import Done, WorkerLost

log = logging.getLogger("bridge.functions")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}
_LONGEST_LABEL = 130  #: characters


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts an invocation: the value for the trigger's parameter, its metadata and the W3C trace context."""

    parameter: str
    value: dict[str, Any]
    metadata: dict[str, Any]
    traceparent: str = ""
    tracestate: str = ""
    on_behalf_of: str = ""  #: the caller's own id, for the log


class Invocations:
    """The invocations of one app."""

    def __init__(self, app: str, timeout_seconds: float | None) -> None:
        self._app = app
        self._timeout = timeout_seconds
        self._running: dict[str, str] = {}
        self._closed = False
        self.supervisor: Supervisor | None = None

    @property
    def running(self) -> int:
        """How many functions are running."""
        return len(self._running)

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True

    async def run(self, function: str, trigger: Trigger) -> Done:
        """Run a function once. Raises WorkerDown if it could not start; any other trouble is a failed Done."""
        if self.supervisor is None or self._closed:
            raise WorkerDown
        invocation = str(uuid.uuid4())
        self._running[invocation] = function
        started = time.perf_counter()
        try:
            done = await self.supervisor.invoke(_order(invocation, function, trigger), self._timeout)
        except WorkerLost:
            done = Done(ok=False, message="its worker ended while it ran")
        except TimedOut:
            done = Done(ok=False, message=f"it ran longer than functionTimeout ({self._timeout:g} s), so its worker was killed")
        finally:
            del self._running[invocation]
        self._tell(invocation, function, trigger, done, time.perf_counter() - started)
        return done

    def _tell(self, invocation: str, function: str, trigger: Trigger, done: Done, seconds: float) -> None:
        took = f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        whose = f", for {label}" if (label := _label(trigger.on_behalf_of)) else ""
        if done.ok:
            log.info("%s: %s took %s and succeeded (invocation %s%s)", self._app, function, took, invocation, whose)
            return
        why = f"{done.message}\n{done.stack}".strip()
        log.error("%s: %s took %s and failed (invocation %s%s): %s", self._app, function, took, invocation, whose, why)

    def log_line(self, invocation: str | None, level: str, text: str) -> None:
        """Log a line of a function, with its invocation; a line of no invocation is the app's."""
        function = self._running.get(invocation or "")
        if function is None:
            log.log(_LEVELS.get(level, logging.INFO), "%s: | %s", self._app, text)
        else:
            log.log(_LEVELS.get(level, logging.INFO), "%s: %s | %s (invocation %s)", self._app, function, text, invocation)


def _order(invocation: str, function: str, trigger: Trigger) -> dict[str, Any]:
    return {
        "id": invocation,
        "function": function,
        "trigger": {"name": trigger.parameter, "value": trigger.value, "metadata": trigger.metadata},
        "trace": {"parent": trigger.traceparent, "state": trigger.tracestate},
    }


def _label(text: str) -> str:
    """The caller's id if it can stand in a log line."""
    return text if text.isprintable() and len(text) <= _LONGEST_LABEL else ""
