"""Tracks which component is down: the sidecar, or the store or the bus behind it.

If a request fails, its key or message may be at fault. So a failed request only makes the bridge check at once, with a request of its own
that changes nothing, and only these checks decide. A store that is full, or a read-only replica, still answers reads, so reads and writes
are checked separately.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from bridge.adapters.dapr import availability
from bridge.adapters.dapr.availability import NO_ANSWER, Availability
from bridge.adapters.dapr.errors import SidecarError, publish_error
from bridge.adapters.dapr.sidecar import SidecarClient
from bridge.errors import ConfigurationError, PortError, Unavailable

IDLE = 2.0  #: seconds between two looks while all is well
AWAY = 1.0  #: seconds between two looks while something is away, and at least between any two
_log = logging.getLogger("bridge.dapr")


@dataclass(frozen=True, slots=True)
class Probes:
    """Requests that change nothing and raise PortError: `read` and `write` call the store, `publish` the bus.

    `missing` names missing subscriptions.
    """

    read: Callable[[], Awaitable[object]]
    write: Callable[[], Awaitable[object]]
    publish: Callable[[], Awaitable[object]]
    missing: Callable[[], Awaitable[str]]


class Part(Enum):
    """What can be down: reading from the store, writing to it, or publishing."""

    READS = auto()
    WRITES = auto()
    BUS = auto()


class SidecarHealth:
    """What is wrong with each component; empty if nothing is. While the sidecar is down, nothing is reported of what is behind it."""

    def __init__(self) -> None:
        self._trouble = {"sidecar": "", "store": "", "bus": "", "subscriptions": ""}
        self._missing = ""  # at the last look
        self._suspects: set[Part] = set()
        self._suspected = asyncio.Event()
        self._checks: set[asyncio.Task[None]] = set()
        self.store, self.bus = Availability("store"), Availability("bus")
        self._writing = Availability("store", "takes no writes", "takes writes again")

    def trouble(self) -> Mapping[str, str]:
        """What is wrong with `sidecar`, `store`, `bus` and `subscriptions`; empty for a healthy component."""
        if self._trouble["sidecar"]:
            return {**dict.fromkeys(self._trouble, ""), "sidecar": self._trouble["sidecar"]}
        return {**self._trouble, "store": self.store.why or self._writing.why, "bus": self.bus.why}

    def observe(self, kind: str, answer: bytes | SidecarError | None) -> None:
        """Note the answer to a request, None if there was none. `kind` is the first segment of its path."""
        if answer is None:
            self._trouble["sidecar"] = NO_ANSWER
            self._suspected.set()
        elif kind == "healthz":
            self._trouble["sidecar"] = str(answer) if isinstance(answer, SidecarError) else ""
        elif kind == "publish" and isinstance(answer, SidecarError) and isinstance(publish_error(answer), Unavailable):
            self.suspect(Part.BUS)

    def suspect(self, part: Part) -> None:
        """Check this part at once, because a request to it failed."""
        self._suspects.add(part)
        self._suspected.set()

    def observe_subscriptions(self, missing: str) -> None:
        """Note what is missing, once two checks agree, because a sidecar that is starting has no complete list yet."""
        confirmed = missing if missing == self._missing else ""
        if confirmed and confirmed != self._trouble["subscriptions"]:
            _log.error("subscriptions: %s", confirmed)
        self._trouble["subscriptions"], self._missing = confirmed, missing

    async def watch(self, sidecar: SidecarClient, probes: Probes) -> None:
        """Check the components regularly, and at once after a failed request, until cancelled."""
        looked_at = 0.0
        try:
            while True:
                await self._pause(looked_at)
                looked_at = time.monotonic()
                await self._look(sidecar, probes)
        finally:
            for each in self._checks:
                each.cancel()

    async def _pause(self, looked_at: float) -> None:
        if not any(self.trouble().values()) and not self._missing:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE):
                    await self._suspected.wait()
        await asyncio.sleep(looked_at + AWAY - time.monotonic())
        self._suspected.clear()

    async def _look(self, sidecar: SidecarClient, probes: Probes) -> None:
        try:
            async with asyncio.timeout(availability.SLOW):
                trouble = await sidecar.trouble()
        except TimeoutError:
            self._trouble["sidecar"] = f"{NO_ANSWER} within {availability.SLOW:g} s"
            for each in (self.store, self.bus):
                each.lose(f"the sidecar {self._trouble['sidecar']}")
            return
        if trouble:  # one that is about to end says so, and still takes what is under way
            return
        with suppress(PortError, ConfigurationError, TimeoutError):
            async with asyncio.timeout(availability.SLOW):
                self.observe_subscriptions(await probes.missing())
        suspects, self._suspects = self._suspects, set()
        await self._check(self.store, probes.read)
        if not self.store.why and (Part.WRITES in suspects or self._writing.why):
            await self._check(self._writing, probes.write)
        if Part.BUS in suspects or self.bus.why:
            await self._check(self.bus, probes.publish)

    async def _check(self, part: Availability, request: Callable[[], Awaitable[object]]) -> None:
        """Check a component, and wait for the outcome until the next check is due. A component that is back answers that one."""
        check = asyncio.create_task(part.check(request))
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)
        await asyncio.wait({check}, timeout=AWAY)
