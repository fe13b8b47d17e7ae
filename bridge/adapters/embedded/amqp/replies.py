"""Links through which clients receive replies of $cbs and $management."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from uuid import UUID

from bridge.amqp.performatives import SERIAL, FlowFrame

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.session import AmqpSession

_REPLIES = 1000  #: replies that may wait for credit


class ReplyLink:
    """Carries replies of $cbs or $management to a client, as its credit allows."""

    receiver = None

    def __init__(self, session: AmqpSession, handle: int, address: str, names: tuple[str, ...], *, settled: bool) -> None:
        """`address` is that of the node; by `names` a request says that it wants its reply here."""
        self.session, self.handle, self.address, self.names = session, handle, address, names
        self._settled = settled
        self._delivery_count = 0
        self._credit = 0
        self._waiting: deque[bytes] = deque()

    def flow(self, asked: FlowFrame) -> None:
        """Take the client's credit and send what waited for it."""
        if asked.link_credit is not None:
            self._credit = asked.credit_from(self._delivery_count)
        self._send_waiting()
        if asked.drain:
            self._delivery_count, self._credit = (self._delivery_count + self._credit) % SERIAL, 0
            self.session.write_flow((self.handle, self._delivery_count, 0), drain=True)
        elif asked.echo:
            self.session.write_flow((self.handle, self._delivery_count, self._credit))

    def reply(self, payload: bytes) -> None:
        """Send a reply, now or when there is credit."""
        if len(self._waiting) < _REPLIES:
            self._waiting.append(payload)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._credit > 0:
            self._credit -= 1
            self._delivery_count = (self._delivery_count + 1) % SERIAL
            tag = self._delivery_count.to_bytes(16, "big")
            self.session.send(self.handle, tag, self._waiting.popleft(), settled=self._settled)

    def disposition(self, delivery_id: int, token: UUID, state: object, *, settled: bool) -> None:
        """Nothing depends on whether a client took a reply."""

    def hold(self) -> None:
        """Replies are few; they are not held back."""

    supply = hold

    def close(self, *, gone: bool = False) -> None:
        """Drop what waits."""
        del gone
        self._waiting.clear()
