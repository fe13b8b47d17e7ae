"""Joins what many callers ask at the same time into one request.

One request is under way; the next takes all that has gathered meanwhile, and in a short pause if there is much to do: requests cost more
than what is in them. An idle adapter adds no delay, a busy one needs half the work of bridge and sidecar for each item, or less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from bridge.errors import PortError, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MOST = 100  #: items of one request
BUDGET = (
    96 * 1024
)  #: bytes of one request; what alone is larger goes alone. Dapr gives a batch for Service Bus 128 KiB, properties included

PAUSE = 0.005  #: seconds after a request that several shared, in which the next one gathers more


class Gathering(Generic[Item, Outcome]):
    """`send` is given items and answers each, in their order. `size` says an item's bytes; items of one `name` never share a request."""

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

    def ask(self, item: Item) -> asyncio.Future[Outcome]:
        """What becomes of the item; raises PortError."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        return answer

    async def _send_all(self) -> None:
        while self._waiting:
            taken = self._take()
            outcomes: Sequence[Outcome | PortError]
            try:
                outcomes = await self._send([item for item, _ in taken])
            except PortError as fault:
                outcomes = [fault] * len(taken)
            except Exception as fault:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                outcomes = [Unavailable(f"The sidecar could not be asked: {type(fault).__name__}: {fault}")] * len(taken)
            for (_, answer), outcome in zip(taken, outcomes, strict=True):
                _tell(answer, outcome)
            if len(taken) > 1:
                await asyncio.sleep(PAUSE)

    def _take(self) -> list[tuple[Item, asyncio.Future[Outcome]]]:
        taken: list[tuple[Item, asyncio.Future[Outcome]]] = []
        names: set[Hashable] = set()
        budget = BUDGET
        while self._waiting and len(taken) < MOST:
            item, _ = self._waiting[0]
            budget -= self._size(item)
            name = self._name(item) if self._name else len(taken)
            if taken and (budget < 0 or name in names):
                break
            names.add(name)
            taken.append(self._waiting.popleft())
        return taken


def _tell(answer: asyncio.Future[Outcome], outcome: Outcome | PortError) -> None:
    if answer.done():  # its caller no longer waits
        return
    if isinstance(outcome, PortError):
        answer.set_exception(outcome)
        answer.exception()  # a caller that has gone leaves no warning behind
    else:
        answer.set_result(outcome)
