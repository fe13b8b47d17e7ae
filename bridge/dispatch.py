"""Starts the work of a run: sets its deadline, and puts the work of each target on the bus."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from bridge import events, telemetry
from bridge.context import Context
from bridge.errors import TooLarge
from bridge.ports import Delivery, Message
from bridge.run import Invocation, Run, json_bytes
from bridge.targets.bus import BusTargets
from bridge.targets.http import HttpTargets

WHERE_IT_IS = "Store the data elsewhere and send a reference to it."  #: what to do about an input that is too large
_AROUND_INPUT = 16 * 1024  #: bytes that the event with the work has at most beyond the input and the id of the request
_MAY_GROW = 160  #: bytes by which it is larger once it is sent: its times may have got fractions of a second, and it a place in a trace


class Dispatcher:
    """Starts the work of both kinds of targets."""

    def __init__(self, context: Context, http_targets: HttpTargets, bus_targets: BusTargets) -> None:
        self._bus, self._run_clock, self._public_url = context.bus, context.run_clock, context.public_url
        self._http_targets, self._bus_targets = http_targets, bus_targets

    def prepare(self, run: Run) -> tuple[Run, Sequence[Message]]:
        """The new run with its first attempts begun, and the messages that start its work. An outbox stores both in one transaction.

        If they are not stored, `withdraw` must be called.
        """
        work = [events.deadline(run, self._run_clock.on_the_wall(run, run.deadline))]
        for invocation in run.invocations:
            if invocation.control.target.bus:
                run, messages = self._bus_targets.dispatch_at_once(run, invocation)
                work += messages
            else:
                run = self._http_targets.begin_at_once(run, invocation)
                work.append(events.invoked(run, invocation, run.created_at, self._public_url))
        return run, work

    def require_carried(self, run: Run, most: int | None) -> None:
        """Raises TooLarge if an event that starts the work of the new run exceeds `most`, the bytes that the bus accepts.

        The event may be larger than the request, because it contains the input together with a token, a deadline and a URL.
        """
        size = len(json_bytes(run.input_json))
        if most is None or size + 6 * len(run.control.request_id) + _AROUND_INPUT <= most:  # an id may be escaped in JSON
            return
        bare = replace(run, input_json=Raw(b"null"))
        size += max(len(self._work(bare, each).body) for each in run.invocations) - len(b"null") + _MAY_GROW
        if size > most:
            raise TooLarge(f"The event with the work has {size:,} bytes; {most:,} are allowed (max_event_bytes).", hint=WHERE_IT_IS)

    def _work(self, run: Run, invocation: Invocation) -> Message:
        event = events.work if invocation.control.target.bus else events.invoked
        return event(run, invocation, run.created_at, self._public_url)

    def log_prepared(self, run: Run) -> None:
        """Log the steps that `prepare` made, once they are stored."""
        _log_scheduled(run)
        self._bus_targets.settle(run)
        for each in run.invocations:
            if each.control.target.bus:
                telemetry.step("run.dispatched", automation=run.automation, run=run.correlation_id, target=each.target, attempt=1)

    def withdraw(self, run: Run) -> None:
        """Release the slots that `prepare` took, because the run was not stored."""
        self._http_targets.withdraw(run)
        self._bus_targets.settle(run, error="NotStored")

    async def dispatch(self, run: Run, delivery: Delivery, event_id: str) -> None:
        """Start the work of a stored run; again, if its request is delivered again. Raises Unavailable.

        If the run has only one target and there is room, the target is called here and now. The delivery of the request is then that of the
        work, too, and the run needs one message less.
        """
        work = [each for each in run.invocations if each.control.target.http and not each.status.final]
        here = work[0] if len(run.invocations) == len(work) == 1 and self._http_targets.has_room(run, work[0]) else None
        if here is None or not here.attempts:
            # Before the first attempt, so that no attempt is ever without a deadline.
            now, ahead = self._run_clock.now(run), self._run_clock.ahead(run)
            messages = [] if here else [events.invoked(run, each, now, self._public_url, ahead=ahead) for each in work]
            await self._bus.publish([events.deadline(run, self._run_clock.on_the_wall(run, run.deadline)), *messages])
            _log_scheduled(run)
        if here is not None:
            await self._http_targets.work(delivery, run, here.target, event_id)
        else:
            await self._bus_targets.dispatch(run, delivery, event_id)


def _log_scheduled(run: Run) -> None:
    calls = ",".join(each.target for each in run.invocations if each.control.target.http)
    fields = {"calls": calls} if calls else {}
    telemetry.step("run.scheduled", automation=run.automation, run=run.correlation_id, deadline=events.iso(run.deadline), **fields)
