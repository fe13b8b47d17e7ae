"""Functions run by hand: `POST /admin/functions/NAME` with `{"input": "text"}`, whatever their trigger is.

Statuses are those of Azure's host: 401 without the key, 404, 415 for another type than JSON, 400 for another form, else 202; then the
function runs, and the log says how that ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from bridge.local.functions import bodymerge, messagevalues, newtonsoftwriter
from bridge.local.functions.bindings import Function, ManualTrigger, ServiceBusTrigger, TimerTrigger
from bridge.local.functions.bodymerge import Value
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.invocations import AppInvocations, InvocationRequest
from bridge.local.functions.keys import AppKeys, KeyAccess
from bridge.local.functions.timerstatus import TimerStatuses
from bridge.local.functions.workersupervisor import WorkerDown

log = logging.getLogger("bridge.functions")

PATH = "/admin/functions/"
NO_TRIGGER = ManualTrigger("", "")  #: stands for a function that nothing can start by hand; Azure accepts the request and fails
_QUEUE_TIMES = ("ExpirationTime", "NextVisibleTime")
_NEVER: Value = {"json": '"9999-12-31T23:59:59+00:00"'}


class ManualRuns:
    """Starts functions of one app because somebody asked for it."""

    def __init__(
        self, functions: Iterable[Function], keys: AppKeys, invocations: AppInvocations, timers: TimerStatuses, known: Iterable[str] = ()
    ) -> None:
        self._functions = {each.name.lower(): each for each in functions}
        self._timers = timers
        self._known = {each.lower() for each in known}
        self._keys = keys
        self._invocations = invocations
        self._running: set[asyncio.Task[Any]] = set()

    def admit(self, request: HttpRequest) -> tuple[str, ManualTrigger] | HttpResponse:
        """The function that the request names, or the response that refuses it."""
        access = self._keys.access(request.headers, request.query, "admin")
        if access is not KeyAccess.MASTER:
            return HttpResponse(403) if access is KeyAccess.OTHER_KEY else HttpResponse(401, [("WWW-Authenticate", "Bearer")])
        name = unquote(request.path[len(PATH) :]).rstrip("/").lower()
        function = self._functions.get(name)
        if function is None and name not in self._known:
            return HttpResponse(404)
        is_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        if not is_json:
            return HttpResponse(415)
        by_hand = function.by_hand if function is not None else None
        return (function.name if function is not None else name), by_hand or NO_TRIGGER

    def start(self, function: str, trigger: ManualTrigger, body: bytes) -> HttpResponse:
        """Start the function with the input in `body`."""
        content = _object(body)
        given = next((value for name, value in (content or {}).items() if name.lower() == "input"), None)
        if content is None or not isinstance(given, str | None):
            return HttpResponse(400)
        if function.lower() not in self._functions:
            log.error(
                "%s: %s is not run by hand: it is left out here, for the reason that the start gives.", self._invocations.app, function
            )
            return HttpResponse(202)
        if problem := _problem(trigger, given):
            log.error("%s: %s took 0 ms and failed: %s.", self._invocations.app, function, problem)
            return HttpResponse(202)
        task = asyncio.create_task(self._run(function, self._request(self._functions[function.lower()], trigger, given)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return HttpResponse(202)

    def _request(self, function: Function, trigger: ManualTrigger, given: str | None) -> InvocationRequest:
        """The invocation as Azure makes it of a test input for this kind of trigger."""
        text = given or ""
        itself: Value = {"string": text} if self._invocations.rpc else bodymerge.THE_TRIGGER
        own = {} if given is None else {trigger.parameter: itself}
        if isinstance(function.trigger, ServiceBusTrigger):
            made = messagevalues.of_input(function.trigger, text, typed=self._invocations.typed, collections=self._invocations.rpc)
            return replace(made, metadata={**made.metadata, **(own if self._invocations.typed else {})}, on_behalf_of="somebody by hand")
        if isinstance(function.trigger, TimerTrigger):
            value, metadata = self._timer(function.name, function.trigger)
        else:
            value = {"json": text or "null"} if trigger.kind == "eventgridtrigger" else {"string": text}
            metadata = _metadata(trigger.kind, text)
        return InvocationRequest(
            trigger.parameter, value, {**metadata, **own} if self._invocations.typed else {}, on_behalf_of="somebody by hand"
        )

    def _timer(self, function: str, trigger: TimerTrigger) -> tuple[Value, dict[str, Value]]:
        """A run by hand sees the schedule as it is, and is never past due; the input counts for nothing."""
        now = datetime.now(UTC)
        status, _ = self._timers.checked(function, trigger, now)
        shown = self._timers.value(trigger, status, past_due=False)
        return {"json": newtonsoftwriter.compact(shown)}, {"TimerTrigger": {"string": self._timers.metadata(now)}}

    async def _run(self, function: str, request: InvocationRequest) -> None:
        try:
            await self._invocations.run_and_send(self._functions[function.lower()], request)
        except WorkerDown:
            log.error("%s: %s was not run by hand, because its worker is not running.", self._invocations.app, function)  # noqa: TRY400 - no more is known


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in the body; None for a body of another form."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _problem(trigger: ManualTrigger, given: str | None) -> str:
    """Why a run with this input fails before its function is called; nothing if it does not."""
    if trigger is NO_TRIGGER:
        return "it is not run by hand here; call an HTTP function by its route"
    if trigger.kind == "queuetrigger" and given is None:
        return 'a queue function needs its message; send {"input": "text"}'
    if trigger.kind == "servicebustrigger" and given is None:
        return 'a Service Bus function needs its message; send {"input": "text"}'
    if trigger.kind == "eventgridtrigger" and _object((given or "").encode()) is None:
        return 'an Event Grid function needs its event; send {"input": "…"} with the text of one JSON object'
    return ""


def _metadata(kind: str, text: str) -> dict[str, Value]:
    now = {"json": json.dumps(datetime.now(UTC).isoformat())}
    if kind == "queuetrigger":
        own: dict[str, Value] = {"QueueTrigger": {"string": text}, "DequeueCount": {"int": 0}, "InsertionTime": now}
        return bodymerge.over({**own, **dict.fromkeys(_QUEUE_TIMES, _NEVER)}, bodymerge.properties(text))
    if kind == "servicebustrigger":
        own = {"DeliveryCount": {"int": 0}, "SequenceNumber": {"int": -1}, "LockToken": {"string": str(uuid.UUID(int=0))}}
        return bodymerge.over(own, bodymerge.properties(text))
    if kind == "eventgridtrigger":
        return {name: value for name, value in bodymerge.properties(text).items() if name == "data"}
    return bodymerge.properties(text)
