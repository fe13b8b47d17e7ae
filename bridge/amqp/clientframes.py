"""Frames that only a client writes: it opens, begins and attaches, and reads what is answered to a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.amqp.amqptypes import Described, Symbol, UByte, UInt, ULong, UShort
from bridge.amqp.encode import composite
from bridge.amqp.frames import LARGEST_FRAME, SASL, frame
from bridge.amqp.performatives import ATTACH, BEGIN, OPEN, ROLE_RECEIVER, SASL_INIT, SOURCE, TARGET

ACCEPTED_CODE, REJECTED_CODE, RELEASED_CODE, MODIFIED_CODE = 0x24, 0x25, 0x26, 0x27
ACCEPT, RELEASE = composite(ACCEPTED_CODE), composite(RELEASED_CODE)
FAIL = composite(MODIFIED_CODE, True)  #: the delivery failed and counts, as `abandon` of the clients for Service Bus
WINDOW = 2**31 - 1  #: transfers that may come before a flow renews the window
_HANDLES = 1023  #: the highest handle that is used
_SETTLED, _SECOND = 1, 1  #: settle modes: the sender settles what it sends; the receiver settles after the sender


class PeerError(Exception):
    """What the peer refuses, or why a link or the connection is gone. `condition` is the AMQP error condition; "" without one."""

    def __init__(self, description: str, condition: str = "") -> None:
        super().__init__(description)
        self.condition = condition

    @classmethod
    def read(cls, error: Any, otherwise: str) -> PeerError:
        """From the error field of a performative, which may be null or anything."""
        fields = error.value if isinstance(error, Described) and isinstance(error.value, list) else []
        condition, description = (*fields, None, None)[:2]
        named = str(condition) if isinstance(condition, str) else ""
        return cls(description if isinstance(description, str) and description else named or otherwise, named)


def is_rejected(state: Any) -> bool:
    """Whether a state of a delivery is `rejected`."""
    return isinstance(state, Described) and state.descriptor in (REJECTED_CODE, "amqp:rejected:list")


def rejection(state: Any) -> Any:
    """The error in such a state; None without one, as in the answer to a receiver that has dead-lettered a message."""
    fields = state.value if isinstance(state.value, list) else []
    return fields[0] if fields else None


def anonymous(hostname: str) -> bytes:
    """The choice of a SASL mechanism: who this is, a token says later, on the node $cbs."""
    return frame(0, composite(SASL_INIT, Symbol("ANONYMOUS"), b"", hostname), SASL)


def open_and_begin(container: str, hostname: str, idle: float) -> bytes:
    """Opens a connection and its only session. `idle` is in seconds: a peer that is silent for longer is taken to be gone."""
    opening = composite(OPEN, container, hostname, UInt(LARGEST_FRAME), UShort(0), UInt(int(idle * 1000)))
    beginning = composite(BEGIN, None, UInt(0), UInt(WINDOW), UInt(WINDOW), UInt(_HANDLES))
    return frame(0, opening) + frame(0, beginning)


def attach_receiver(  # noqa: PLR0913 - the fields of the performative
    name: str,
    handle: int,
    address: str,
    *,
    target: str = "",
    settled: bool = False,
    filters: Mapping[Any, Any] | None = None,
    properties: Mapping[Any, Any] | None = None,
) -> bytes:
    """Attaches a link that receives from `address`; without `settled` each delivery is locked until it is settled (peek-lock)."""
    source = Described(ULong(SOURCE), [address, None, None, None, None, None, None, dict(filters) if filters else None])
    modes = (UByte(_SETTLED), UByte(0)) if settled else (UByte(0), UByte(_SECOND))
    where = Described(ULong(TARGET), [target or None])
    fields = (name, UInt(handle), ROLE_RECEIVER, *modes, source, where, None, None, None, None, None, None)
    return frame(0, composite(ATTACH, *fields, dict(properties) if properties else None))


def attach_sender(name: str, handle: int, address: str) -> bytes:
    """Attaches a link that sends to `address`."""
    source, target = Described(ULong(SOURCE), [name]), Described(ULong(TARGET), [address])
    return frame(0, composite(ATTACH, name, UInt(handle), not ROLE_RECEIVER, UByte(0), UByte(0), source, target, None, None, UInt(0)))
