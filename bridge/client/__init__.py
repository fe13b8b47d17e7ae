"""A client for the HTTP API.

    async with BridgeClient("http://127.0.0.1:8080") as bridge:
        run = await bridge.submit("certificate.inspect", {"pem": pem})
        async for run in bridge.follow(run["correlationId"]):
            print(run["status"])

What the bridge refuses is raised as `Problem`, a bridge that does not answer as `Unreachable`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote
from uuid import uuid4

from bridge.client import sse
from bridge.client.answers import FINAL, AttemptView, AuditReportView, AutomationView, InvocationView, ProblemView, RunErrorView, RunView
from bridge.client.configurationview import ConfigurationView
from bridge.client.deadletterquery import DeadLetterQuery
from bridge.client.deadletterview import DeadLetterView, MissingView
from bridge.client.errors import Problem, Unreachable
from bridge.client.transport import LONGEST_WAIT, Transport

__all__ = [
    "DEFAULT_URL",
    "AttemptView",
    "AuditReportView",
    "AutomationView",
    "BridgeClient",
    "ConfigurationView",
    "DeadLetterQuery",
    "DeadLetterView",
    "InvocationView",
    "MissingView",
    "Problem",
    "Replayed",
    "RunErrorView",
    "RunView",
    "Unreachable",
]

DEFAULT_URL = "http://127.0.0.1:8080"
_POLL = 5  #: seconds of one long poll where no events come; progress is seen that often
_PATIENCE = 6  #: attempts to reach a bridge that went away while a run is followed, about 15 s in all
_PAUSE = 0.2  #: seconds between two polls
_PASSING = frozenset({502, 503, 504})  #: what a bridge, or a proxy before it, says while it starts or stops
_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"


class Replayed(NamedTuple):
    """A dead letter after a replay, and whether its event was published now or had been before."""

    dead_letter: DeadLetterView
    now: bool


class BridgeClient:
    """A client of one bridge. `token` is a bearer token. It is sent only to this URL and never follows a redirect."""

    def __init__(self, url: str = DEFAULT_URL, token: str = "") -> None:
        self._transport = Transport(url, token)

    @property
    def url(self) -> str:
        """The URL of the bridge, without a slash at its end."""
        return self._transport.url

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        await self._transport.close()

    async def submit(
        self, automation: str, value: Any, *, correlation_id: str | None = None, wait: float = 0, deadline: datetime | None = None
    ) -> RunView:
        """Request an automation. Returns the run when it is durable or, with `wait` (at most 60 seconds), when it has ended.

        Without a correlation id the client creates one, so that sending the same request again can never start a second run.
        """
        correlation_id = correlation_id or str(uuid4())
        if not (correlation_id.isascii() and correlation_id.isprintable()):
            raise Problem(400, "InvalidCorrelationId", f"{correlation_id!r} is not a correlation id.", "Use A-Z a-z 0-9 . _ : @ -")
        headers = {"content-type": "application/json", "x-correlation-id": correlation_id}
        if wait:
            headers["prefer"] = f"wait={min(int(wait), LONGEST_WAIT)}"
        if deadline is not None:
            headers["x-deadline"] = deadline.isoformat()
        run: RunView = await self._transport.json("POST", f"/v1/automations/{_quoted(automation)}/requests", headers, value)
        return run

    async def publish_event(self, event: Mapping[str, Any]) -> RunView:
        """Publish one `automation.requested` event in structured JSON."""
        run: RunView = await self._transport.json("POST", "/v1/events", {"content-type": _STRUCTURED}, event)
        return run

    async def publish_events(self, events: Sequence[Mapping[str, Any]]) -> list[RunView | ProblemView]:
        """Publish a batch. Returns a run or a problem for each event, in the same order."""
        answer = await self._transport.json("POST", "/v1/events", {"content-type": _BATCH}, list(events))
        items: list[RunView | ProblemView] = answer["items"]
        return items

    async def get(self, correlation_id: str, *, wait: float = 0) -> RunView:
        """Look up a run. With `wait` (at most 60 seconds), wait for it to exist and to end."""
        query = f"?wait={min(wait, LONGEST_WAIT):g}" if wait else ""
        run: RunView = await self._transport.json("GET", _request(correlation_id) + query)
        return run

    async def follow(self, correlation_id: str) -> AsyncIterator[RunView]:
        """Yields every change of a run until its end, from server-sent events or, if there are none, by polling.

        If the bridge becomes unavailable, it has about 15 s to come back.
        """
        async for run in self._stream(correlation_id):
            yield run
            if run["status"] in FINAL:
                return
        misses = 0
        while True:
            try:
                run = await self.get(correlation_id, wait=_POLL)
            except (Unreachable, Problem) as fault:
                misses += 1
                if misses == _PATIENCE or (isinstance(fault, Problem) and fault.status not in _PASSING):
                    raise
                await asyncio.sleep(misses)
                continue
            yield run
            if run["status"] in FINAL:
                return
            misses = 0
            await asyncio.sleep(_PAUSE)

    async def wait(self, correlation_id: str, seconds: float, seen: Callable[[RunView], None] = lambda _: None) -> RunView:
        """Follow a run to its end, or until the time is over. `seen` is called with every change. Returns the run as last seen.

        A run that does not exist yet may appear within the first 60 seconds.
        """
        run = await self._found(correlation_id, seconds)
        if run["status"] in FINAL:
            return run
        try:
            async with asyncio.timeout(seconds):
                async for latest in self.follow(correlation_id):
                    run = latest
                    seen(run)
        except TimeoutError:
            pass
        return run

    async def _found(self, correlation_id: str, wait: float) -> RunView:
        """The run as it is. If it does not exist yet, waits up to `wait` seconds for it to appear and end."""
        try:
            return await self.get(correlation_id)
        except Problem as fault:
            if fault.status != 404:
                raise
        return await self.get(correlation_id, wait=wait)

    async def output(self, correlation_id: str) -> bytes | None:
        """The raw output; None while the run is unfinished. A run without output raises Problem `NoOutput`."""
        answer = await self._transport.send("GET", f"{_request(correlation_id)}/output")
        return None if answer.status == 202 else answer.body

    async def runs(
        self, *, status: str = "", automation: str = "", since: datetime | None = None, limit: int = 100
    ) -> AsyncIterator[RunView]:
        """Yields runs, newest first, at most `limit`, page by page."""
        query = {"status": status, "automation": automation, "since": since.isoformat() if since else ""}
        async for run in self._transport.pages("/v1/requests", query, limit):
            yield run

    async def cancel(self, correlation_id: str) -> RunView:
        """Ask a run to stop. One that has ended raises Problem `AlreadyEnded`."""
        run: RunView = await self._transport.json("DELETE", _request(correlation_id))
        return run

    async def rerun(self, correlation_id: str, value: Any = ...) -> RunView:
        """Start a new run like an old one, with the same or another input."""
        headers = {} if value is ... else {"content-type": "application/json"}
        run: RunView = await self._transport.json("POST", f"{_request(correlation_id)}/rerun", headers, value)
        return run

    async def automations(self) -> list[AutomationView]:
        """Every automation that can be requested, with its input schema."""
        answer = await self._transport.json("GET", "/v1/automations")
        items: list[AutomationView] = answer["items"]
        return items

    async def automation(self, name: str) -> AutomationView:
        """One automation."""
        found: AutomationView = await self._transport.json("GET", f"/v1/automations/{_quoted(name)}")
        return found

    async def configuration(self) -> ConfigurationView:
        """The catalogue, the policies of function calls and the settings without secrets (role `admin`)."""
        found: ConfigurationView = await self._transport.json("GET", "/v1/configuration")
        return found

    async def dead_letters(
        self, wanted: DeadLetterQuery | None = None, *, limit: int = 100, missing: Callable[[MissingView], None] = lambda _: None
    ) -> AsyncIterator[DeadLetterView]:
        """Yields dead letters: those of the bridge, newest first, then those of the broker.

        `missing` receives what the broker did not return. Needs the role `admin`, like the next three methods.
        """

        def look(page: Mapping[str, Any]) -> None:
            for each in page.get("missing", ()):
                missing(each)

        async for dead_letter in self._transport.pages("/v1/deadletters", wanted.query() if wanted else {}, limit, look):
            yield dead_letter

    async def dead_letter(self, dead_letter_id: str) -> DeadLetterView:
        """One dead letter with its reason, attempts and the original."""
        found: DeadLetterView = await self._transport.json("GET", f"/v1/deadletters/{_quoted(dead_letter_id)}")
        return found

    async def replay(self, dead_letter_id: str, *, event: Mapping[str, Any] | None = None, number: int | None = None) -> Replayed:
        """Publish the original event again, or an edited one.

        With `number`, that replay is made only once, however often it is asked for.
        """
        path = f"/v1/deadletters/{_quoted(dead_letter_id)}/replay" + (f"?number={number}" if number is not None else "")
        answer = await self._transport.send(
            "POST", path, {"content-type": _STRUCTURED}, json.dumps(event).encode() if event is not None else None
        )
        return Replayed(answer.json(), now=answer.status == 202)

    async def discard(self, dead_letter_id: str) -> None:
        """Remove a dead letter permanently."""
        await self._transport.send("DELETE", f"/v1/deadletters/{_quoted(dead_letter_id)}")

    async def audit(self, *, since: datetime | None = None) -> AuditReportView:
        """The audit report on requests since that time, or on all that are stored (role `admin`)."""
        query = f"?since={quote(since.isoformat(), safe='')}" if since else ""
        report: AuditReportView = await self._transport.json("GET", f"/v1/audit{query}")
        return report

    async def ready(self) -> bool:
        """Whether the bridge accepts requests."""
        try:
            return (await self._transport.send("GET", "/healthz/ready")).status == 200
        except (Problem, Unreachable):
            return False

    async def _stream(self, correlation_id: str) -> AsyncIterator[RunView]:
        """The events of the stream. It ends early if there is no stream or the connection breaks."""
        try:
            async with self._transport.call("GET", f"{_request(correlation_id)}/events", {"accept": "text/event-stream"}) as response:
                if response.status == 200 and response.content_type == "text/event-stream":
                    async for data in sse.read(response.content.iter_any()):
                        yield json.loads(data)
        except Unreachable:
            return


def _request(correlation_id: str) -> str:
    return f"/v1/requests/{_quoted(correlation_id)}"


def _quoted(text: str) -> str:
    return quote(text, safe=":@")
