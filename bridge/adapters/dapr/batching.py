"""Joins items that many callers submit at the same time into one request.

Only one request is in progress at a time. The next one takes everything that was submitted meanwhile. If there is much to do, it waits for
a moment first, because a request costs more than its items. An idle batcher adds no delay. A busy one costs the bridge and the sidecar half
the work for each item, or less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from bridge.errors import PortError, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MAX_ITEMS = 100  #: items of one request
MAX_BYTES = 96 * 1024  #: of one request; a larger item goes alone. Dapr gives a batch for Service Bus 128 KiB, properties included
PAUSE = 0.005  #: seconds after a request that several items shared, in which more are gathered for the next


class Batcher(Generic[Item, Outcome]):
    """`send` takes items and returns the outcome of each, in the same order.

    `size` returns the bytes of an item. Items with the same `name` never share a request.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | PortError]]],
        *,
        size: Callable[[Item], int],
        name: Callable[[Item], Hashable] | None = None,
    ) -> None:
        self._send, self._size, self._name = send, size, name
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome]]] = deque()
        self._sender: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> asyncio.Future[Outcome]:
        """Submit an item. The future has its outcome, and may raise PortError."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        return outcome

    async def _send_all(self) -> None:
        while self._waiting:
            batch = self._take()
            outcomes: Sequence[Outcome | PortError]
            try:
                outcomes = await self._send([item for item, _ in batch])
            except PortError as error:
                outcomes = [error] * len(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                outcomes = [Unavailable(f"The sidecar could not be asked: {type(error).__name__}: {error}")] * len(batch)
            for (_, waiting), outcome in zip(batch, outcomes, strict=True):
                _settle(waiting, outcome)
            if len(batch) > 1:
                await asyncio.sleep(PAUSE)

    def _take(self) -> list[tuple[Item, asyncio.Future[Outcome]]]:
        batch: list[tuple[Item, asyncio.Future[Outcome]]] = []
        names: set[Hashable] = set()
        left = MAX_BYTES
        while self._waiting and len(batch) < MAX_ITEMS:
            item, _ = self._waiting[0]
            left -= self._size(item)
            name = self._name(item) if self._name else len(batch)
            if batch and (left < 0 or name in names):
                break
            names.add(name)
            batch.append(self._waiting.popleft())
        return batch


def _settle(waiting: asyncio.Future[Outcome], outcome: Outcome | PortError) -> None:
    if waiting.done():  # its caller no longer waits
        return
    if isinstance(outcome, PortError):
        waiting.set_exception(outcome)
        waiting.exception()  # a caller that has gone leaves no warning behind
    else:
        waiting.set_result(outcome)
