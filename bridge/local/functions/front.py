"""The HTTP side of one app: from a request to an invocation, and from its end to an answer.

Statuses are Azure's: 401 without the key, 404, 405, 413, 429 over the limit, 500 for a function that failed in any way, 503 without a
worker. None of them has a body that tells more.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bridge.crashpoints import passed
from bridge.local.functions import keys
from bridge.local.functions.bindings import Function, HttpTrigger
from bridge.local.functions.crashpoints import CrashPoint
from bridge.local.functions.hostjson import Http
from bridge.local.functions.invocations import Invocations, Trigger
from bridge.local.functions.routes import RouteTable, WrongMethod
from bridge.local.functions.supervisor import WorkerDown

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What came, without the body; header names in lower case."""

    method: str
    url: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may run a function."""

    function: str
    trigger: HttpTrigger
    parameters: Mapping[str, str]


class Front:
    """Decides what a request gets."""

    def __init__(self, functions: Sequence[Function], http: Http, key: str, invocations: Invocations) -> None:
        self._triggers = {each.name: each.trigger for each in functions if isinstance(each.trigger, HttpTrigger)}
        self._routes = RouteTable((each.route for each in self._triggers.values()), http.route_prefix)
        self._key = key
        self._invocations = invocations
        self._room = Room(http.max_concurrent_requests, http.max_outstanding_requests)

    def admit(self, request: Request) -> Call | Answer:
        """The function to call, or the refusal; decided before the body is read."""
        match = self._routes.match(request.method, request.path)
        if match is None:
            return Answer(404)
        if isinstance(match, WrongMethod):
            return Answer(405, [("Allow", ", ".join(sorted(match.allowed)))])
        trigger = self._triggers[match.function]
        if not trigger.anonymous and not keys.opens(self._key, request.headers, request.query):
            return Answer(401)
        return Answer(429) if self._room.full else Call(match.function, trigger, match.parameters)

    async def answer(self, call: Call, request: Request, body: bytes) -> Answer:
        """Run the function and answer with its result."""
        async with self._room.place() as placed:
            if not placed:
                return Answer(429)
            try:
                done = await self._invocations.run(call.function, _trigger(call, request, body))
            except WorkerDown:
                return Answer(503, [("Content-Type", _TEXT)], b"Function host is not running.")
        passed(CrashPoint.RAN_NOT_ANSWERED)
        return _answer(done.result) if done.ok else Answer(500)


class Room:
    """Room for requests: `concurrent` run, the others up to `outstanding` in all wait. -1 is no limit.

    Without a limit on outstanding requests none waits.
    """

    def __init__(self, concurrent: int, outstanding: int) -> None:
        self._places = asyncio.Semaphore(concurrent) if concurrent >= 0 else None
        self._most = outstanding if outstanding >= 0 else concurrent
        self._taken = 0

    @property
    def full(self) -> bool:
        """Whether the next request is refused."""
        return self._most >= 0 and self._taken >= self._most

    @asynccontextmanager
    async def place(self) -> AsyncIterator[bool]:
        """Hold a place while the block runs, after waiting for it; False if there is none."""
        if self.full:
            yield False
            return
        self._taken += 1
        try:
            if self._places is None:
                yield True
            else:
                async with self._places:
                    yield True
        finally:
            self._taken -= 1


def _trigger(call: Call, request: Request, body: bytes) -> Trigger:
    http: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "params": call.parameters,
        "query": request.query,
        "body": b64encode(body).decode(),
    }
    headers = request.headers
    return Trigger(
        parameter=call.trigger.parameter,
        value={"http": http},
        metadata={},
        traceparent=headers.get("traceparent", ""),
        tracestate=headers.get("tracestate", ""),
        on_behalf_of=headers.get("x-invocation-id", ""),
    )


def _answer(result: Mapping[str, Any] | None) -> Answer:
    """The answer for a function's return value; plain text and data get status 200."""
    if result is None:
        return Answer(204)
    ((kind, content),) = result.items()
    if kind == "http":
        return Answer(content["status"], [(name, value) for name, value in content["headers"]], b64decode(content["body"]))
    if kind == "bytes":
        return Answer(200, [("Content-Type", "application/octet-stream")], b64decode(content))
    return Answer(200, [("Content-Type", _TEXT if kind == "string" else _JSON)], str(content).encode())
