"""Asks a function that answered 202 for the status of its work, and ends the work of a canceled run."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from bridge import events, telemetry
from bridge.catalog import failedwhen
from bridge.catalog.target import HttpTarget
from bridge.context import Context
from bridge.errors import CallFailed
from bridge.outcome import Failed, Outcome, Succeeded
from bridge.outcome.following import Elsewhere, GoesOn, Place, place, status
from bridge.ports import FunctionCall, FunctionResponse, Functions
from bridge.run import Attempt, Invocation, Run

MOST_REDIRECTS = 5  #: that are followed from a status address
TIME_LIMIT = timedelta(seconds=30)  #: of one request


class StatusPolls:
    """Sends requests to status addresses. They need no slot of the target, and do not count for the circuit breaker."""

    def __init__(self, context: Context, functions: Functions) -> None:
        self._functions, self._settings, self._run_clock = functions, context.settings, context.run_clock

    async def ask(self, run: Run, invocation: Invocation, target: HttpTarget) -> Outcome | GoesOn:
        """The outcome of the last attempt, if its work has ended."""
        where, follow = self._place(invocation.attempts[-1].status_url, Place("", target.path)), target.follow or "event"
        for _ in range(1 + MOST_REDIRECTS):
            answer = await self._request(run, invocation, target, "GET", where)
            said = status(answer, follow, self._settings.max_output_bytes)
            if isinstance(said, Elsewhere):
                where = self._place(said.address, where)
                continue
            if isinstance(said, Succeeded) and target.failed_when and isinstance(answer, FunctionResponse):
                return failedwhen.judged(target.failed_when, answer, said)
            return said
        return Failed(
            "RedirectLoop", f"The status address led to more than {MOST_REDIRECTS} redirects.", "Correct the Location of its answers."
        )

    async def terminate(self, run: Run, invocation: Invocation, target: HttpTarget) -> bool:
        """End the work of the last attempt, if its function gave an address for that. Returns whether it did."""
        attempt: Attempt = invocation.attempts[-1]
        if not attempt.terminate_url:
            return False
        where = self._place(attempt.terminate_url.replace("{text}", "Canceled"), Place("", target.path))
        answer = await self._request(run, invocation, target, "POST", where)
        ended = isinstance(answer, FunctionResponse) and (answer.status < 300 or answer.status == HTTPStatus.GONE)
        telemetry.step(
            "work.terminated",
            level="info" if ended else "warning",
            automation=run.automation,
            run=run.correlation_id,
            target=invocation.target,
        )
        return True

    def _place(self, address: str, asked: Place) -> Place:
        return place(address, asked, self._settings.follow_origins)

    async def _request(
        self, run: Run, invocation: Invocation, target: HttpTarget, method: str, where: Place
    ) -> FunctionResponse | CallFailed:
        left = min(TIME_LIMIT, run.deadline - self._run_clock.now(run))
        if left <= timedelta(0):
            return CallFailed("Timeout", "The deadline has passed.", may_have_run=False)
        headers = {
            "accept": "application/json",
            "x-correlation-id": run.correlation_id,
            "x-invocation-id": f"{run.correlation_id}/{invocation.target}",
            "x-deadline": events.iso(run.deadline + self._run_clock.ahead(run)),
            "traceparent": run.control.traceparent,
        }
        sent = {name: value for name, value in headers.items() if value}
        try:
            return await self._functions.call(FunctionCall(target.app, method, where.path, b"", sent, left, where.origin))
        except CallFailed as fault:
            return fault
