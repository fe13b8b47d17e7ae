"""Runs functions for the triggers of an app, and writes to the log how each invocation ended."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bridge.local.functions import bodymerge, loglevels, outputs
from bridge.local.functions.bindings import Function
from bridge.local.functions.bridgework import BridgeWork
from bridge.local.functions.cancelwatch import CancelWatch
from bridge.local.functions.feed import Feed, FeedError
from bridge.local.functions.loglevels import LogLevels
from bridge.local.functions.reports import Reports
from bridge.local.functions.worker import InvocationResponse, WorkerLost
from bridge.local.functions.workersupervisor import TimedOut, WorkerDown, WorkerSupervisor

log = logging.getLogger("bridge.functions")

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_LONGEST_LABEL = 130  #: characters
OUTPUT_NOT_SENT = "OutputNotSent"  #: the code of a function that succeeded, and whose output could not be sent


@dataclass(frozen=True, slots=True)
class HeldMessages:
    """The messages that a call is for, by their lock tokens, with the session that each belongs to, or ""."""

    feed: Feed
    sessions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InvocationRequest:
    """What starts an invocation: the value for the trigger's parameter, its metadata and the W3C trace context."""

    parameter: str
    value: dict[str, Any]
    metadata: dict[str, Any]
    traceparent: str = ""
    tracestate: str = ""
    on_behalf_of: str = ""  #: the id that the caller gave, for the log
    work: BridgeWork | None = None  #: if the bridge sent it
    refused: str = ""  #: why the function cannot be called with this: it fails without being called
    held: HeldMessages | None = None  #: what the function may settle itself
    retry: dict[str, Any] | None = None  #: `{count, maximum, message, source}` of a function that has a retry policy


After = Callable[[InvocationResponse], Awaitable[InvocationResponse]]
"""What belongs to an invocation after its function has succeeded; returns how the invocation ended."""
RunOnce = Callable[[Function, InvocationRequest], Awaitable[InvocationResponse]]
"""Runs a function once."""


