"""Tracks which component is down: the sidecar, or the store or the bus behind it.

Requests and deliveries report their results here. An idle component is probed. So is a bus or store that refused a request, because a
bridge that is not ready may receive no more requests that would show the recovery. A store that is full, or a read-only replica of one,
still answers reads, so reads and writes are tracked separately.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

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


class SidecarHealth:
    """What is wrong with each component; empty if nothing is. While the sidecar is down, nothing is reported of what is behind it."""

    def __init__(self) -> None:
        self._trouble = {"sidecar": "", "store": "", "bus": "", "subscriptions": ""}
        self._missing = ""  # at the last look
        self._write_refused = False  # and none has been stored since; it may have been the fault of its key, so a check decides
        self._no_writes = ""  # why the store takes none, by the last check
        self._suspected = asyncio.Event()
        self._checks: set[asyncio.Task[None]] = set()
        self.store, self.bus = Availability("store"), Availability("bus")

    def trouble(self) -> Mapping[str, str]:
        """What is wrong with `sidecar`, `store`, `bus` and `subscriptions`; empty for a healthy component."""
        if self._trouble["sidecar"]:
            return {**dict.fromkeys(self._trouble, ""), "sidecar": self._trouble["sidecar"]}
        store = self.store.why or self._trouble["store"] or self._no_writes
        return {**self._trouble, "store": store, "bus": self.bus.why or self._trouble["bus"]}

    def observe(self, kind: str, answer: bytes | SidecarError | None) -> None:
        """Note the answer to a request, None if there was none. `kind` is the first segment of its path."""
        if answer is None:
            self._trouble["sidecar"] = NO_ANSWER
        elif kind == "healthz":
            self._trouble["sidecar"] = str(answer) if isinstance(answer, SidecarError) else ""
        elif kind == "publish":
            self._trouble["bus"] = _trouble_in(answer)
        if any(self._trouble.values()):
            self._suspected.set()

    def observe_reads(self, trouble: str) -> None:
        """Note why a key could not be read; empty if all could. A bulk read succeeds even if no key could be read."""
        self._trouble["store"] = trouble
        if trouble:
            self._suspected.set()

    def observe_write(self, refused: str) -> None:
        """Note why the store refused a write; empty if it was stored."""
        self._write_refused = bool(refused)
        if refused:
            self._suspected.set()
        else:
            self._tell_writes("")

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
        if not any(self._trouble.values()) and not self._missing and not self._write_refused:
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
        await self._check(self.store, probes.read)
        if self._write_refused and not self.store.why:
            await self._check_writes(probes.write)
        if self._trouble["bus"] or self.bus.why:
            await self._check(self.bus, probes.publish)

    async def _check(self, part: Availability, request: Callable[[], Awaitable[object]]) -> None:
        """Check a component, and wait for the outcome until the next check is due. A component that is back answers that one."""
        check = asyncio.create_task(part.check(request))
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)
        await asyncio.wait({check}, timeout=AWAY)

    async def _check_writes(self, write: Callable[[], Awaitable[object]]) -> None:
        """Write a value without meaning. A refused write alone may be the fault of its key, but this one shows the state of the store."""
        try:
            async with asyncio.timeout(availability.SLOW):
                await write()
        except TimeoutError:
            self._tell_writes(f"{NO_ANSWER} within {availability.SLOW:g} s")
        except PortError as error:
            self._tell_writes(error.detail)
        else:
            self.observe_write("")

    def _tell_writes(self, why: str) -> None:
        if why and not self._no_writes:
            _log.warning("the store takes no writes: %s", why)
        elif self._no_writes and not why:
            _log.info("the store takes writes again")
        self._no_writes = why


def _trouble_in(answer: bytes | SidecarError) -> str:
    """What an answer to a publish says about the bus; empty if it is healthy. A message that is too large is not a fault of the bus."""
    return str(answer) if isinstance(answer, SidecarError) and isinstance(publish_error(answer), Unavailable) else ""
