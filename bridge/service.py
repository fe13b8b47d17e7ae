"""The operations on runs that the bridge offers to callers, through the API and the command line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from bridge import events, lifecycle, telemetry
from bridge.auth import Caller, invocation_with
from bridge.cloudevents import Event
from bridge.context import Context
from bridge.errors import AlreadyEnded, Forbidden, NotFound, Unauthorized, Undeliverable
from bridge.events import Submission
from bridge.idempotency import is_correlation_id
from bridge.index import Index
from bridge.intake import Acceptance, Intake
from bridge.outcome import STORE_IT
from bridge.outcome.resultevent import read_result
from bridge.run import Invocation, Run, Status, json_bytes
from bridge.runs.runlist import RunFilter, RunList


class BridgeService:
    """Checks the caller's permissions, then carries out the operation."""

    def __init__(self, context: Context, intake: Intake, index: Index) -> None:
        self._bus, self._clock, self._runs, self._settings = context.bus, context.clock, context.runs, context.settings
        self._context, self._intake, self._list = context, intake, RunList(index, context.runs)

    async def submit(self, submission: Submission, caller: Caller) -> Acceptance:
        """Accept a request that came over HTTP and not as an event. Raises what `accept` raises."""
        return await self.accept(events.submitted(submission, self._clock.now()), caller)

    async def accept(self, event: Event, caller: Caller) -> Acceptance:
        """Accept an `automation.requested` event. When this returns, the run and the messages that start its work are durable.

        Raises Refusal (nothing was accepted) or Unavailable.
        """
        accepted = await self._intake.accept(event, caller)
        if not accepted.created:
            run = accepted.run
            telemetry.step("run.repeated", automation=run.known_automation, run=run.correlation_id, by=caller.name)
        return accepted

    async def find(self, correlation_id: str, caller: Caller, wait: float = 0) -> Run:
        """A run as it is or, with `wait`, once it has ended, at the latest after `wait` seconds. Raises NotFound, Unavailable.

        With `wait`, a run that does not exist yet may still appear, because after a publish to a topic its run exists a moment later. A run
        that the caller may not read looks the same.
        """
        run = await self._runs.get(correlation_id)
        if wait <= 0 or not is_correlation_id(correlation_id) or (run is not None and caller.may_read(run)):
            run = _readable(run, correlation_id, caller)
            return await self.ended(run, wait) if wait > 0 else run
        clock = asyncio.get_running_loop().time
        end = clock() + wait
        run = _readable(await self._runs.appearing(correlation_id, wait, caller.may_read), correlation_id, caller)
        return await self.ended(run, max(0.0, end - clock()))

    async def ended(self, run: Run, wait: float) -> Run:
        """A run that the caller has just read or created, once it has ended, at the latest after `wait` seconds. Raises Unavailable."""
        return run if run.status.final else await self._runs.wait(run.correlation_id, wait, run) or run

    def stop_waiting(self) -> None:
        """End all waiting, because the bridge stops. Callers get the run as it is."""
        self._runs.stop_waiting()

    async def follow(self, correlation_id: str, caller: Caller) -> AsyncGenerator[Run]:
        """Yields a run now and at every change until it has ended. Raises NotFound before it yields."""
        found = _readable(await self._runs.get(correlation_id), correlation_id, caller)
        async with contextlib.aclosing(self._runs.follow(correlation_id, found)) as runs:
            async for run in runs:
                yield run

    async def list(self, wanted: RunFilter, cursor: str, caller: Caller) -> tuple[list[Run], str]:
        """The newest runs that the caller may read, and the cursor of the next page (empty at the end). Raises Malformed, Unavailable.

        A page may hold fewer than `limit` runs and still have a cursor, because a filter looks for a bounded time.
        """
        return await self._list.page(wanted, cursor, caller)

    async def cancel(self, correlation_id: str, caller: Caller) -> Run:
        """Start to cancel a run. Raises NotFound, Forbidden, AlreadyEnded, Unavailable."""
        run = self._own(_readable(await self._runs.get(correlation_id), correlation_id, caller), caller)
        changed = await self._runs.change(correlation_id, lambda current: lifecycle.ask_cancel(current, now=self._runs.clock.now(current)))
        run = changed[1] if changed else run
        if run.status.final:
            raise AlreadyEnded(f"Run {correlation_id} has ended: {run.status}.")
        await self._bus.publish([events.cancel(run)])
        telemetry.step("run.canceling", automation=run.automation, run=correlation_id, by=caller.name)
        return run

    async def rerun(self, correlation_id: str, caller: Caller, submission: Submission, *, new_input: bool) -> Acceptance:
        """Request the same automation again, with the old input or a new one. Raises NotFound, Forbidden and what `submit` raises."""
        run = self._own(_readable(await self._runs.get(correlation_id), correlation_id, caller), caller)
        again = Submission(
            automation=run.automation,
            input=submission.input if new_input else run.input,
            input_json=submission.input_json if new_input else json_bytes(run.input_json),
            correlation_id=submission.correlation_id,
            deadline=submission.deadline,
            rerun_of=correlation_id,
            traceparent=submission.traceparent,
            tracestate=submission.tracestate,
        )
        return await self.submit(again, caller)

    async def invocation(self, invocation_id: str, token: str) -> dict[str, Any]:
        """The state of an invocation for its function: `{canceled, deadline}`. Raises Unauthorized."""
        run, invocation = await self._invocation(invocation_id, token)
        canceled = run.status is Status.CANCELING or invocation.status in (Status.CANCELED, Status.TIMED_OUT) or run.status.final
        return {"canceled": canceled, "deadline": events.iso(run.deadline + self._runs.clock.ahead(run))}

    async def report(self, invocation_id: str, token: str, data: Any) -> dict[str, Any]:
        """Accept progress or a result from a running function. Raises Unauthorized, Malformed, Unavailable."""
        run, invocation = await self._invocation(invocation_id, token)
        count = read_result(data, self._settings.max_output_bytes).errors_written
        if count is not None:
            # At once, because the host sends the result next, on another way, and what the errors mean must be known when it comes.
            await self._runs.change(run.correlation_id, partial(self._with_errors, target=invocation.target, count=count))
        await self._publish_result(invocation_id, run, token, data)
        return await self.invocation(invocation_id, token)

    async def _publish_result(self, invocation_id: str, run: Run, token: str, data: dict[str, Any]) -> None:
        """Publish a result. If it is too large for the bus, the invocation fails with that reason.

        Raises Undeliverable for progress, and Unavailable.
        """
        try:
            result = events.result(invocation_id, run, token, data, self._clock.now())
            self._context.require_carried(result)
            await self._bus.publish([result])
        except Undeliverable as fault:
            if data.get("status") == "running":
                raise
            error = {"code": "OutputTooLarge", "message": f"The result cannot be sent. {fault}", "hint": STORE_IT, "retriable": False}
            await self._bus.publish([events.result(invocation_id, run, token, {"status": "failed", "error": error}, self._clock.now())])

    def _with_errors(self, run: Run, *, target: str, count: int) -> Run:
        return lifecycle.note_errors(run, target, count, now=self._runs.clock.now(run))

    async def _invocation(self, invocation_id: str, token: str) -> tuple[Run, Invocation]:
        correlation_id, _, target = invocation_id.rpartition("/")
        run = await self._runs.get(correlation_id) if correlation_id else None
        invocation = invocation_with(token, run, target)
        if run is None or invocation is None:
            raise Unauthorized(
                "No invocation of this id has this token.", hint="Send the token that came with the work in the header x-invocation-token."
            )
        return run, invocation

    def _own(self, run: Run, caller: Caller) -> Run:
        """Whether the caller may change a run: its submitter and admin may."""
        if caller.is_admin or caller.name == run.control.submitter:
            return run
        raise Forbidden(f"{caller.name} may read run {run.correlation_id} but not change it.", hint="Its submitter and admin may.")


def _readable(run: Run | None, correlation_id: str, caller: Caller) -> Run:
    if run is None or not caller.may_read(run):
        raise NotFound(f"There is no run {correlation_id[:100]!r}, or it is not yours to see.")
    return run
