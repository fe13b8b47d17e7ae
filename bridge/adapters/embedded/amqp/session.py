"""Sessions: they number deliveries, keep to the client's window, and know the links."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from bridge.adapters.embedded.amqp.inbound import InboundLink
from bridge.adapters.embedded.amqp.outbound import OutboundLink
from bridge.adapters.embedded.amqp.outcomes import error
from bridge.adapters.embedded.amqp.protocolfault import LinkFault, SessionFault
from bridge.adapters.embedded.amqp.replies import ReplyLink
from bridge.adapters.embedded.amqp.sessionlink import PendingLink, refuse
from bridge.adapters.embedded.amqp.terminus import attach
from bridge.amqp import frames, performatives
from bridge.amqp.performatives import AttachFrame, BeginFrame, DetachFrame, DispositionFrame, FlowFrame, TransferFrame

if TYPE_CHECKING:
    from uuid import UUID

    from bridge.adapters.embedded.amqp.connection import AmqpConnection

Link: TypeAlias = InboundLink | OutboundLink | ReplyLink | PendingLink
WINDOW = 10_000  #: transfers that a client may send before it is told of a new window
_SERIAL = 2**32
_MOST_BEHIND = 10_000  #: frames that may wait behind deliveries for which the client opens no window


class AmqpSession:
    """One session. Its channel has the same number in both directions."""

    def __init__(self, connection: AmqpConnection, channel: int, begin: BeginFrame) -> None:
        self.connection, self.channel = connection, channel
        self.links: dict[int, Link] = {}
        self.unsettled: dict[int, tuple[OutboundLink, UUID]] = {}
        self._next_incoming = begin.next_outgoing_id or 0
        self._incoming = WINDOW
        self._next_outgoing = 0
        self._window = begin.incoming_window or 0
        self._next_delivery = 0
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._behind = 0  # of the waiting frames: those that are no deliveries
        self._ended = False
        self._detaching: set[int] = set()  # handles that were detached here and not yet by the client, which may go on writing to them

    # --- what the client sends

    window = WINDOW

    def attach(self, frame: AttachFrame, source: bytes, target: bytes) -> None:
        """Attach a link; `source` and `target` are as they were encoded. Raises SessionFault."""
        if frame.handle is None or frame.handle >= self.connection.service.bounds.links:
            raise SessionFault("amqp:session:errant-link", f"the handle {frame.handle} is larger than handle-max")
        if frame.handle in self.links:
            raise SessionFault("amqp:session:handle-in-use", f"the handle {frame.handle} is in use")
        self._detaching.discard(frame.handle)
        service = self.connection.service
        if self.connection.link_count >= service.bounds.links_in_all:
            refuse(self, frame, "amqp:resource-limit-exceeded", "The connection has too many links.")
        elif service.load.links >= service.bounds.links_of_all:
            refuse(self, frame, "amqp:resource-limit-exceeded", "All connections together have too many links. Try again later.")
        else:
            attach(self, frame, source, target)

    def flow(self, frame: FlowFrame) -> None:
        """Take the client's window and, for one link, its credit."""
        if frame.incoming_window is not None:
            window = ((frame.next_incoming_id or 0) + frame.incoming_window - self._next_outgoing) % _SERIAL
            self._window = window if window < _SERIAL // 2 or frame.incoming_window >= _SERIAL // 2 else 0
        self.pump()
        if frame.handle in self._detaching:
            return
        if frame.handle is not None:
            link = self.links.get(frame.handle)
            if link is None:
                raise SessionFault("amqp:session:unattached-handle", f"no link has the handle {frame.handle}")
            link.flow(frame)
        elif frame.echo:
            self.write_flow()

    def transfer(self, frame: TransferFrame, payload: bytes) -> None:
        """Take one transfer. Raises SessionFault."""
        self._next_incoming = (self._next_incoming + 1) % _SERIAL
        self._incoming -= 1
        if self._incoming < 0:
            raise SessionFault("amqp:session:window-violation", "more transfers came than the window allows")
        link = self.links.get(frame.handle if frame.handle is not None else -1)
        if frame.handle in self._detaching:
            return
        if not isinstance(link, InboundLink):
            raise SessionFault("amqp:session:unattached-handle", f"no link that takes transfers has the handle {frame.handle}")
        try:
            link.transfer(frame, payload)
        except LinkFault as fault:
            self.detach_link(link, fault.condition, str(fault))
        if self._incoming <= WINDOW // 2:
            self.write_flow()

    def disposition(self, frame: DispositionFrame) -> None:
        """The client settles deliveries."""
        if frame.role is not performatives.ROLE_RECEIVER or frame.first is None:
            return
        for delivery_id in self._range(frame.first, frame.first if frame.last is None else frame.last):
            found = self.unsettled.get(delivery_id)
            if found is not None:
                link, token = found
                link.disposition(delivery_id, token, frame.state, settled=frame.settled is True)

    def _range(self, first: int, last: int) -> Iterator[int]:
        """Delivery ids from first to last, of which there are no more than unsettled ones."""
        count = (last - first) % _SERIAL + 1
        if count <= len(self.unsettled):
            return iter([(first + step) % _SERIAL for step in range(count)])
        return iter([number for number in self.unsettled if (number - first) % _SERIAL < count])

    def detach(self, frame: DetachFrame) -> None:
        """The client detaches a link, or answers that it was detached here."""
        self._detaching.discard(frame.handle if frame.handle is not None else -1)
        link = self.links.pop(frame.handle if frame.handle is not None else -1, None)
        if link is not None:
            self._forget(link)
            self.write(frames.detached(self.channel, link.handle))

    # --- what the client is sent

    def detach_link(self, link: Link, condition: str, description: str) -> None:
        """Detach a link and say why."""
        if self.links.pop(link.handle, None) is not None:
            self._forget(link)
            self.write_detach(link.handle, condition, description)

    def write_detach(self, handle: int, condition: str, description: str) -> None:
        """Tell the client that a link is no more; what it still writes to it is dropped."""
        self._detaching.add(handle)
        self.write(frames.detached(self.channel, handle, error(condition, description)))

    def _forget(self, link: Link) -> None:
        link.close()
        if isinstance(link, OutboundLink):
            self.unsettled = {number: entry for number, entry in self.unsettled.items() if entry[0] is not link}

    def send(self, handle: int, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """Send one delivery as soon as the window allows; returns its id."""
        delivery_id = self._next_delivery
        self._next_delivery = (delivery_id + 1) % _SERIAL
        parts = frames.transfers(self.channel, handle, delivery_id, tag, payload, settled=settled, largest=self.connection.largest_frame)
        for part in parts:
            self.write(part, 1)
        return delivery_id

    def write(self, frame: bytes, cost: int = 0) -> None:
        """Write a frame in its turn. `cost` is what it takes of the client's window. Once the session has ended nothing is written."""
        if self._ended:
            return
        if self._waiting or (cost and (self._window < cost or self.connection.output.is_full)):
            self._wait(frame, cost)
            return
        if cost:
            self._window -= cost
            self._next_outgoing = (self._next_outgoing + cost) % _SERIAL
        self.connection.write(frame)

    def _wait(self, frame: bytes, cost: int) -> None:
        self._waiting.append((frame, cost))
        self._behind += not cost
        if len(self._waiting) == 1:
            self.hold()
        if self._behind > _MOST_BEHIND:
            self.connection.fail("amqp:resource-limit-exceeded", f"more than {_MOST_BEHIND} answers wait for the window of a session")

    def resume(self) -> None:
        """The connection can write again."""
        self.pump()
        for link in list(self.links.values()):
            link.supply()

    def pump(self) -> None:
        """Write what waited, as far as the window and the connection allow."""
        if not self._waiting:
            return
        while self._waiting:
            frame, cost = self._waiting[0]
            if cost and (self._window < cost or self.connection.output.is_full):
                return
            self._waiting.popleft()
            self._behind -= not cost
            self._window -= cost
            self._next_outgoing = (self._next_outgoing + cost) % _SERIAL
            self.connection.write(frame)
        for link in list(self.links.values()):
            link.supply()

    @property
    def is_blocked(self) -> bool:
        """Whether deliveries have to wait."""
        return bool(self._waiting) or self.connection.output.is_full

    def hold(self) -> None:
        """Let no link be given more until `pump`."""
        for link in list(self.links.values()):
            link.hold()

    def write_flow(self, link: tuple[int, int, int] | None = None, *, drain: bool = False) -> None:
        """Tell the client the windows and, for a link, its handle, delivery count and credit."""
        self._incoming = WINDOW
        frame = frames.flow(self.channel, (self._next_incoming, WINDOW, self._next_outgoing), link, drain=drain)
        if drain:
            self.write(frame)  # behind the deliveries that it counts
        elif not self._ended:
            self.connection.write(frame)

    def write_disposition(self, role: bool, delivery_id: int, state: bytes) -> None:
        """Tell the client the state of a delivery."""
        if self._ended:
            return  # another session may have its channel by now
        self.connection.write(frames.disposition(self.channel, role, delivery_id, delivery_id, state))

    def close(self, *, gone: bool = False) -> None:
        """Close all links. `gone` means that the connection ended."""
        self._ended = True
        links, self.links = self.links, {}
        for link in links.values():
            link.close(gone=gone)
        self.unsettled.clear()
        self._waiting.clear()
