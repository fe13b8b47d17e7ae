"""The HTTP triggers of one app: from a request to an invocation, and from its end to a response.

Statuses are Azure's: 401 without the key, 404, 429 over the limit, 500 for a function that failed in any way, 503 without a worker, and
413 for a body that is too large, where Azure says 500. None of them has a body that tells more, except for work of the bridge: a 500 says
what the function raised, and 410 that it was not called, because its deadline had passed.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bridge.crashpoints import passed
from bridge.local.functions import bridgework, handlervalues, httpoutput, keys, manualruns, outputs, typeddata
from bridge.local.functions.adminpages import NOT_RUNNING, AdminPages, AppState
from bridge.local.functions.bindings import Function, HttpTrigger, ManualTrigger
from bridge.local.functions.bridgework import BridgeWork
from bridge.local.functions.crashpoints import HostCrashPoint
from bridge.local.functions.hostjson import Http
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.httpstream import StreamBroken
from bridge.local.functions.invocations import AppInvocations, InvocationRequest
from bridge.local.functions.keys import AppKeys, KeyAccess
from bridge.local.functions.reports import NO_BRIDGE, BridgeLink
from bridge.local.functions.requestlimit import RequestLimit
from bridge.local.functions.routes import RouteTable
from bridge.local.functions.rpc import httpvalues
from bridge.local.functions.timerstatus import TimerStatuses
from bridge.local.functions.worker import InvocationResponse
from bridge.local.functions.workersupervisor import WorkerDown

log = logging.getLogger("bridge.functions")

#: A page that has made its own name lead here is not let in, not even to functions that want no key.
_NAMES = frozenset({"127.0.0.1", "localhost"})
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_TOO_MANY = HttpResponse(429, [("x-function-scaleout", "1")], early=True)
_WORKER_SECONDS = 10.0  #: how long a call waits for a worker that is started again, as it does in Azure
_ERRORS_WRITTEN = "x-errors-written"
_NOT_SENT = "x-outputs-not-sent"


@dataclass(frozen=True, slots=True)
class TriggeredFunction:
    """The function that a request runs, with the parameters of its route."""

    function: str
    trigger: HttpTrigger | ManualTrigger
    parameters: Mapping[str, str | None]
    streams: bool = False  #: whether the bodies of request and response are passed on while they come


class HttpTriggers:
    """Decides what a request gets."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that decides on a request
        self,
        functions: Sequence[Function],
        http: Http,
        app_keys: AppKeys,
        invocations: AppInvocations,
        largest_body: int,
        timers: TimerStatuses,
        link: BridgeLink = NO_BRIDGE,
        state: AppState | None = None,
    ) -> None:
        state = state or AppState()
        self._functions = {each.name: each for each in functions}
        self._triggers = {each.name: each.trigger for each in functions if isinstance(each.trigger, HttpTrigger)}
        self.routes = RouteTable((each.route for each in self._triggers.values()), http.route_prefix)
        self._keys = app_keys
        self._invocations, self._link = invocations, link
        self._runs = state.runs
        self._pages = AdminPages(state, app_keys)
        indexed = (each.name for each in state.functions if each.indexed)
        self._by_hand = manualruns.ManualRuns(functions, app_keys, invocations, timers, indexed)
        self._limit = RequestLimit(http.max_concurrent_requests, http.max_outstanding_requests)
        self.custom_headers = list((http.custom_headers or {}).items())  #: that every response gets
        self.largest_body = largest_body  #: bytes

    def admit(self, request: HttpRequest) -> TriggeredFunction | HttpResponse:
        """The function that the request runs, or the response that refuses it. This is decided before the body is read."""
        if request.headers.get("host", "").partition(":")[0].lower() not in _NAMES:
            return HttpResponse(421)
        begin = request.path[:7].lower()
        early = None if begin in ("/admin", "/admin/") else self._unavailable(request.path)
        own = early or (self._own(request) if begin in ("/admin/", "/runtim") else None)
        if own is not None:
            return own
        if not self._runs:
            return self._pages.not_running
        match = self.routes.match(request.method, request.path)
        if match is None:
            return self._pages.home() if request.path == "/" else HttpResponse(404)
        if match.broken:
            self._log_refused(match.function, match.broken)
            return HttpResponse(500)
        trigger = self._triggers[match.function]
        refused = self._refusal(trigger, match.function, request)
        return refused or TriggeredFunction(match.function, trigger, match.parameters, streams=self._invocations.forwards)

    def _unavailable(self, path: str) -> HttpResponse | None:
        """The response while the app takes no requests: decided before their keys, and before it is known which function they are for."""
        if not self._runs:
            return self._pages.not_running
        if self._limit.impossible:
            self._log_refused(path, "extensions.http of host.json lets no request run; write -1 for no limit")
            return HttpResponse(500)
        return _TOO_MANY if self._limit.full else None

    def _own(self, request: HttpRequest) -> TriggeredFunction | HttpResponse | None:
        """The answer of the host itself; None if the path is not one of its own."""
        by_hand = request.method == "POST" and request.path.lower().startswith(manualruns.PATH)
        if not by_hand:
            return self._pages.answer(request)
        if not self._runs:
            return self._pages.refusal(request) or self._pages.not_running
        named = self._by_hand.admit(request)
        return named if isinstance(named, HttpResponse) else TriggeredFunction(named[0], named[1], {})

    def _refusal(self, trigger: HttpTrigger, function: str, request: HttpRequest) -> HttpResponse | None:
        disabled = self._functions[function].disabled
        if disabled or not trigger.anonymous:
            access = self._keys.access(request.headers, request.query, trigger.level, function)
            if access < KeyAccess.GRANTED:
                return HttpResponse(401)
            if disabled and access is not KeyAccess.MASTER:
                return HttpResponse(404)
        too_large = int(request.headers.get("content-length") or 0) > self.largest_body
        return HttpResponse(413) if too_large else None

    async def respond(self, triggered: TriggeredFunction, request: HttpRequest, body: bytes) -> HttpResponse:
        """Run the function and return its response."""
        if isinstance(triggered.trigger, ManualTrigger):
            return self._by_hand.start(triggered.function, triggered.trigger, body)
        if self._limit.full:
            return _TOO_MANY
        work, function = self._work(request), self._functions[triggered.function]
        if function.broken:
            return self._broken(function, work)
        await self._limit.enter()
        try:
            if triggered.streams:
                body = await httpvalues.known_body(request, body)
            await self._invocations.worker(_WORKER_SECONDS if work is None or work.seconds_left is None else work.seconds_left)
            ended = await self._invocations.run_and_send(function, self._invocation(triggered, request, body, work))
        except (WorkerDown, StreamBroken):  # of a caller who is gone nobody reads the answer
            return HttpResponse(503, [("Content-Type", _TEXT)], NOT_RUNNING.body)
        finally:
            self._limit.leave()
        passed(HostCrashPoint.RAN_NOT_ANSWERED)
        try:
            response = self._response(triggered.function, ended, work) if ended.ok else self._failure(ended, work)
            return response if work is None else _with_unsent(response, function, ended)
        except handlervalues.BadAnswer as wrong:
            log.error("%s: %s failed: %s.", self._invocations.app, triggered.function, wrong)  # noqa: TRY400 - the fault is the handler's
            return self._failure(replace(ended, ok=False, code="HandlerFailed", text=str(wrong)), work)

    def _broken(self, function: Function, work: BridgeWork | None) -> HttpResponse:
        self._log_refused(function.name, function.broken)
        return self._failure(InvocationResponse(ok=False, code="FunctionNotLoaded", text=function.broken, final=True), work)

    def _log_refused(self, function: str, why: str) -> None:
        log.error("%s: %s took 0 ms and failed: %s.", self._invocations.app, function, why)

    def _invocation(self, triggered: TriggeredFunction, request: HttpRequest, body: bytes, work: BridgeWork | None) -> InvocationRequest:
        if self._invocations.handler:
            return replace(
                handlervalues.http(triggered.function, triggered.trigger.parameter, triggered.parameters, request, body), work=work
            )
        if self._invocations.rpc:
            key = self._keys.shown(request.headers, request.query, triggered.function)
            made = httpvalues.invocation(triggered.function, triggered.trigger.parameter, triggered.parameters, request, body, key)
            return made if work is None else replace(made, work=work, traceparent=request.headers.get("traceparent", ""))
        if not self._invocations.typed:
            return _invocation(triggered, request, body, work)
        with_metadata = self._functions[triggered.function].wants_metadata
        made = typeddata.http(
            triggered.function, triggered.trigger.parameter, triggered.parameters, request, body, with_metadata=with_metadata
        )
        return replace(made, work=work)

    def _response(self, function: str, ended: InvocationResponse, work: BridgeWork | None) -> HttpResponse:
        """The function's answer; the bridge is told besides how many error records the function wrote."""
        if self._invocations.handler:
            return handlervalues.response(self._functions[function].response, ended)
        if self._invocations.rpc:
            called = self._functions[function]
            return httpvalues.answered(called.response, ended, elsewhere="$return" in called.outputs)
        if not self._invocations.typed:
            binding = self._functions[function].response
            return _sendable(_response(ended.result if binding == "$return" else ended.outputs.get(binding)))
        response = _sendable(httpoutput.response(ended.outputs.get(self._functions[function].response)))
        return response if work is None else _counted(response, ended)

    def _work(self, request: HttpRequest) -> BridgeWork | None:
        """The work that the request is, if it shows the key; functions without keys can be called by anybody."""
        work = bridgework.of_call(request.headers, self._link.public_url)
        return work if work is not None and keys.opens(self._keys.host[0], request.headers, {}) else None

    def _failure(self, ended: InvocationResponse, work: BridgeWork | None) -> HttpResponse:
        """What the bridge is told of a function that failed; everybody else gets Azure's answer."""
        if work is None:
            kept = (ended.result or {}).get("http")
            return kept if isinstance(kept, HttpResponse) else HttpResponse(500)
        body = json.dumps(bridgework.error_of(ended, self._link.log_name)).encode()
        return _counted(HttpResponse(410 if ended.late else 500, [("Content-Type", _JSON)], body), ended)


