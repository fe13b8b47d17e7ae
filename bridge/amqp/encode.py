"""Writes Python values as AMQP 1.0 types (part 1 of the standard), each in its shortest form."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from bridge.amqp.amqptypes import (
    Array,
    Byte,
    Char,
    DateTimeOffset,
    Described,
    Float,
    Int,
    Long,
    Short,
    Symbol,
    UByte,
    UInt,
    ULong,
    Uri,
    UShort,
    milliseconds,
    ticks,
)
from bridge.amqp.decimals import encode_decimal

_U16, _U32, _U64 = struct.Struct(">H").pack, struct.Struct(">I").pack, struct.Struct(">Q").pack
_I8, _I16, _I32, _I64 = (struct.Struct(f">{code}").pack for code in "bhiq")
_F32, _F64 = struct.Struct(">f").pack, struct.Struct(">d").pack
NULL, TRUE, FALSE = b"\x40", b"\x41", b"\x42"


def encode(value: Any) -> bytes:
    """One value. An `int` becomes an int of 32 bits where it fits, else one of 64. Raises TypeError, ValueError."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        encoder = next((found for kind, found in _ENCODERS.items() if isinstance(value, kind)), None)
    if encoder is None:
        raise TypeError(f"AMQP has no type for {type(value).__name__}")
    try:
        return encoder(value)
    except struct.error as fault:
        raise ValueError(f"{value!r} does not fit: {fault}") from None


def encode_list(items: Iterable[Any]) -> bytes:
    """A list."""
    return compound(0xC0, [encode(item) for item in items])


def compound(code: int, items: list[bytes]) -> bytes:
    """A list (0xC0) or map (0xC1) of items that are encoded already."""
    return enclosed(code, b"".join(items), len(items))


def enclosed(code: int, content: bytes, count: int) -> bytes:
    """A list (0xC0) or map (0xC1) of `count` items, whose bytes stand together in `content`."""
    if code == 0xC0 and not count:
        return b"\x45"
    if len(content) < 255 and count < 256:
        return bytes((code, len(content) + 1, count)) + content
    return bytes((code + 0x10,)) + _U32(len(content) + 4) + _U32(count) + content


def composite(code: int, *fields: Any) -> bytes:
    """A list described by a small number: performatives, states and sections are written so. Null fields at its end are left out."""
    items = [encode(field) for field in fields]
    while items and items[-1] == NULL:
        items.pop()
    return bytes((0x00, 0x53, code)) + compound(0xC0, items)


def uint(number: int) -> bytes:
    """An unsigned integer of 32 bits."""
    if not number:
        return b"\x43"
    return bytes((0x52, number)) if number < 256 else b"\x70" + _U32(number)


def ulong(number: int) -> bytes:
    """An unsigned integer of 64 bits."""
    if not number:
        return b"\x44"
    return bytes((0x53, number)) if number < 256 else b"\x80" + _U64(number)


def binary(data: bytes) -> bytes:
    """Bytes."""
    return (bytes((0xA0, len(data))) if len(data) < 256 else b"\xb0" + _U32(len(data))) + data


def text(value: str) -> bytes:
    """A string."""
    data = value.encode()
    return (bytes((0xA1, len(data))) if len(data) < 256 else b"\xb1" + _U32(len(data))) + data


def symbol(value: str) -> bytes:
    """A symbol."""
    data = value.encode()
    return (bytes((0xA3, len(data))) if len(data) < 256 else b"\xb3" + _U32(len(data))) + data


def timestamp(time: datetime) -> bytes:
    """A point in time."""
    return b"\x83" + _I64(milliseconds(time))


def long(number: int) -> bytes:
    """A signed integer of 64 bits."""
    return bytes((0x55, number & 0xFF)) if -128 <= number < 128 else b"\x81" + _I64(number)


def _int(number: int) -> bytes:
    return bytes((0x54, number & 0xFF)) if -128 <= number < 128 else b"\x71" + _I32(number)


def _whole(number: int) -> bytes:
    return _int(number) if -(2**31) <= number < 2**31 else long(number)


def _mapping(value: Mapping[Any, Any]) -> bytes:
    return compound(0xC1, [encode(part) for pair in value.items() for part in pair])


def _array(value: Array) -> bytes:
    content = b"".join(map(_ITEM[value.code], value.items))
    return b"\xf0" + _U32(len(content) + 5) + _U32(len(value.items)) + bytes((value.code,)) + content


def _described(value: Described) -> bytes:
    return b"\x00" + encode(value.descriptor) + encode(value.value)


def _dotnet(name: str, count: int) -> bytes:
    return b"\x00" + symbol(f"com.microsoft:{name}") + long(count)


def _wide(data: bytes) -> bytes:
    return _U32(len(data)) + data


#: Items of arrays, by the code that stands once for all of them.
_ITEM: Mapping[int, Callable[[Any], bytes]] = {
    0x81: _I64,
    0x83: lambda time: _I64(milliseconds(time)),
    0x98: lambda value: value.bytes,
    0xB1: lambda value: _wide(value.encode()),
    0xB3: lambda value: _wide(value.encode()),
}
#: In the order in which a subclass is looked for.
_ENCODERS: Mapping[type, Callable[[Any], bytes]] = {
    type(None): lambda _: NULL,
    bool: lambda value: TRUE if value else FALSE,
    UByte: lambda value: bytes((0x50, value)),
    UShort: lambda value: b"\x60" + _U16(value),
    UInt: uint,
    ULong: ulong,
    Byte: lambda value: b"\x51" + _I8(value),
    Short: lambda value: b"\x61" + _I16(value),
    Int: _int,
    Long: long,
    int: _whole,
    Float: lambda value: b"\x72" + _F32(value),
    float: lambda value: b"\x82" + _F64(value),
    Decimal: lambda value: b"\x94" + encode_decimal(value),
    Char: lambda value: b"\x73" + _U32(ord(value)),
    Symbol: symbol,
    Uri: lambda value: b"\x00" + symbol("com.microsoft:uri") + text(value),
    str: text,
    bytes: binary,
    UUID: lambda value: b"\x98" + value.bytes,
    DateTimeOffset: lambda value: _dotnet("datetime-offset", ticks(value)),
    datetime: timestamp,
    timedelta: lambda value: _dotnet("timespan", value // timedelta(microseconds=1) * 10),
    Described: _described,
    Array: _array,
    list: encode_list,
    tuple: encode_list,
    dict: _mapping,
}
