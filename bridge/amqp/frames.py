"""Frames of AMQP 1.0 as they are written (part 2 of the standard)."""

from __future__ import annotations

import struct
from typing import Any

from bridge.amqp.amqptypes import Array, UInt, ULong, UShort
from bridge.amqp.encode import NULL, composite, compound, encode, uint
from bridge.amqp.performatives import (
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    END,
    FLOW,
    OPEN,
    ROLE_RECEIVER,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
    AttachFrame,
)

AMQP_HEADER, SASL_HEADER = b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00"
AMQP, SASL = 0, 1  #: types of frames
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
LARGEST_FRAME = 65_536  #: bytes of one frame that is read here; the number that Service Bus names
SMALLEST_FRAME = 512  #: bytes; the standard lets nobody ask for less
_HEADER = struct.Struct(">IBBH")


def frame(channel: int, body: bytes, kind: int = AMQP) -> bytes:
    """One frame."""
    return _HEADER.pack(len(body) + 8, 2, kind, channel) + body


def mechanisms(names: list[str]) -> bytes:
    """The frame that offers SASL mechanisms."""
    return frame(0, composite(SASL_MECHANISMS, Array(0xB3, names)), SASL)


def outcome(code: int) -> bytes:
    """The frame that ends SASL: 0 is success, 1 refused credentials."""
    return frame(0, bytes((0, 0x53, SASL_OUTCOME)) + compound(0xC0, [bytes((0x50, code))]), SASL)


def opened(container_id: str, channel_max: int, idle_time_out: int) -> bytes:
    """The answer to open. `idle_time_out` is in milliseconds."""
    return frame(0, composite(OPEN, container_id, None, UInt(LARGEST_FRAME), UShort(channel_max), UInt(idle_time_out)))


def begun(channel: int, incoming_window: int, handle_max: int) -> bytes:
    """The answer to begin."""
    return frame(channel, composite(BEGIN, UShort(channel), UInt(0), UInt(incoming_window), UInt(2**31 - 1), UInt(handle_max)))


def attached(  # noqa: PLR0913 - the fields of the performative
    channel: int,
    asked: AttachFrame,
    *,
    source: bytes,
    target: bytes,
    max_message_size: int | None = None,
    properties: dict[Any, Any] | None = None,
) -> bytes:
    """The answer to attach. `source` and `target` are encoded already, as they came or changed."""
    count = UInt(0) if asked.role is ROLE_RECEIVER else None
    items = [
        encode(asked.name),
        uint(asked.handle or 0),
        encode(not asked.role),
        NULL if asked.snd_settle_mode is None else bytes((0x50, asked.snd_settle_mode & 0xFF)),
        NULL if asked.rcv_settle_mode is None else bytes((0x50, asked.rcv_settle_mode & 0xFF)),
        source,
        target,
        NULL,
        NULL,
        encode(count),
        encode(None if max_message_size is None else ULong(max_message_size)),
        NULL,
        NULL,
        encode(properties),
    ]
    while items[-1] == NULL:
        items.pop()
    return frame(channel, bytes((0, 0x53, ATTACH)) + compound(0xC0, items))


def flow(channel: int, windows: tuple[int, int, int], link: tuple[int, int, int] | None = None, *, drain: bool = False) -> bytes:
    """A flow. `windows` are next incoming id, incoming window and next outgoing id; `link` is handle, delivery count and credit."""
    incoming_id, window, outgoing_id = windows
    items = [uint(incoming_id), uint(window), uint(outgoing_id), uint(2**31 - 1)]
    if link is not None:
        items += [*map(uint, link), b"\x43", b"\x41" if drain else b"\x42"]
    return frame(channel, bytes((0, 0x53, FLOW)) + compound(0xC0, items))


_FIRST_TRANSFER = struct.Struct(">IBBH3sBBBBIBIBB16sBBB")
_TRANSFER_CODE = bytes((0, 0x53, TRANSFER))
_FIRST_LENGTH, _NEXT_LENGTH = _FIRST_TRANSFER.size, 8 + 3 + 3 + 5 + 5


def transfers(  # noqa: PLR0913 - the fields of the performative, on the hot path
    channel: int, handle: int, delivery_id: int, tag: bytes, payload: bytes, *, settled: bool, largest: int
) -> list[bytes]:
    """The frames of one delivery with a tag of 16 bytes, each of `largest` bytes at most."""
    room = largest - _FIRST_LENGTH
    more = len(payload) > room
    chunk = payload[:room] if more else payload
    size = _FIRST_LENGTH + len(chunk)
    first = _FIRST_TRANSFER.pack(
        size, 2, AMQP, channel, _TRANSFER_CODE, 0xC0, 32, 6, 0x70, handle, 0x70, delivery_id,
        0xA0, 16, tag, 0x43, 0x41 if settled else 0x42, 0x41 if more else 0x42,
    )  # fmt: skip
    frames = [first + chunk]
    position, room = room, largest - _NEXT_LENGTH
    while more:
        more = len(payload) > position + room
        items = [b"\x70" + handle.to_bytes(4, "big"), NULL, NULL, NULL, b"\x41" if settled else b"\x42", b"\x41" if more else b"\x42"]
        frames.append(frame(channel, _TRANSFER_CODE + compound(0xC0, items) + payload[position : position + room]))
        position += room
    return frames


_DISPOSITION = struct.Struct(">IBBH3sBBBBBIBIB")
_DISPOSITION_CODE = bytes((0, 0x53, DISPOSITION))


def disposition(  # noqa: PLR0913 - the fields of the performative
    channel: int, role: bool, first: int, last: int, state: bytes, *, settled: bool = True
) -> bytes:
    """A disposition of the deliveries from `first` to `last`, by default a settled one."""
    final = 0x41 if settled else 0x42
    length = 13 + len(state)
    if length > 255:
        items = [b"\x41" if role else b"\x42", uint(first), uint(last), bytes((final,)), state]
        return frame(channel, _DISPOSITION_CODE + compound(0xC0, items))
    head = _DISPOSITION.pack(
        _DISPOSITION.size + len(state), 2, AMQP, channel, _DISPOSITION_CODE, 0xC0, length, 5,
        0x41 if role else 0x42, 0x70, first, 0x70, last, final,
    )  # fmt: skip
    return head + state


def detached(channel: int, handle: int, error: bytes = NULL) -> bytes:
    """A detach that closes the link."""
    return frame(channel, bytes((0, 0x53, DETACH)) + compound(0xC0, [uint(handle), b"\x41", error]))


def ended(channel: int, error: bytes = NULL) -> bytes:
    """The end of a session."""
    return frame(channel, bytes((0, 0x53, END)) + compound(0xC0, [error]))


def closed(error: bytes = NULL) -> bytes:
    """The close of the connection."""
    return frame(0, bytes((0, 0x53, CLOSE)) + compound(0xC0, [error]))
