"""Timer triggers: a function runs when its schedule says so, at the start too if it asks for it or has missed a time (TimerListener.cs)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.local.functions import newtonsoftwriter
from bridge.local.functions.bindings import Function, TimerTrigger
from bridge.local.functions.bodymerge import THE_TRIGGER
from bridge.local.functions.invocations import AppInvocations, InvocationRequest
from bridge.local.functions.timerstatus import TimerStatuses
from bridge.local.functions.workersupervisor import WorkerDown

log = logging.getLogger("bridge.functions")

_ZONES = ("WEBSITE_TIME_ZONE", "TZ")  #: the settings that name a time zone in Azure: on Windows, and on Linux
_WORKER_PAUSE = 1.0  #: seconds until a worker that was lost at the last moment is asked again
_LONGEST_SLEEP = 30.0  #: seconds until the clock is looked at again, which somebody may have set


def zone(settings: Mapping[str, str]) -> tzinfo:
    """The time zone of the schedules: the one that the app's settings name, else UTC. Raises ValueError for one that does not exist."""
    setting, name = next(((each, settings[each]) for each in _ZONES if settings.get(each)), ("", ""))
    if not name:
        return UTC
    try:
        return ZoneInfo(name.removeprefix(":"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{setting} is {name!r}, which is not a known time zone; write its name in the IANA list, such as Europe/Berlin"
        ) from None


class TimerListener:
    """Runs one function by its schedule."""

    def __init__(self, function: Function, trigger: TimerTrigger, invocations: AppInvocations, statuses: TimerStatuses) -> None:
        self._function, self._trigger = function, trigger
        self._invocations, self._statuses = invocations, statuses
        self._task: asyncio.Task[None] | None = None
        self.busy = False  #: whether the function runs

    def start(self) -> None:
        """Run the function from here on."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Run it no more; a run that has begun goes on."""
        if self._task is not None and not self.busy:
            self._task.cancel()
        self._task = None

    async def _run(self) -> None:
        now = datetime.now(UTC)
        status, missed = self._statuses.checked(self._function.name, self._trigger, now)
        self._status = status
        self._keep()
        if missed:
            log.info("%s: its time was missed while the host did not run; it runs at once, past due.", self._function.name)
        if missed or self._trigger.run_on_startup:
            await self._once(past_due=missed, planned=False)
        while self._task is not None and (following := self._status.following) is not None:
            left = (following - datetime.now(UTC)).total_seconds()
            if left > 0:
                await asyncio.sleep(min(left, _LONGEST_SLEEP))
            else:
                await self._once(past_due=False, planned=True)

    async def _once(self, *, past_due: bool, planned: bool) -> None:
        """Run the function as soon as there is a worker, and count its next time from when it began."""
        supervisor = self._invocations.supervisor
        if supervisor is None:
            return
        await supervisor.up()
        began, planned_for = datetime.now(UTC), self._status.following
        value = self._statuses.value(self._trigger, self._status, past_due=past_due)
        self.busy = True
        try:
            await self._invocations.run_and_send(
                self._function, request(self._trigger, self._statuses, value, typed=self._invocations.typed)
            )
        except WorkerDown:
            await asyncio.sleep(_WORKER_PAUSE)
            return
        finally:
            self.busy = False
        if planned and planned_for is not None:
            began = max(began, planned_for)  # a clock that was set back a little must not make the same time come twice
        self._status = self._statuses.counted(self._trigger, began, ran=True)
        self._keep()

    def _keep(self) -> None:
        if not self._trigger.monitored:
            return
        try:
            self._statuses.keep(self._function.name, self._status)
        except OSError as fault:
            log.warning("%s: when it runs next is not kept, so a time that is missed will not be seen: %s", self._function.name, fault)


def request(trigger: TimerTrigger, statuses: TimerStatuses, value: Mapping[str, object], *, typed: bool) -> InvocationRequest:
    """The invocation of a timer function by its schedule."""
    metadata = {"TimerTrigger": {"string": statuses.metadata(datetime.now(UTC))}, trigger.parameter: THE_TRIGGER} if typed else {}
    return InvocationRequest(trigger.parameter, {"json": newtonsoftwriter.compact(dict(value))}, metadata, on_behalf_of="its schedule")
