"""Checks whether the sidecar delivers everything that the handlers need. Otherwise nothing would show that it does not.

The sidecar's metadata lists its subscriptions. Of several subscriptions to one topic, it lists only the one that applies. Declared
subscriptions are listed as soon as the sidecar answers, those that it gets from the bridge a moment later.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from bridge.adapters.dapr.sidecar import SidecarClient, SidecarMetadata
from bridge.errors import Unavailable

_POLL = 0.2  #: seconds between two looks while something is missing at the start
_GRACE = 2.0  #: seconds that the sidecar has before anything is said
_LOG_EVERY = 30.0  #: seconds between two log lines
_log = logging.getLogger("bridge.dapr")


@dataclass(frozen=True, slots=True)
class ExpectedSubscription:
    """A source that a handler reads: messages of `topic` of `component` must be delivered to `route`."""

    component: str
    topic: str
    route: str


@dataclass(frozen=True, slots=True)
class SubscriptionCheck:
    """Compares the sidecar's subscriptions and its app port with what is `expected`."""

    sidecar: SidecarClient
    expected: Callable[[], list[ExpectedSubscription]]
    port: int

    async def missing(self) -> str:
        """What is wrong and how to fix it; empty if nothing is.

        Raises Unavailable, and ConfigurationError if the request is not allowed.
        """
        return " ".join(discrepancies(await self.sidecar.metadata(), self.expected(), self.port))

    async def complete(self, waiting: Callable[[str], None]) -> None:
        """Wait until nothing is missing. `waiting` and the log are told what is. Raises ConfigurationError."""
        for look in itertools.count():
            with suppress(Unavailable):
                missing = await self.missing()
                if not missing:
                    return
                if look * _POLL >= _GRACE:
                    waiting(missing)
                if look % round(_LOG_EVERY / _POLL) == round(_GRACE / _POLL):
                    _log.error("waiting for the sidecar's subscriptions: %s", missing)
            await asyncio.sleep(_POLL)


def discrepancies(metadata: SidecarMetadata, expected: list[ExpectedSubscription], port: int) -> Iterator[str]:
    """A sentence for each thing that prevents deliveries, with its fix."""
    if metadata.app_port != port:
        where = f"to port {metadata.app_port}" if metadata.app_port else "to no application"
        yield f"The sidecar delivers events {where}, but the bridge expects them on port {port}: start the sidecar with --app-port {port}."
    elif metadata.protocol != "grpc":
        yield (
            f"The sidecar delivers events over {metadata.protocol}, but the bridge accepts only grpc, "
            "because over HTTP Dapr 1.18 loses events: "
            'start it with --app-protocol grpc (on Kubernetes: dapr.io/app-protocol: "grpc").'
        )
    there = {(each.component, each.topic): each for each in metadata.subscriptions}
    for each in expected:
        found = there.get((each.component, each.topic))
        what = f"{each.topic} of component {each.component}"
        if found is None:
            yield (
                f"The sidecar has no subscription to {what}: add one with the route {each.route} to its resources "
                "(subscriptions.yaml), and its app id to the scopes."
            )
        elif each.route not in found.routes:
            yield f"The sidecar delivers {what} to {', '.join(sorted(found.routes)) or 'no route'}: correct the route to {each.route}."
        elif not found.raw:
            yield f'The sidecar rewrites {what}: give its subscription the metadata rawPayload: "true".'
