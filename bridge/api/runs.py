"""The endpoints for runs: show one, its output and its changes, list many, and cancel one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bridge.api import reading, showing
from bridge.errors import Malformed, NotAvailable, NotFound
from bridge.run import Run, Status
from bridge.runs.runlist import RunFilter
from bridge.runview import view_json
from bridge.service import BridgeService
from bridge.settings import Settings
from bridge.targets.waits import Waits

_HEARTBEAT = 15.0  #: seconds between comments of a stream of events


class Runs:
    """Runs, by their correlation ids."""

    def __init__(self, bridge: BridgeService, waits: Waits, settings: Settings) -> None:
        self._bridge, self._waits, self._settings = bridge, waits, settings

    async def show(self, request: Request) -> Response:
        """A run. With `wait`, the answer comes when the run has ended or the time is over."""
        run = await self._found(request)
        return showing.run(run, 200 if run.status.final else 202, waiting_for=self._waits.of(run))

    async def output(self, request: Request) -> Response:
        """The raw output of a run that succeeded."""
        run = await self._found(request)
        if not run.status.final:
            return showing.run(run, 202)
        if run.status is not Status.SUCCEEDED:
            code = f" ({run.error.code})" if run.error else ""
            raise NotAvailable(f"Run {run.correlation_id} ended {run.status}{code}.")
        return showing.written(run.output_json)

    async def follow(self, request: Request) -> Response:
        """Server-sent events: the run after every change until its end. An EventSource that reconnects after the end is told to stop."""
        runs = self._bridge.follow(request.path_params["correlationId"], reading.caller(request))
        first = await anext(runs, None)
        if first is None:
            raise NotFound(f"Run {request.path_params['correlationId'][:100]!r} has just been removed, because its retention is over.")
        last_event_id = request.headers.get("last-event-id", "")
        if last_event_id and first.status.final and not showing.missed_the_end(last_event_id):
            await runs.aclose()
            return Response(status_code=204)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_stream(first, runs, self._waits), headers=headers, media_type="text/event-stream")

    async def cancel(self, request: Request) -> Response:
        """Request that a run be canceled."""
        return showing.run(await self._bridge.cancel(request.path_params["correlationId"], reading.caller(request)), 202)

    async def list(self, request: Request) -> Response:
        """Runs, newest first."""
        query = request.query_params
        wanted = RunFilter(_status(query.get("status")), query.get("automation", ""), reading.since(request), reading.limit(request))
        found, cursor = await self._bridge.list(wanted, query.get("cursor", ""), reading.caller(request))
        items: list[bytes] = []
        for run in found:
            items.append(view_json(run, waiting_for=self._waits.of(run)))
            if run.control.secret_paths:  # which takes a while to mask in a large input, so others have their turn
                await asyncio.sleep(0)
        return showing.items(items, cursor)

    async def _found(self, request: Request) -> Run:
        wait = reading.wait(request, self._settings.max_wait.total_seconds())
        return await self._bridge.find(request.path_params["correlationId"], reading.caller(request), wait)


def _status(text: str | None) -> Status | None:
    try:
        return None if text is None else Status(text)
    except ValueError:
        raise Malformed(f"{(text or '')[:40]!r} is not a status.", hint=f"Use one of {', '.join(Status)}.") from None


async def _stream(first: Run, runs: AsyncGenerator[Run], waits: Waits) -> AsyncIterator[bytes]:
    yield showing.sent(first, waits.of(first))
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
            yield showing.sent(run, waits.of(run))
            following = asyncio.ensure_future(_next(runs))
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await runs.aclose()


async def _next(runs: AsyncIterator[Run]) -> Run | None:
    return await anext(runs, None)