class AppInvocations:
    """Starts the invocations of one app and knows which are running."""

    def __init__(  # noqa: PLR0913 - what the invocations of an app share
        self,
        app: str,
        timeout_seconds: float | None,
        feeds: Callable[[str], Feed] | None = None,
        reports: Reports | None = None,
        *,
        typed: bool = False,
        handler: bool = False,
        rpc: bool = False,
        levels: LogLevels | None = None,
    ) -> None:
        self.app = app  #: its name, for the log
        self._timeout = timeout_seconds
        self._running: dict[str, str] = {}
        self._feeds, self._reports = feeds, reports
        self._closed = False
        self.typed = typed  #: whether the worker takes its values as `typeddata` makes them
        self.handler = handler  #: whether the worker is a custom handler, which takes them as `handlervalues` makes them
        self._levels = levels or LogLevels()
        self.rpc = rpc  #: whether the worker speaks Azure's own protocol, and takes them as `rpc.httpvalues` makes them
        self.forwards = False  #: whether its functions get the requests themselves
        self.supervisor: WorkerSupervisor | None = None

    @property
    def running(self) -> int:
        """The number of invocations that are running."""
        return len(self._running)

    def close(self) -> None:
        """Start no more invocations."""
        self._closed = True

    async def worker(self, seconds: float) -> None:
        """Wait for a worker, for so long at most. A call that comes while one is started again need not fail."""
        if self.supervisor is None or self._closed or self.supervisor.is_up:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self.supervisor.up()

    async def ready(self) -> None:
        """Wait until a worker is running. Raises WorkerDown if the app has none."""
        if self.supervisor is None:
            raise WorkerDown
        await self.supervisor.up()

    async def run(self, function: str, request: InvocationRequest, after: After | None = None) -> InvocationResponse:
        """Run a function once, and what belongs `after` its success. Its end is logged then.

        Raises WorkerDown if it could not start; any other trouble is a response that is not `ok`.

        Work of the bridge whose deadline has passed is not started, whether there is a worker or not: the response is `late`. The worker
        checks once more, because it may have others to run first.
        """
        if self.supervisor is None or self._closed:
            raise WorkerDown
        invocation = str(uuid.uuid4())
        started = time.perf_counter()
        if request.work is not None and request.work.is_late:
            response = InvocationResponse(ok=False, late=True)
        elif request.refused:
            response = _broken_off("NotBindable", request.refused, f"The function was not called: {request.refused}.")
        else:
            response = await self._invoked(self.supervisor, invocation, function, request)
        response = replace(response, invocation=invocation)
        if response.ok and after is not None:
            ended = await after(response)
            response = ended if ended.invocation else replace(ended, invocation=invocation)
        self._log_end(invocation, function, request, response, time.perf_counter() - started)
        return response

    async def run_and_send(self, function: Function, request: InvocationRequest) -> InvocationResponse:
        """Run a function, again if it fails and has a retry policy, and send what it has set on output bindings."""
        return await self.repeated(function, request, self._once_and_send)

    async def repeated(self, function: Function, request: InvocationRequest, once: RunOnce) -> InvocationResponse:
        """Run a function with `once`, again if it fails and has a retry policy.

        Work of the bridge is not repeated here, because the bridge repeats it by its own policy.
        """
        policy = function.retry if request.work is None else None
        if policy is None:
            return await once(function, request)
        retry, message = 0, ""
        while True:
            context = {"count": retry, "maximum": policy.most, "message": message, "source": ""}
            response = await once(function, replace(request, retry=context))
            if response.ok or retry == policy.most:
                return response
            retry, message = retry + 1, response.text
            await asyncio.sleep(policy.pause(retry))

    def log_unsent(self, function: Function, response: InvocationResponse) -> None:
        """Say that an output was not sent, because this host has nothing that takes it; in Azure it would be."""
        for name, size in (outputs.not_sent(function, response) if response.ok and function.unsent else {}).items():
            log.warning("%s: OutputNotSent: %s set %d bytes on %s, which this host does not send.", self.app, function.name, size, name)

    async def _once_and_send(self, function: Function, request: InvocationRequest) -> InvocationResponse:
        return await self.run(function.name, request, partial(self.sent, function, request))

    async def sent(self, function: Function, request: InvocationRequest, response: InvocationResponse) -> InvocationResponse:
        """Send what a function that succeeded has set on output bindings. A function whose output cannot be sent has failed.

        The bindings are independent: what can be sent is sent, and again when the function is run again, as in Azure.
        """
        self.log_unsent(function, response)
        if not function.outputs or self._feeds is None:
            return response
        metadata = request.metadata
        if self.typed and function.has_expressions:
            metadata = {name: bodymerge.plain(value) for name, value in metadata.items()}
        for name in outputs.taken_for_bytes(function, response) if self.handler else ():
            log.warning(
                "%s: %s set a text on %s that is base64, so %s is sent, as by Azure: write dataType binary for the binding.",
                *(self.app, function.name, name, outputs.BYTES_TAKEN_FOR_TEXT),
            )
        sending = outputs.outgoing(function, response, metadata, handler=self.handler)
        problems = [each for each in await asyncio.gather(*map(self._send, sending)) if each]
        if not problems:
            return response
        why = f"its output was not sent: {'; '.join(problems)}"
        return _broken_off(OUTPUT_NOT_SENT, why, "The output of the function could not be sent.")

    async def _send(self, output: outputs.BindingOutput) -> str:
        """Send what was set on one binding; returns why that was not possible."""
        if output.problem:
            return f"{output.binding}: {output.problem}"
        assert self._feeds is not None  # noqa: S101 - the caller has looked
        try:
            await self._feeds(output.connection).send(output.messages)
        except FeedError as problem:
            return f"{output.binding}: {problem}"
        return ""

    async def _invoked(
        self, supervisor: WorkerSupervisor, invocation: str, function: str, request: InvocationRequest
    ) -> InvocationResponse:
        self._running[invocation] = function
        watch: CancelWatch | None = None
        work, stop = request.work, partial(supervisor.stop_function, invocation) if supervisor.can_stop else None
        if work is not None and self._reports is not None and (stop is not None or work.is_message):
            watch = CancelWatch(self._reports, work, stop)
        try:
            response = await self._answered(supervisor, _message(invocation, function, request))
        finally:
            del self._running[invocation]
            if watch is not None:
                watch.end()
        if watch is None or not watch.canceled:
            return response
        if not response.ok and supervisor.can_stop:
            response = _broken_off("Canceled", "it was stopped, because its run is canceled", "The function was stopped.")
        return replace(response, canceled=True)

    async def _answered(self, supervisor: WorkerSupervisor, message: dict[str, Any]) -> InvocationResponse:
        try:
            return await supervisor.invoke(message, self._timeout)
        except WorkerLost:
            return _broken_off("WorkerEnded", "its worker ended while it ran", "The worker ended while the function ran.")
        except TimedOut as late:
            limit = f"functionTimeout ({self._timeout:g} s)" if self._timeout is not None else "it was given"
            what = "its worker was killed" if late.answer is None else "it was stopped"
            why = f"ran longer than {limit}, so {what}"
            broken_off = _broken_off("FunctionTimeout", f"it {why}", f"The function {why}.")
            return broken_off if late.answer is None else replace(broken_off, result=late.answer.result)

    def _log_end(self, invocation: str, function: str, request: InvocationRequest, response: InvocationResponse, seconds: float) -> None:
        took = f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        whose = f", for {label}" if (label := _label(request.on_behalf_of)) else ""
        if response.ok:
            how = f"succeeded, {response.errors_written} errors written" if response.errors_written else "succeeded"
            log.info("%s: %s took %s and %s (invocation %s%s)", self.app, function, took, how, invocation, whose)
            return
        if response.late:
            log.warning("%s: %s was not called, because its deadline had passed (invocation %s%s)", self.app, function, invocation, whose)
            return
        why = f"{response.message}\n{response.stack}".strip()
        log.error("%s: %s took %s and failed (invocation %s%s): %s", self.app, function, took, invocation, whose, why)

    def log_line(self, invocation: str | None, level: str, text: str) -> None:
        """Log a line that a function has written, with its invocation; a line without one is logged as the app's."""
        function = self._running.get(invocation or "")
        if not self._levels.shows(loglevels.CONSOLE if function is None else loglevels.of_function(function), level):
            return
        message, rest = ("%s: | %s", ()) if function is None else ("%s: %s | %s (invocation %s)", (function,))
        values = (self.app, *rest, text, *(() if function is None else (invocation,)))
        # host.json decides on these lines, and the level of the log only on what the host says itself.
        log.handle(log.makeRecord(log.name, _LEVELS.get(level, logging.INFO), "", 0, message, values, None))


def _message(invocation: str, function: str, request: InvocationRequest) -> dict[str, Any]:
    retry = {} if request.retry is None else {"retry": request.retry}
    return {
        **retry,
        **({"held": request.held} if request.held is not None else {}),
        "op": "invoke",
        "id": invocation,
        "function": function,
        "trigger": {"name": request.parameter, "value": request.value, "metadata": request.metadata},
        "trace": {"parent": request.traceparent, "state": request.tracestate},
        "deadline": request.work.deadline.timestamp() if request.work is not None and request.work.deadline is not None else None,
    }


def _broken_off(code: str, message: str, text: str) -> InvocationResponse:
    return InvocationResponse(ok=False, message=message, code=code, text=text)


def _label(text: str) -> str:
    """The caller's id if it can stand in a log line."""
    return text if text.isprintable() and len(text) <= _LONGEST_LABEL else ""
