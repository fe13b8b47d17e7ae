"""An HTTP server that answers as the contract (3.3) says, for what talks to a bridge. The automation's name decides how its runs go."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

ENDS = {"works": "Succeeded", "fails": "Failed", "late": "TimedOut", "stops": "Canceled"}  # all others go on for ever
AUTOMATION = {
    "name": "works",
    "description": "Always works",
    "deadline": "2m",
    "succeedsWhen": "all",
    "allow": {},
    "input": {"type": "object", "required": ["host"], "properties": {"host": {"type": "string"}}},
    "targets": [{"name": "here", "http": {"app": "python-functions", "path": "/api/works"}}],
}
LETTER = {
    "id": "d1",
    "reason": "Malformed",
    "detail": "This is not a CloudEvent",
    "source": "automation-requests/bridge",
    "attempts": 1,
    "keptAt": "2026-01-01T10:00:00Z",
    "event": {"id": 5},
}


def run(correlation_id: str, automation: str, status: str, value: Any = None) -> dict[str, Any]:
    """A run as the API shows it."""
    shown: dict[str, Any] = {
        "correlationId": correlation_id,
        "automation": automation,
        "status": status,
        "input": value,
        "createdAt": "2026-01-01T10:00:00Z",
        "updatedAt": "2026-01-01T10:00:01.500Z",
        "deadline": "2026-01-01T10:02:00Z",
        "invocations": [{"target": "here", "status": status, "attempts": [{"startedAt": "2026-01-01T10:00:00Z", "outcome": "Succeeded"}]}],
    }
    if status == "Succeeded":
        shown["output"] = {"answer": 2**60}
    if status in ("Failed", "TimedOut", "Canceled"):
        shown["error"] = {"code": "Told", "message": f"It was told to end {status}.", "hint": "Tell it something else."}
    return shown


class ScriptedApi:
    """What was sent, the runs there are, and the switches of a test."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.letters: dict[str, dict[str, Any]] = {"d1": dict(LETTER)}  # newest first
        self.replaying: Callable[[str], Awaitable[web.Response | None]] | None = None  # what a replay does before it is made
        self.streams = True  # whether the event stream ends with the run, or breaks off before
        self.body_for_all: tuple[int, str, str] | None = None  # status, content type, text

    @property
    def last(self) -> tuple[str, str, dict[str, str], bytes]:
        return self.seen[-1]

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._recorded])
        app.add_routes(
            [
                web.post("/v1/automations/{name}/requests", self._submit),
                web.post("/v1/events", self._event),
                web.get("/v1/requests", self._list),
                web.get("/v1/requests/{id}", self._get),
                web.delete("/v1/requests/{id}", self._cancel),
                web.get("/v1/requests/{id}/events", self._stream),
                web.get("/v1/requests/{id}/output", self._output),
                web.post("/v1/requests/{id}/rerun", self._rerun),
                web.get("/v1/automations", answering({"items": [AUTOMATION]})),
                web.get("/v1/automations/works", answering(AUTOMATION)),
                web.get("/v1/deadletters", self._letters),
                web.get("/v1/deadletters/{letter}", self._letter),
                web.post("/v1/deadletters/{letter}/replay", self._replay),
                web.delete("/v1/deadletters/{letter}", answering(None, 204)),
            ]
        )
        return app

    @web.middleware
    async def _recorded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.method, request.path_qs, headers, await request.read()))
        if self.body_for_all:
            status, kind, text = self.body_for_all
            return web.Response(status=status, content_type=kind, text=text)
        known = request.match_info.get("id") in (None, *self.runs) and request.match_info.http_exception is None
        answer: web.StreamResponse = await handler(request) if known else problem(404, "NotFound", f"There is no {request.path}.")
        return answer

    def _run(self, request: web.Request) -> dict[str, Any]:
        return self.runs[request.match_info["id"]]

    async def _submit(self, request: web.Request) -> web.Response:
        name, correlation_id, value = request.match_info["name"], request.headers["x-correlation-id"], await request.json()
        if name == "unknown":
            return problem(404, "UnknownAutomation", "No automation is named 'unknown'.")
        if "bad" in value:
            violation = {"pointer": "/bad", "rule": "additionalProperties", "detail": "bad is not allowed"}
            return problem(422, "InvalidInput", "The input does not fit.", [violation])
        self.runs[correlation_id] = run(correlation_id, name, "Pending", value)
        return shown(self.runs[correlation_id])

    async def _event(self, request: web.Request) -> web.Response:
        event = await request.json()
        if isinstance(event, list):
            return web.json_response({"items": [run(each["id"], each["subject"], "Pending") for each in event]}, status=202)
        return shown(run(event["id"], event["subject"], "Pending"))

    async def _list(self, request: web.Request) -> web.Response:
        """Pages of two, of which a filter leaves what fits."""
        start, status = int(request.query.get("cursor", "0")), request.query.get("status")
        items = list(self.runs.values())
        page: dict[str, Any] = {"items": [each for each in items[start : start + 2] if status in (None, each["status"])]}
        if start + 2 < len(items):
            page["nextCursor"] = str(start + 2)
        return web.json_response(page)

    async def _get(self, request: web.Request) -> web.Response:
        return shown(self._end(self._run(request)) if "wait" in request.query else self._run(request))

    async def _output(self, request: web.Request) -> web.Response:
        found = self._run(request)
        if found["status"] == "Succeeded":
            return web.Response(text='{"answer":1152921504606846976}', content_type="application/json")
        return problem(409, "NoOutput", "The run has no output.") if found["status"] in ENDS.values() else shown(found)

    async def _rerun(self, request: web.Request) -> web.Response:
        old = self._run(request)
        value = await request.json() if request.can_read_body else old["input"]
        again = run(f"{old['correlationId']}-again", old["automation"], "Pending", value) | {"rerunOf": old["correlationId"]}
        self.runs[again["correlationId"]] = again
        return shown(again)

    async def _cancel(self, request: web.Request) -> web.Response:
        found = self._run(request)
        if found["status"] in ENDS.values():
            return problem(410, "AlreadyEnded", "The run has already ended.")
        found["status"] = "Canceling"
        return shown(found)

    async def _letters(self, request: web.Request) -> web.Response:
        """Pages of two, of those never replayed if that is asked for."""
        start = int(request.query.get("cursor", "0"))
        items = list(self.letters.values())[start : start + 2]
        if request.query.get("replayed") == "false":
            items = [letter for letter in items if not letter.get("replays") and "replayOf" not in letter]
        following = {"nextCursor": str(start + 2)} if start + 2 < len(self.letters) else {}
        return web.json_response({"items": [letter for letter in items if _asked_for(letter, request)], **following})

    async def _letter(self, request: web.Request) -> web.Response:
        found = self.letters.get(request.match_info["letter"])
        return web.json_response(found) if found else problem(404, "NotFound", "There is no such dead letter.")

    async def _replay(self, request: web.Request) -> web.Response:
        letter = self.letters[request.match_info["letter"]]
        instead = await self.replaying(letter["id"]) if self.replaying else None
        if instead is not None:
            return instead
        made = letter.setdefault("replays", [])
        if int(request.query.get("number", len(made) + 1)) <= len(made):
            return web.json_response(letter)
        edited = request.can_read_body
        made.append({"at": "2026-01-02T10:00:00Z", "by": "local", "messageId": f"{letter['id']}/{len(made) + 1}", "edited": edited})
        return web.json_response(letter, status=202)

    def _end(self, found: dict[str, Any]) -> dict[str, Any]:
        status = ENDS.get(found["automation"], "Running")
        self.runs[found["correlationId"]] = run(found["correlationId"], found["automation"], status, found["input"])
        return self.runs[found["correlationId"]]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        found = self._run(request)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        going = {**found, "status": "Running", "progress": {"percent": 40, "message": "half way"}}
        await response.write(b": still there\n\nevent: run\ndata: " + json.dumps(going).encode() + b"\n\n")
        if self.streams and found["automation"] not in ENDS:
            await asyncio.Event().wait()  # until the caller leaves
        if self.streams:
            await response.write(b"event: run\r\ndata: " + json.dumps(self._end(found)).encode() + b"\r\n\r\n")
        return response


def _asked_for(letter: dict[str, Any], request: web.Request) -> bool:
    return all(request.query.get(name) in (None, letter.get(name)) for name in ("reason", "automation", "replayOf"))


def shown(found: dict[str, Any]) -> web.Response:
    """A run with the status the contract gives it."""
    return web.json_response(found, status=200 if found["status"] in ENDS.values() else 202)


def answering(value: Any, status: int = 200) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A route that always says the same."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=204) if status == 204 else web.json_response(value, status=status)

    return answer


def problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> web.Response:
    """A refusal as RFC 9457 writes it."""
    body = {"status": status, "code": code, "detail": detail, "hint": "Do something else.", "errors": errors or []}
    return web.Response(status=status, text=json.dumps(body), content_type="application/problem+json")


@contextmanager
def serving() -> Iterator[ScriptedApi]:
    """The server in a thread of its own, because commands have an event loop of their own."""
    scripted, loop, started, stop = ScriptedApi(), asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(scripted.application(), shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait(5)
    try:
        yield scripted
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
