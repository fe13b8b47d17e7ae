"""The performatives of AMQP 1.0 (part 2 of the standard), and how they are read.

What is read has the types that the standard names, or is None: a field of another type is refused before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from bridge.amqp.amqptypes import Described, Symbol
from bridge.amqp.decode import decode, decode_plain
from bridge.amqp.scan import BadEncoding, list_items, raw_items

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44
SOURCE, TARGET, COORDINATOR = 0x28, 0x29, 0x30
ROLE_SENDER, ROLE_RECEIVER = False, True
SERIAL = 2**32  #: where the numbers of transfers and deliveries begin again (RFC 1982)


class OpenFrame(NamedTuple):
    """Begins a connection. `idle_time_out` is in milliseconds."""

    container_id: str | None = None
    hostname: str | None = None
    max_frame_size: int | None = None
    channel_max: int | None = None
    idle_time_out: int | None = None


class BeginFrame(NamedTuple):
    """Begins a session."""

    remote_channel: int | None = None
    next_outgoing_id: int | None = None
    incoming_window: int | None = None
    outgoing_window: int | None = None
    handle_max: int | None = None


class AttachFrame(NamedTuple):
    """Attaches a link. `role` is that of the peer who wrote it."""

    name: str | None = None
    handle: int | None = None
    role: bool | None = None
    snd_settle_mode: int | None = None
    rcv_settle_mode: int | None = None
    source: Described | None = None
    target: Described | None = None
    unsettled: Any = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


class FlowFrame(NamedTuple):
    """Windows of a session and, with a handle, the credit of a link."""

    next_incoming_id: int | None = None
    incoming_window: int | None = None
    next_outgoing_id: int | None = None
    outgoing_window: int | None = None
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool | None = None
    echo: bool | None = None

    def credit_from(self, delivery_count: int) -> int:
        """The credit that is left to a sender who counts this many deliveries: the client may not have seen the last of them yet."""
        credit = ((self.delivery_count or 0) + (self.link_credit or 0) - delivery_count) % SERIAL
        return credit if credit < SERIAL // 2 else 0


class TransferFrame(NamedTuple):
    """A message or a part of one; its bytes follow the performative."""

    handle: int | None = None
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: int | None = None
    state: Any = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


class DispositionFrame(NamedTuple):
    """The state of deliveries `first` to `last`, as the `role` that wrote it sees them."""

    role: bool | None = None
    first: int | None = None
    last: int | None = None
    settled: bool | None = None
    state: Any = None
    batchable: bool | None = None


class DetachFrame(NamedTuple):
    """Detaches a link."""

    handle: int | None = None
    closed: bool | None = None
    error: Any = None


class EndFrame(NamedTuple):
    """Ends a session."""

    error: Any = None


class CloseFrame(NamedTuple):
    """Closes a connection."""

    error: Any = None


class SaslInit(NamedTuple):
    """The client's choice of a mechanism."""

    mechanism: str | None = None
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslMechanisms(NamedTuple):
    """The mechanisms that a server offers."""

    mechanisms: Any = None


class SaslOutcome(NamedTuple):
    """How SASL ended: 0 is success."""

    code: int | None = None


Performative: TypeAlias = (
    OpenFrame
    | BeginFrame
    | AttachFrame
    | FlowFrame
    | TransferFrame
    | DispositionFrame
    | DetachFrame
    | EndFrame
    | CloseFrame
    | SaslInit
    | SaslMechanisms
    | SaslOutcome
)
_KINDS: dict[str, frozenset[type]] = {
    "int": frozenset((int,)),
    "bool": frozenset((bool,)),
    "bytes": frozenset((bytes,)),
    "str": frozenset((str, Symbol)),
    "described": frozenset((Described,)),
    "dict": frozenset((dict,)),
}
_ANY: frozenset[type] = frozenset()


def _shape(
    form: Callable[..., Performative], needed: int, *kinds: str
) -> tuple[Callable[..., Performative], int, tuple[frozenset[type], ...]]:
    return form, needed, tuple(_KINDS.get(kind, _ANY) for kind in kinds)


#: By code: the form, how many fields must be there, and the type of each field.
_SHAPES = {
    OPEN: _shape(OpenFrame, 1, "str", "str", "int", "int", "int"),
    BEGIN: _shape(BeginFrame, 4, "int", "int", "int", "int", "int"),
    ATTACH: _shape(
        AttachFrame, 3, "str", "int", "bool", "int", "int", "described", "described", "any", "bool", "int", "int", "any", "any", "dict"
    ),
    FLOW: _shape(FlowFrame, 4, "int", "int", "int", "int", "int", "int", "int", "int", "bool", "bool"),
    TRANSFER: _shape(TransferFrame, 1, "int", "int", "bytes", "int", "bool", "bool", "int", "any", "bool", "bool", "bool"),
    DISPOSITION: _shape(DispositionFrame, 2, "bool", "int", "int", "bool", "described", "bool"),
    DETACH: _shape(DetachFrame, 1, "int", "bool", "any"),
    END: _shape(EndFrame, 0, "any"),
    CLOSE: _shape(CloseFrame, 0, "any"),
    SASL_INIT: _shape(SaslInit, 1, "str", "bytes", "str"),
    SASL_MECHANISMS: _shape(SaslMechanisms, 1, "any"),
    SASL_OUTCOME: _shape(SaslOutcome, 1, "int"),
}
_OPTIONAL = {(BEGIN, 0), (FLOW, 0)}  #: fields among those that must be there which may be null all the same


def read(data: bytes, start: int, end: int) -> tuple[Performative, int]:
    """The performative of a frame whose body stands from `start` to `end`, and where its payload begins. Raises BadEncoding."""
    if data[start : start + 2] != b"\x00\x53" or start + 3 >= end:
        raise BadEncoding("a frame begins with no performative")
    code = data[start + 2]
    shape = _SHAPES.get(code)
    if shape is None:
        raise BadEncoding(f"no performative that is taken here has the code 0x{code:02x}")
    fields, position = decode_plain(data, start + 3)
    if position > end or type(fields) is not list:
        raise BadEncoding("a performative is longer than its frame")
    form, needed, kinds = shape
    for value, kind in zip(fields, kinds, strict=False):
        if value is not None and kind and type(value) not in kind:
            raise BadEncoding(f"a field of performative 0x{code:02x} has the wrong type")
    if len(fields) < needed or any(fields[place] is None and (code, place) not in _OPTIONAL for place in range(needed)):
        raise BadEncoding(f"performative 0x{code:02x} lacks a field that must be there")
    if code == DISPOSITION and len(fields) > 4:
        fields[4] = _typed_state(data, start + 3, fields[4])
    return form(*fields[: len(kinds)]), position


def _typed_state(data: bytes, position: int, plain: Described | None) -> Described | None:
    """The state with the AMQP types of what stands in it, for they may become properties of a message."""
    if plain is None or not plain.value:
        return plain
    found: Described = decode(raw_items(data, *list_items(data, position)[:2])[4])[0]
    return found
