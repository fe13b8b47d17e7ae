"""AMQP within WebSockets, for clients that may use no other port than that of HTTP (the binding of OASIS, as Service Bus has it)."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

FIRST_BYTE = b"G"  #: of an HTTP request; AMQP begins with another
PATH = "/$servicebus/websocket"
_SUBPROTOCOLS = [Subprotocol("AMQPWSB10"), Subprotocol("amqp")]
_LARGEST_FRAME = 2**20  #: bytes of one WebSocket frame, in which AMQP frames may be joined
_log = logging.getLogger("bridge.servicebus.websocket")
_log.setLevel(logging.CRITICAL)  # what is wrong with a client is told by the server, once a minute


class WebSocketCarrier:
    """Takes AMQP out of WebSocket frames and puts it into them.

    Requests that name an origin come from web pages and are refused: a page has no business with the queue of the machine it is shown on.
    """

    def __init__(self) -> None:
        self._protocol = ServerProtocol(origins=[None], subprotocols=_SUBPROTOCOLS, max_size=_LARGEST_FRAME, logger=_log)

    def unwrap(self, data: bytes) -> bytes:
        """The AMQP bytes in what came."""
        self._protocol.receive_data(data)
        found = []
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.CONT):
                found.append(bytes(event.data))
        return b"".join(found)

    def _answer(self, request: Request) -> None:
        if request.path.partition("?")[0].rstrip("/").lower() == PATH:
            response = self._protocol.accept(request)
        else:
            response = self._protocol.reject(404, f"Service Bus is at {PATH}/ here.\n")
        self._protocol.send_response(response)

    def wrap(self, output: Iterable[bytes]) -> bytes:
        """What is to be written: AMQP output in a frame, and what the protocol itself has to say."""
        data = b"".join(output)
        if data and self._protocol.state is State.OPEN:
            self._protocol.send_binary(data)
        return b"".join(self._protocol.data_to_send())

    @property
    def is_over(self) -> bool:
        """Whether the client has closed, was refused or broke the protocol."""
        return self._protocol.state is State.CLOSED or self._protocol.close_expected()

    def close(self) -> bytes:
        """What is to be written when AMQP has ended."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
        return b"".join(self._protocol.data_to_send())
