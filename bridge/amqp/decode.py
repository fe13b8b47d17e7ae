"""Reads AMQP 1.0 types from bytes (part 1 of the standard).

Every function takes bytes and a position, and returns what it read and the position behind it. Whatever the bytes are, the only error
raised is `BadEncoding`. Depth and count are bounded, so what is read takes memory in proportion to the bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from bridge.amqp.amqptypes import (
    EPOCH,
    TICKS_BEFORE_1970,
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
    time_of,
)
from bridge.amqp.decimals import decode_decimal
from bridge.amqp.scan import DEEPEST, MOST, BadEncoding, list_items

Read: TypeAlias = tuple[Any, int]
Reader: TypeAlias = Callable[[bytes, int, int], Read]
_U16, _U32, _U64 = struct.Struct(">H").unpack_from, struct.Struct(">I").unpack_from, struct.Struct(">Q").unpack_from
_I8, _I16, _I32, _I64 = (struct.Struct(f">{code}").unpack_from for code in "bhiq")
_F32, _F64 = struct.Struct(">f").unpack_from, struct.Struct(">d").unpack_from


def decode(data: bytes, position: int = 0) -> Read:
    """The value at the position, with its AMQP type kept in subclasses of int, float, str and datetime."""
    return _guarded(_TYPED, data, position)


def decode_plain(data: bytes, position: int = 0) -> Read:
    """The value at the position, with all whole numbers as int: for what is looked at and not sent on."""
    return _guarded(_PLAIN, data, position)


def _guarded(table: list[Reader], data: bytes, position: int) -> Read:
    try:
        value, end = table[data[position]](data, position + 1, DEEPEST)
    except BadEncoding:
        raise
    except (IndexError, struct.error, ValueError, OverflowError):
        raise BadEncoding("a value is cut off, or its text is not UTF-8") from None
    if end > len(data):
        raise BadEncoding("a value is cut off")
    return value, end


def _unknown(code: int) -> Reader:
    def read(_data: bytes, _position: int, _depth: int) -> Read:
        raise BadEncoding(f"no type has the code 0x{code:02x}")

    return read


def _constant(value: Any) -> Reader:
    return lambda _data, position, _depth: (value, position)


def _number(unpack: Callable[[bytes, int], tuple[Any, ...]], width: int, make: Callable[[Any], Any] | None) -> Reader:
    if make is None:
        return lambda data, position, _depth: (unpack(data, position)[0], position + width)
    return lambda data, position, _depth: (make(unpack(data, position)[0]), position + width)


def _small(make: Callable[[int], Any] | None) -> Reader:
    if make is None:
        return lambda data, position, _depth: (data[position], position + 1)
    return lambda data, position, _depth: (make(data[position]), position + 1)


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise BadEncoding("a value is cut off")
    return data[start:end]


def _variable(wide: bool, make: Callable[[bytes], Any]) -> Reader:
    def read_short(data: bytes, position: int, _depth: int) -> Read:
        end = position + 1 + data[position]
        return make(_slice(data, position + 1, end)), end

    def read_long(data: bytes, position: int, _depth: int) -> Read:
        end = position + 4 + _U32(data, position)[0]
        return make(_slice(data, position + 4, end)), end

    return read_long if wide else read_short


def _fixed(width: int, make: Callable[[bytes], Any]) -> Reader:
    return lambda data, position, _depth: (make(_slice(data, position, position + width)), position + width)


def _character(raw: bytes) -> str:
    try:
        return Char(chr(int.from_bytes(raw, "big")))
    except (ValueError, OverflowError):
        raise BadEncoding("a character lies outside Unicode") from None


def _text(raw: bytes) -> str:
    return raw.decode()


def _symbol(raw: bytes) -> str:
    return Symbol(raw.decode())


def _described(table: list[Reader]) -> Reader:
    def read(data: bytes, position: int, depth: int) -> Read:
        if not depth:
            raise BadEncoding("values are nested too deeply")
        descriptor, position = table[data[position]](data, position + 1, depth - 1)
        value, position = table[data[position]](data, position + 1, depth - 1)
        return _known(descriptor, value), position

    return read


def _known(descriptor: Any, value: Any) -> Any:
    """What .NET describes: as a Python value where there is one."""
    if isinstance(descriptor, str):
        if descriptor == "com.microsoft:timespan" and isinstance(value, int):
            return timedelta(microseconds=value // 10)
        if descriptor == "com.microsoft:datetime-offset" and isinstance(value, int):
            moment = time_of((value - TICKS_BEFORE_1970) // 10_000)
            return DateTimeOffset.fromtimestamp(moment.timestamp(), EPOCH.tzinfo)
        if descriptor == "com.microsoft:uri" and isinstance(value, str):
            return Uri(value)
    return Described(descriptor, value)


def _items(table: list[Reader], data: bytes, position: int, depth: int) -> tuple[list[Any], int]:
    """`position` is that of the code, which tells a short list or map from a long one."""
    if not depth:
        raise BadEncoding("values are nested too deeply")
    position, count, end = list_items(data, position)
    found = []
    for _ in range(count):
        value, position = table[data[position]](data, position + 1, depth - 1)
        found.append(value)
    if position != end:
        raise BadEncoding("a list or map is longer or shorter than it says")
    return found, end


def _list(table: list[Reader]) -> Reader:
    return lambda data, position, depth: _items(table, data, position - 1, depth)


def _map(table: list[Reader]) -> Reader:
    def read(data: bytes, position: int, depth: int) -> Read:
        found, end = _items(table, data, position - 1, depth)
        if len(found) % 2:
            raise BadEncoding("a map has a key without a value")
        try:
            return dict(zip(found[::2], found[1::2], strict=True)), end
        except TypeError:
            raise BadEncoding("a map has a list or map as a key") from None

    return read


def _array(table: list[Reader], wide: bool) -> Reader:
    def read(data: bytes, position: int, depth: int) -> Read:
        if not depth:
            raise BadEncoding("values are nested too deeply")
        if wide:
            end, count, position = position + 4 + _U32(data, position)[0], _U32(data, position + 4)[0], position + 8
        else:
            end, count, position = position + 1 + data[position], data[position + 1], position + 2
        descriptor = None
        if data[position] == 0:
            descriptor, position = table[data[position + 1]](data, position + 2, depth - 1)
        reader, position = table[data[position]], position + 1
        if count > MOST or end > len(data) or reader is table[0]:
            raise BadEncoding("an array is cut off, or has too many items")
        found = []
        for _ in range(count):
            value, position = reader(data, position, depth - 1)
            found.append(value if descriptor is None else _known(descriptor, value))
        if position != end:
            raise BadEncoding("an array is longer or shorter than it says")
        return found, end

    return read


def _table(*, typed: bool) -> list[Reader]:
    """Readers by code. Where not `typed`, integers are plain ones."""

    def kind(make: Callable[[Any], Any]) -> Callable[[Any], Any] | None:
        return make if typed else None

    table = [_unknown(code) for code in range(256)]
    table[0x00] = _described(table)
    table[0x40], table[0x41], table[0x42] = _constant(None), _constant(True), _constant(False)
    table[0x43], table[0x44] = _constant(UInt(0) if typed else 0), _constant(ULong(0) if typed else 0)
    table[0x45] = table[0xC0] = table[0xD0] = _list(table)
    table[0x50], table[0x52], table[0x53] = _small(kind(UByte)), _small(kind(UInt)), _small(kind(ULong))
    table[0x51], table[0x54], table[0x55] = (_number(_I8, 1, kind(make)) for make in (Byte, Int, Long))
    table[0x56] = lambda data, position, _depth: (data[position] != 0, position + 1)
    table[0x60], table[0x61] = _number(_U16, 2, kind(UShort)), _number(_I16, 2, kind(Short))
    table[0x70], table[0x71], table[0x72] = _number(_U32, 4, kind(UInt)), _number(_I32, 4, kind(Int)), _number(_F32, 4, kind(Float))
    table[0x80], table[0x81], table[0x82] = _number(_U64, 8, kind(ULong)), _number(_I64, 8, kind(Long)), _number(_F64, 8, None)
    table[0x83] = _number(_I64, 8, time_of)
    table[0x73] = _fixed(4, _character)
    table[0x74], table[0x84], table[0x94] = (_fixed(width, decode_decimal) for width in (4, 8, 16))
    table[0x98] = _fixed(16, lambda raw: UUID(bytes=raw))
    for wide, upper in ((False, 0xA0), (True, 0xB0)):
        table[upper], table[upper + 1], table[upper + 3] = _variable(wide, bytes), _variable(wide, _text), _variable(wide, _symbol)
    table[0xC1] = table[0xD1] = _map(table)
    table[0xE0], table[0xF0] = _array(table, wide=False), _array(table, wide=True)
    return table


_TYPED, _PLAIN = _table(typed=True), _table(typed=False)
