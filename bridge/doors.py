"""The doors: what a caller may ask for. They check, publish and look up; runs are moved by deliveries only (`pipeline.py`)."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge import events, lifecycle, request, telemetry
from bridge.envelope import Event
from bridge.errors import AlreadyEnded, CorrelationConflict, Forbidden, Full, NotFound, TooLarge, Unauthorized, Undeliverable
from bridge.events import Ask
from bridge.identity import Caller
from bridge.index import Index
from bridge.parts import Parts
from bridge.request import Identity
from bridge.result import read_result
from bridge.run import Invocation, Run, Status

#: How many index entries one page of a filtered list looks through before it answers with what it has.
LOOK_THROUGH = 5_000


@dataclass(frozen=True, slots=True)
class Submitted:
    """The run that answers a request, and whether it was there before."""

    run: Run
    repeated: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs a list shows."""

    status: Status | None = None
    automation: str = ""
    since: datetime | None = None
    limit: int = 50


class Doors:
    """Everything the API and through it the command line can do with runs."""

    def __init__(self, parts: Parts, index: Index) -> None:
        self._bus, self._clock, self._results, self._rules = parts.bus, parts.clock, parts.results, parts.rules
        self._signer, self._settings, self._index = parts.signer, parts.settings, index

    async def ask(self, wish: Ask, caller: Caller) -> Submitted:
        """Submit a plain request. Raises what `submit` raises."""
        return await self.submit(events.asked(wish, self._clock.now()), caller)

    async def submit(self, event: Event, caller: Caller) -> Submitted:
        """Accept an `automation.requested` event: published and its run stored when this returns.

        Raises Refusal (nothing was accepted) or Unavailable.
        """
        identity = request.identify(event, caller)
        existing = await self._results.find(identity.correlation_id)
        if existing is not None:
            repeated = Submitted(_same(existing, identity), repeated=True)
            telemetry.step("run.repeated", automation=existing.known_automation, run=existing.correlation_id, by=caller.name)
            return repeated
        run = request.new_run(request.check(event, identity, caller, self._rules, self._clock.now()))
        if self._results.is_full:
            raise Full("The store of runs has no room.", hint="Raise data_limit, or shorten retention.", retry_after=30)
        message = events.requested(events.signed(event, identity, self._signer, run.created_at))
        try:
            run, created = await self._results.create(run, self._bus.publish([message]))
        except Undeliverable as fault:
            raise TooLarge(str(fault), hint="Store the data and send where it is.") from None
        if created:
            telemetry.step("run.accepted", automation=run.automation, run=run.correlation_id, by=caller.name)
        return Submitted(_same(run, identity), repeated=not created)

    async def find(self, correlation_id: str, caller: Caller, wait: float = 0) -> Run:
        """A run as it stands, or once it has ended if that is within `wait` seconds. Raises NotFound, Unavailable."""
        run = _readable(await self._results.find(correlation_id), correlation_id, caller)
        return await self.ended(run, wait) if wait > 0 else run

    async def ended(self, run: Run, wait: float) -> Run:
        """A run that was just found or made, once it has ended if that is within `wait` seconds. Raises Unavailable."""
        return run if run.status.final else await self._results.wait(run.correlation_id, wait, run) or run

    def let_go(self) -> None:
        """Who waits for a run gets it as it stands: the bridge stops."""
        self._results.let_go()

    async def follow(self, correlation_id: str, caller: Caller) -> AsyncGenerator[Run]:
        """A run at every change until it has ended. Raises NotFound before the first one."""
        found = _readable(await self._results.find(correlation_id), correlation_id, caller)
        async with contextlib.aclosing(self._results.follow(correlation_id, found)) as runs:
            async for run in runs:
                yield run

    async def list(self, wanted: Filter, cursor: str, caller: Caller) -> tuple[list[Run], str]:
        """The newest runs that the caller may read, and the cursor that continues; empty at the end. Raises Malformed, Unavailable.

        A page may hold fewer than `limit` runs and still have a cursor: a filter looks through a bounded number of runs at a time.
        """
        shown: dict[str, Run] = {}
        looked_at = 0
        async for entry, reached in self._index.newest(cursor):
            if wanted.since is not None and entry.created_at < wanted.since:
                return list(shown.values()), ""
            looked_at += 1
            if not wanted.automation or entry.subject == wanted.automation:
                run = await self._results.find(entry.id)
                # An entry without this very run is one whose creation failed, or that an earlier holder of the id has left.
                if run is not None and run.created_at == entry.created_at and _fits(run, wanted) and caller.may_read(run):
                    shown[entry.id] = run
            if len(shown) >= wanted.limit or looked_at >= LOOK_THROUGH:
                return list(shown.values()), reached.write()
        return list(shown.values()), ""

    async def cancel(self, correlation_id: str, caller: Caller) -> Run:
        """Ask for the run to end early. Raises NotFound, Forbidden, AlreadyEnded, Unavailable."""
        run = self._own(_readable(await self._results.find(correlation_id), correlation_id, caller), caller)
        changed = await self._results.change(correlation_id, lambda current: lifecycle.ask_cancel(current, now=self._clock.now()))
        run = changed[1] if changed else run
        if run.status.final:
            raise AlreadyEnded(f"Run {correlation_id} has ended: {run.status}.")
        await self._bus.publish([events.cancel(run)])
        telemetry.step("run.canceling", automation=run.automation, run=correlation_id, by=caller.name)
        return run

    async def rerun(self, correlation_id: str, caller: Caller, wish: Ask, *, new_input: bool) -> Submitted:
        """Ask for the same automation again, with the old input or a new one. Raises NotFound, Forbidden and what `submit` raises."""
        run = self._own(_readable(await self._results.find(correlation_id), correlation_id, caller), caller)
        again = Ask(
            automation=run.automation,
            input=wish.input if new_input else run.input,
            correlation_id=wish.correlation_id,
            deadline=wish.deadline,
            rerun_of=correlation_id,
            traceparent=wish.traceparent,
            tracestate=wish.tracestate,
        )
        return await self.ask(again, caller)

    async def invocation(self, invocation_id: str, token: str) -> dict[str, Any]:
        """What a running function may know: `{canceled, deadline}`. Raises Unauthorized."""
        run, part = await self._invocation(invocation_id, token)
        canceled = run.status is Status.CANCELING or part.status in (Status.CANCELED, Status.TIMED_OUT) or run.status.final
        return {"canceled": canceled, "deadline": events.iso(run.deadline)}

    async def report(self, invocation_id: str, token: str, data: Any) -> dict[str, Any]:
        """Take progress or a result from a running function. Raises Unauthorized, Malformed, Unavailable."""
        run, _ = await self._invocation(invocation_id, token)
        read_result(data, self._settings.max_output_bytes)
        await self._bus.publish([events.result(invocation_id, run, token, data, self._clock.now())])
        return await self.invocation(invocation_id, token)

    async def _invocation(self, invocation_id: str, token: str) -> tuple[Run, Invocation]:
        correlation_id, _, target = invocation_id.rpartition("/")
        run = await self._results.find(correlation_id) if correlation_id else None
        part = run.invocation(target) if run else None
        known = part.control.token if part else ""
        if not hmac.compare_digest(known.encode(), token.encode()) or run is None or part is None:
            raise Unauthorized(
                "No invocation of this id has this token.", hint="Send the token that came with the work in the header x-invocation-token."
            )
        return run, part

    def _own(self, run: Run, caller: Caller) -> Run:
        """Who may change a run: its submitter and admin."""
        if caller.is_admin or caller.name == run.control.submitter:
            return run
        raise Forbidden(f"{caller.name} may read run {run.correlation_id} but not change it.", hint="Its submitter and admin may.")


def _readable(run: Run | None, correlation_id: str, caller: Caller) -> Run:
    if run is None or not caller.may_read(run):
        raise NotFound(f"There is no run {correlation_id[:100]!r}, or it is not yours to see.")
    return run


def _same(run: Run, identity: Identity) -> Run:
    if not identity.matches(run):
        raise CorrelationConflict(f"The correlation id {run.correlation_id!r} belongs to another request.")
    return run


def _fits(run: Run, wanted: Filter) -> bool:
    return wanted.status is None or run.status is wanted.status
