"""Calls a function for messages: its outputs are sent, the bridge hears of its work, and each message gets its settlement.

For work of the bridge, a failure is reported to it before the message is abandoned; one that asks for no retry, or comes once the run is
canceled, ends the work, and the message is completed. A message whose deadline has passed is completed, and its function not called, once
the bridge has accepted the report on it. Where the completion of the message is all that ends the work, the bridge hears of it after the
outputs were sent and before the message is completed.

A function may settle its message itself. One that it has completed is not delivered again, so the bridge is told more than once, if need
be, how the call ended. One that it has given back, deferred or made a dead letter has not ended the work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bridge.crashpoints import passed
from bridge.local.functions import bridgework, outputs
from bridge.local.functions.bindings import Function, ServiceBusTrigger
from bridge.local.functions.bridgework import BridgeWork
from bridge.local.functions.crashpoints import HostCrashPoint
from bridge.local.functions.feed import ActionKind, Feed, FeedError, Received, Settlement
from bridge.local.functions.invocations import OUTPUT_NOT_SENT, AppInvocations, InvocationRequest
from bridge.local.functions.reports import BridgeLink
from bridge.local.functions.worker import InvocationResponse

log = logging.getLogger("bridge.functions")

_FIRST = {"int": 1}  #: the delivery count of a message that comes for the first time
_TRIES = 10  #: to tell the bridge what no later delivery can
_UNREPORTED_PAUSE = 1.0  #: seconds before a late message is abandoned that could not be reported, or before it is reported again


class MessageCalls:
    """The calls of one function."""

    def __init__(self, function: Function, trigger: ServiceBusTrigger, feed: Feed, invocations: AppInvocations, link: BridgeLink) -> None:
        self._function, self._trigger, self._feed = function, trigger, feed
        self._invocations, self._link = invocations, link

    async def verdicts(self, request: InvocationRequest, works: Sequence[BridgeWork | None]) -> list[Settlement]:
        """Run the function, by its retry policy if it has one; what becomes of each of its messages, whose works are given.

        Raises WorkerDown if the function could not start.
        """
        response = await self._invocations.repeated(self._function, request, partial(self._once, works))
        if request.held is None:
            return [await self.verdict(response, work) for work in works]
        pairs = zip(request.held.sessions, works, strict=True)
        return [await self._verdict(response, work, self._feed.settled_as(lock)) for lock, work in pairs]

    async def _verdict(self, response: InvocationResponse, work: BridgeWork | None, own: ActionKind | None) -> Settlement:
        """What becomes of a message with which the function has done this itself."""
        if own is None:
            return await self.verdict(response, work)
        if own is ActionKind.COMPLETE and work is not None:
            await self._completed_itself(response, work)
        elif own is not ActionKind.COMPLETE and not response.ok:
            await self.verdict(response, work)
        return Settlement.LEAVE

    async def _completed_itself(self, response: InvocationResponse, work: BridgeWork) -> None:
        """Tell the bridge how a call ended whose message is gone: no later delivery can say it."""
        if not response.ok:
            told: dict[str, Any] = {"status": "failed", "error": bridgework.error_of(response, self._link.log_name)}
        elif work.settles:
            told = self._settled(response)
        else:
            return
        for _ in range(_TRIES):
            if await self._link.reports.accepted(work, told) or work.is_late:
                return
            await asyncio.sleep(_UNREPORTED_PAUSE)

    async def _once(self, works: Sequence[BridgeWork | None], function: Function, request: InvocationRequest) -> InvocationResponse:
        passed(HostCrashPoint.TAKEN_NOT_RUN)
        return await self._invocations.run(function.name, request, partial(self._sent, works, function, request))

    async def _sent(
        self, works: Sequence[BridgeWork | None], function: Function, request: InvocationRequest, response: InvocationResponse
    ) -> InvocationResponse:
        passed(HostCrashPoint.RAN_NOT_SENT)
        for work in works:  # before the outputs: a result among them may end the run
            if work is not None and not await self._errors_told(work, request, response):
                return replace(response, ok=False, code=OUTPUT_NOT_SENT, message="the bridge did not hear of the errors that it wrote")
        return await self._invocations.sent(function, request, response)

    async def _errors_told(self, work: BridgeWork, request: InvocationRequest, response: InvocationResponse) -> bool:
        """Tell the bridge how many error records the function wrote; whether its outputs may be sent.

        They may not if the count decides on the end of the work and the bridge does not have it. From the second delivery on the bridge is
        told a count of 0, too, because an earlier delivery may have told it another.
        """
        again = self._invocations.typed and request.metadata.get("DeliveryCount", _FIRST) != _FIRST
        if not (response.errors_written or again):
            return True
        known = await self._link.reports.accepted(work, {"status": "running", "errorsWritten": response.errors_written})
        return known or not work.errors_fail

    async def verdict(self, response: InvocationResponse, work: BridgeWork | None) -> Settlement:
        """What becomes of a message after the function has ended."""
        if not response.ok:
            return Settlement.ABANDON if response.code == OUTPUT_NOT_SENT else await self._reported(response, work)
        if not self._trigger.completes:
            return Settlement.LEAVE
        if work is not None and work.settles:
            known = await self._link.reports.accepted(work, self._settled(response))
            return Settlement.COMPLETE if known else Settlement.ABANDON
        if work is not None and response.canceled and outputs.sets_nothing(self._function, response):
            await self._link.reports.accepted(work, {"status": "failed", "error": bridgework.RETURNED_CANCELED})
        return Settlement.COMPLETE

    def _settled(self, response: InvocationResponse) -> dict[str, Any]:
        """What the bridge is told of a call whose success completes its message."""
        told = {"outputsNotSent": unsent} if (unsent := outputs.not_sent_text(self._function, response)) else {}
        return {"status": "running", "settlement": "completed", **told}

    async def _reported(self, response: InvocationResponse, work: BridgeWork | None) -> Settlement:
        """Tell the bridge why the function failed, or was not called. The latter ends the message, but only if the bridge knows.

        So does a failure that asks for no retry, and any failure of work that nobody wants any more: another delivery would only run it
        again.
        """
        told: dict[str, Any] = {"error": bridgework.error_of(response, self._link.log_name)}
        if response.errors_written:
            told["errorsWritten"] = response.errors_written
        known = ends = False
        if work is not None:
            ends = response.final or (not response.late and (response.canceled or await self._link.reports.canceled(work)))
            known = await self._link.reports.accepted(work, {"status": "failed" if ends else "running", **told})
        if response.canceled or (known and (ends or response.late)):
            return Settlement.COMPLETE
        if response.late:
            await asyncio.sleep(_UNREPORTED_PAUSE)
        return Settlement.ABANDON

    async def settle(self, received: Received, verdict: Settlement) -> None:
        """Settle a message; one that cannot be settled comes again."""
        passed(HostCrashPoint.SENT_NOT_SETTLED)
        try:
            await self._feed.settle(received.lock, verdict)
        except FeedError as problem:
            log.warning("%s: the message could not be settled and will be redelivered: %s", self._function.name, problem)
