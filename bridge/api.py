"""The HTTP API (contract 3.3): reads requests, calls the doors, shows what they give. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge import durations, envelope, openapi, problem, telemetry
from bridge.audit import Audit
from bridge.catalog import Automation, Catalog
from bridge.deadletters import DeadLetters, Wanted
from bridge.doors import Doors, Filter, Submitted
from bridge.envelope import Event, parse_json, timestamp
from bridge.errors import BridgeError, Malformed, NotAvailable, NotFound, TooLarge, UnsupportedMediaType
from bridge.events import Ask
from bridge.guard import Guard
from bridge.identity import Caller, Tokens
from bridge.replay import Wish
from bridge.run import Run, Status, view_json
from bridge.settings import Settings

_JSON = "application/json"
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})")
_NUMBER = re.compile(r"\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,4})?")
_HEARTBEAT = 15.0  #: seconds between comments of a stream of events (contract 3.3)
_MAX_LIST = 200
_AT_ONCE = 100  #: events of a batch that are submitted at a time


@dataclass(frozen=True)
class Services:
    """What the API calls. `ready` gives the parts the bridge depends on and what is wrong with each, empty if nothing."""

    doors: Doors
    deadletters: DeadLetters
    audit: Audit
    catalog: Catalog
    settings: Settings
    ready: Callable[[], Awaitable[Mapping[str, str]]]


def create(services: Services, hosts: frozenset[str]) -> Guard:
    """The ASGI application; `hosts` are the names it answers to when no tokens are configured."""
    api = _Api(services)
    app = Starlette(
        routes=api.routes(),
        exception_handlers={BridgeError: problem.of_bridge, HTTPException: problem.of_routing, Exception: problem.of_mistake},
    )
    app.router.redirect_slashes = False  # the address it leads to would be made of the Host header
    public = urlsplit(services.settings.public_url or "")
    origins = {f"{public.scheme}://{public.netloc}"} if public.netloc else set()
    return Guard(app, tokens=Tokens(services.settings.tokens), hosts=hosts, origins=origins)


class _Api:
    def __init__(self, services: Services) -> None:
        self._doors, self._deadletters, self._catalog = services.doors, services.deadletters, services.catalog
        self._audit, self._settings, self._ready = services.audit, services.settings, services.ready

    def routes(self) -> list[Route]:
        """Every path; `openapi.py` describes the same ones, and a test holds the two together."""
        return [
            Route("/v1/automations/{name}/requests", self.ask, methods=["POST"]),
            Route("/v1/events", self.publish, methods=["POST"]),
            _route("/v1/requests/{correlationId}", GET=self.show, DELETE=self.cancel),
            Route("/v1/requests/{correlationId}/output", self.output, methods=["GET"]),
            Route("/v1/requests/{correlationId}/events", self.follow, methods=["GET"]),
            Route("/v1/requests/{correlationId}/rerun", self.rerun, methods=["POST"]),
            Route("/v1/requests", self.list, methods=["GET"]),
            Route("/v1/automations", self.automations, methods=["GET"]),
            Route("/v1/automations/{name}", self.automation, methods=["GET"]),
            Route("/v1/deadletters", self.dead_letters, methods=["GET"]),
            _route("/v1/deadletters/{id}", GET=self.dead_letter, DELETE=self.discard),
            Route("/v1/deadletters/{id}/replay", self.replay, methods=["POST"]),
            Route("/v1/audit", self.audit, methods=["GET"]),
            _route("/v1/invocations/{correlationId}/{target}", GET=self.invocation, POST=self.report),
            Route("/healthz/live", self.live, methods=["GET"]),
            Route("/healthz/ready", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/openapi.json", self.description, methods=["GET"]),
        ]

    async def ask(self, request: Request) -> Response:
        """Submit an automation; the body is its input."""
        _require_json(request)
        value = parse_json(await _body(request, self._settings.max_input_bytes))
        submitted = await self._doors.ask(_ask(request, request.path_params["name"], value), _caller(request))
        return await self._submitted(request, submitted)

    async def publish(self, request: Request) -> Response:
        """Submit by event: structured, binary or a batch (CloudEvents HTTP binding 1.0.2, section 3)."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        caller = _caller(request)
        if media_type == envelope.BATCH:
            events = envelope.decode_batch(await _body(request, self._settings.max_batch_bytes))
            items: list[bytes] = []
            for start in range(0, len(events), _AT_ONCE):
                group = events[start : start + _AT_ONCE]
                items += await asyncio.gather(*(self._one_of_batch(event, caller) for event in group))
            return Response(b'{"items":[' + b",".join(items) + b"]}", 202, media_type=_JSON)
        event = envelope.decode_http(request.headers, await _body(request, self._settings.max_input_bytes))
        return await self._submitted(request, await self._doors.submit(event, caller))

    async def _one_of_batch(self, event: Event | Malformed, caller: Caller) -> bytes:
        try:
            if isinstance(event, Malformed):
                raise event
            return view_json((await self._doors.submit(event, caller)).run)
        except BridgeError as refusal:
            return to_json(problem.content(refusal))

    async def _submitted(self, request: Request, submitted: Submitted) -> Response:
        run = submitted.run
        preferred = _WAIT.search(request.headers.get("prefer", ""))
        if preferred and not run.status.final:
            run = await self._doors.find(run.correlation_id, _caller(request), min(int(preferred[1]), self._max_wait))
        ended = run.status.final and (submitted.repeated or preferred is not None)
        return _show(run, 200 if ended else 202, {"location": f"/v1/requests/{run.correlation_id}"})

    async def show(self, request: Request) -> Response:
        """A run; with `wait`, once it has ended."""
        run = await self._doors.find(request.path_params["correlationId"], _caller(request), self._wait(request))
        return _show(run, 200 if run.status.final else 202)

    async def output(self, request: Request) -> Response:
        """The raw output of a run that succeeded."""
        run = await self._doors.find(request.path_params["correlationId"], _caller(request), self._wait(request))
        if not run.status.final:
            return _show(run, 202)
        if run.status is not Status.SUCCEEDED:
            code = f" ({run.error.code})" if run.error else ""
            raise NotAvailable(f"Run {run.correlation_id} ended {run.status}{code}.")
        return Response(to_json(run.output), media_type=_JSON)

    async def follow(self, request: Request) -> Response:
        """Server-sent events: the run at every change until its end."""
        runs = self._doors.follow(request.path_params["correlationId"], _caller(request))
        first = await anext(runs, None)
        if first is None:
            raise NotFound(f"Run {request.path_params['correlationId'][:100]!r} has just come to the end of its time.")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_stream(first, runs), headers=headers, media_type="text/event-stream")

    async def cancel(self, request: Request) -> Response:
        """Ask for a run to end early."""
        return _show(await self._doors.cancel(request.path_params["correlationId"], _caller(request)), 202)

    async def rerun(self, request: Request) -> Response:
        """Ask for the same again."""
        body = await _body(request, self._settings.max_input_bytes)
        if body:
            _require_json(request)
        wish = _ask(request, "", parse_json(body) if body else None)
        submitted = await self._doors.rerun(request.path_params["correlationId"], _caller(request), wish, new_input=bool(body))
        return await self._submitted(request, submitted)

    async def list(self, request: Request) -> Response:
        """Runs, newest first."""
        query = request.query_params
        try:
            status = Status(query["status"]) if "status" in query else None
        except ValueError:
            raise Malformed(f"{query['status'][:40]!r} is not a status.", hint=f"Use one of {', '.join(Status)}.") from None
        wanted = Filter(status, query.get("automation", ""), _since(query.get("since")), _limit(query.get("limit", "50")))
        found, cursor = await self._doors.list(wanted, query.get("cursor", ""), _caller(request))
        return _page([view_json(run) for run in found], cursor)

    async def automations(self, _request: Request) -> Response:
        """The catalogue."""
        return Response(to_json({"items": [_automation(each) for each in self._catalog]}), media_type=_JSON)

    async def automation(self, request: Request) -> Response:
        """One automation with its input schema."""
        return Response(to_json(_automation(self._catalog.get(request.path_params["name"]))), media_type=_JSON)

    async def dead_letters(self, request: Request) -> Response:
        """Dead letters, newest first."""
        _caller(request).require_admin()
        query = request.query_params
        wanted = Wanted(query.get("reason", ""), query.get("automation", ""), _choice(query.get("replayed")), query.get("replayOf", ""))
        with_event = _choice(query.get("event")) is not False
        letters, cursor = await self._deadletters.page(_limit(query.get("limit", "50")), query.get("cursor", ""), wanted)
        return _page([to_json(letter.view(event=with_event)) for letter in letters], cursor)

    async def dead_letter(self, request: Request) -> Response:
        """One dead letter with the event."""
        _caller(request).require_admin()
        return Response(to_json((await self._deadletters.find(request.path_params["id"])).view()), media_type=_JSON)

    async def discard(self, request: Request) -> Response:
        """Take a dead letter off the list."""
        _caller(request).require_admin()
        await self._deadletters.discard(request.path_params["id"])
        return Response(status_code=204)

    async def replay(self, request: Request) -> Response:
        """Publish a dead letter's event once more, or the edited event in the body."""
        caller = _caller(request)
        caller.require_admin()
        edited = await _body(request, self._settings.max_input_bytes)
        if edited:
            _require_json(request)
        wish = Wish(caller.name, _number(request.query_params.get("number")), edited or None)
        replayed = await self._deadletters.replay(request.path_params["id"], wish)
        return Response(to_json(replayed.letter.view()), 202 if replayed.now else 200, media_type=_JSON)

    async def audit(self, request: Request) -> Response:
        """The account of what was accepted."""
        _caller(request).require_admin()
        account = await self._audit.take(_since(request.query_params.get("since")))
        return Response(account.model_dump_json(by_alias=True), media_type=_JSON)

    async def invocation(self, request: Request) -> Response:
        """What a running function may know of its invocation."""
        known = await self._doors.invocation(_invocation_id(request), request.headers.get("x-invocation-token", ""))
        return Response(to_json(known), media_type=_JSON)

    async def report(self, request: Request) -> Response:
        """Progress or the result of a running function."""
        _require_json(request)
        data = parse_json(await _body(request, self._settings.max_output_bytes + 64 * 1024))
        known = await self._doors.report(_invocation_id(request), request.headers.get("x-invocation-token", ""), data)
        return Response(to_json(known), 202, media_type=_JSON)

    async def live(self, _request: Request) -> Response:
        """Whether the process runs."""
        return Response(to_json({"status": "live"}), media_type=_JSON)

    async def ready(self, _request: Request) -> Response:
        """Whether requests can be accepted, and which part is away."""
        parts = await self._ready()
        wrong = {name: what for name, what in parts.items() if what}
        shown = {"status": "not ready" if wrong else "ready", "parts": {name: what or "ok" for name, what in parts.items()}}
        return Response(to_json(shown), 503 if wrong else 200, media_type=_JSON)

    async def metrics(self, _request: Request) -> Response:
        """Counters and histograms for Prometheus."""
        return Response(generate_latest(telemetry.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    async def description(self, _request: Request) -> Response:
        """This API as OpenAPI 3.1."""
        return Response(to_json(openapi.describe(self._settings)), media_type=_JSON)

    def _wait(self, request: Request) -> float:
        text = request.query_params.get("wait", "0")
        if not _NUMBER.fullmatch(text):
            raise Malformed(f"wait={text[:40]!r} is not a number of seconds.", hint=f"Use 0 to {self._max_wait:g}.")
        return min(float(text), self._max_wait)

    @property
    def _max_wait(self) -> float:
        return self._settings.max_wait.total_seconds()


async def _stream(first: Run, runs: AsyncGenerator[Run]) -> AsyncIterator[bytes]:
    yield _sent(first)
    following = asyncio.ensure_future(_next(runs))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=_HEARTBEAT)
            if not done:
                yield b": still there\n\n"
                continue
            run = following.result()
            if run is None:
                return
            yield _sent(run)
            following = asyncio.ensure_future(_next(runs))
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await runs.aclose()


async def _next(runs: AsyncIterator[Run]) -> Run | None:
    return await anext(runs, None)


def _route(path: str, **handlers: Callable[[Request], Awaitable[Response]]) -> Route:
    """One route for all methods of a path, so that a 405 names them all."""

    async def handle(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, handle, methods=list(handlers))


def _sent(run: Run) -> bytes:
    return b"event: run\ndata: " + view_json(run) + b"\n\n"


def _show(run: Run, status: int, headers: Mapping[str, str] | None = None) -> Response:
    pause = {} if run.status.final else {"retry-after": "1"}
    return Response(view_json(run), status, {**(headers or {}), **pause}, _JSON)


def _page(items: list[bytes], cursor: str) -> Response:
    following = b',"nextCursor":' + to_json(cursor) if cursor else b""
    return Response(b'{"items":[' + b",".join(items) + b"]" + following + b"}", media_type=_JSON)


def _automation(automation: Automation) -> dict[str, Any]:
    return {
        "name": automation.name,
        "description": automation.description,
        "input": automation.input_schema,
        "deadline": durations.show(automation.deadline),
        "succeedsWhen": automation.rule.text,
        "allow": automation.allow.model_dump(exclude_none=True),
        "targets": [target.model_dump(mode="json", exclude_none=True) for target in automation.targets],
    }


def _ask(request: Request, name: str, value: Any) -> Ask:
    headers = request.headers
    return Ask(
        automation=name,
        input=value,
        correlation_id=_said(request, "x-correlation-id"),
        deadline=_said(request, "x-deadline"),
        traceparent=headers.get("traceparent", ""),
        tracestate=headers.get("tracestate", ""),
    )


def _said(request: Request, header: str) -> str:
    """A header's value, empty if it is absent. Raises Malformed if it is there and says nothing: a repeat under no id would start twice."""
    value = request.headers.get(header)
    if value == "":
        raise Malformed(f"The header {header} is empty.", hint="Give it a value, or leave it out.")
    return value or ""


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _invocation_id(request: Request) -> str:
    return f"{request.path_params['correlationId']}/{request.path_params['target']}"


def _require_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if not re.fullmatch(r"application/(?:[\w.+-]+\+)?json(?:\s*;.*)?", content_type, re.IGNORECASE):
        raise UnsupportedMediaType(f"{content_type[:100] or 'No content type'} is not taken here.", hint="Send application/json.")


async def _body(request: Request, limit: int) -> bytes:
    """The body, never more than `limit` bytes of it. Raises TooLarge, Malformed."""
    announced = request.headers.get("content-length", "0")
    parts, size = [], int(announced) if re.fullmatch(r"[0-9]{1,15}", announced) else 0
    if size <= limit:
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    break
                parts.append(part)
        except ClientDisconnect:
            raise Malformed("The client went away before the body was whole.") from None
    if size > limit:
        raise TooLarge(f"The body is larger than {limit:,} bytes.", hint="Store the data and send where it is.")
    return b"".join(parts)


def _choice(text: str | None) -> bool | None:
    if text not in (None, "true", "false"):
        raise Malformed(f"{text[:40]!r} is neither true nor false.")
    return None if text is None else text == "true"


def _number(text: str | None) -> int | None:
    if text is not None and not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise Malformed(f"number={text[:40]!r} is not the number of a replay.", hint="Send 1 for the first one, or none for the next one.")
    return None if text is None else int(text)


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = timestamp(text)
    if moment is None:
        raise Malformed(f"since={text[:40]!r} is not RFC 3339.", hint="Write it like 2026-01-31T12:00:00Z, and `+` as %2B.")
    return moment


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= _MAX_LIST:
        raise Malformed(f"limit={text[:40]!r} is not a number from 1 to {_MAX_LIST}.")
    return int(text)
