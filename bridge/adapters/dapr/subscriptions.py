"""Whether the sidecar brings everything that handlers wait for. What it does not bring is silent for ever: no call fails, nothing comes.

Its metadata tells what it subscribes to: of several subscriptions of one topic only the one that counts. Those that are declared stand
there as soon as it answers, those that it asks the bridge for a moment later.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from bridge.adapters.dapr.sidecar import Sidecar, Told
from bridge.errors import Unavailable

_LOOK = 0.2  #: seconds between two looks while something is missing at the start
_SETTLE = 2.0  #: seconds that the sidecar has for it before anything is said
_SAY = 30.0  #: seconds between two log lines
_log = logging.getLogger("bridge.dapr")


@dataclass(frozen=True, slots=True)
class Needed:
    """A source that a handler takes: messages of `topic` of `component` are to come to `route`."""

    component: str
    topic: str
    route: str


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """Looks whether the sidecar brings what is `needed`, to the port on which it is taken, in the way in which it is taken."""

    sidecar: Sidecar
    needed: Callable[[], list[Needed]]
    port: int
    protocol: str

    async def missing(self) -> str:
        """What is wrong and how to mend it, empty if nothing. Raises Unavailable, and ConfigurationError if it may not be asked."""
        return " ".join(wrong(await self.sidecar.told(), self.needed(), self.port, self.protocol))

    async def complete(self, waiting: Callable[[str], None]) -> None:
        """Wait until nothing is missing, telling `waiting` and the log what is. Raises ConfigurationError."""
        for look in itertools.count():
            with suppress(Unavailable):
                missing = await self.missing()
                if not missing:
                    return
                if look * _LOOK >= _SETTLE:
                    waiting(missing)
                if look % round(_SAY / _LOOK) == round(_SETTLE / _LOOK):
                    _log.error("waiting for the sidecar's subscriptions: %s", missing)
            await asyncio.sleep(_LOOK)


def wrong(told: Told, needed: list[Needed], port: int, protocol: str) -> Iterator[str]:
    """A sentence for each thing that keeps deliveries away, with what to do."""
    if told.app_port != port:
        where = f"to port {told.app_port}" if told.app_port else "to nobody"
        yield f"The sidecar brings events {where}, the bridge takes them on port {port}: start the sidecar with --app-port {port}."
    elif told.protocol != protocol:
        yield f"The sidecar brings events by {told.protocol}, the bridge takes them by {protocol}: restart the bridge."
    there = {(each.component, each.topic): each for each in told.subscriptions}
    for each in needed:
        found = there.get((each.component, each.topic))
        what = f"{each.topic} of component {each.component}"
        if found is None:
            yield (
                f"The sidecar has no subscription of {what}: add one with the route {each.route} to its resources "
                "(subscriptions.yaml), and its app id to the scopes."
            )
        elif each.route not in found.routes:
            yield f"The sidecar brings {what} to {', '.join(sorted(found.routes)) or 'no route'}: correct the route to {each.route}."
        elif not found.raw:
            yield f'The sidecar rewrites {what}: give its subscription the metadata rawPayload: "true".'