def _counted(response: HttpResponse, ended: InvocationResponse) -> HttpResponse:
    """The response with the number of error records that the function wrote, if it wrote any."""
    if ended.errors_written:
        response.headers = [*response.headers, (_ERRORS_WRITTEN, str(ended.errors_written))]
    return response


def _with_unsent(response: HttpResponse, function: Function, ended: InvocationResponse) -> HttpResponse:
    """The response with the outputs that the function has set and this host does not send."""
    text = outputs.not_sent_text(function, ended)
    return replace(response, headers=[*response.headers, (_NOT_SENT, text)]) if text else response


def _invocation(triggered: TriggeredFunction, request: HttpRequest, body: bytes, work: BridgeWork | None) -> InvocationRequest:
    headers = request.headers
    http: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "headers": headers,
        "params": {name: text for name, text in triggered.parameters.items() if text is not None},
        "query": request.query,
        "body": b64encode(body).decode(),
    }
    return InvocationRequest(
        parameter=triggered.trigger.parameter,
        value={"http": http},
        metadata={},
        traceparent=headers.get("traceparent", ""),
        tracestate=headers.get("tracestate", ""),
        on_behalf_of=headers.get("x-invocation-id", ""),
        work=work,
    )


def _sendable(response: HttpResponse) -> HttpResponse:
    """The response as it is. Raises BadAnswer for one that Azure's web server refuses to send."""
    if response.status < 200:
        raise handlervalues.BadAnswer(f"it answered with the status {response.status}, after which an answer would still have to come")
    if wrong := next((name for name, text in response.headers if not text.isascii()), None):
        raise handlervalues.BadAnswer(f"it set the header {wrong} to a text that is not ASCII, which a header cannot carry")
    return response


def _response(result: Mapping[str, Any] | None) -> HttpResponse:
    """The response for a function's return value; plain text and data get status 200."""
    if result is None:
        return HttpResponse(204)
    ((kind, content),) = result.items()
    if kind == "http":
        return HttpResponse(content["status"], content["headers"], b64decode(content["body"]))
    if kind == "bytes":
        return HttpResponse(200, [("Content-Type", "application/octet-stream")], b64decode(content))
    return HttpResponse(200, [("Content-Type", _TEXT if kind == "string" else _JSON)], str(content).encode())
