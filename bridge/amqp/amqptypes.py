"""AMQP 1.0 types for which Python has no type of its own. Each is a subclass of what it compares with, and keeps its type when encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: .NET counts in ticks of 100 ns; this many lie between the year 1 and 1970.
TICKS_BEFORE_1970 = 621_355_968_000_000_000
TICKS_PER_SECOND = 10_000_000


class UByte(int):
    """An unsigned integer of 8 bits."""

    __slots__ = ()


class UShort(int):
    """An unsigned integer of 16 bits."""

    __slots__ = ()


class UInt(int):
    """An unsigned integer of 32 bits."""

    __slots__ = ()


class ULong(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


class Byte(int):
    """A signed integer of 8 bits."""

    __slots__ = ()


class Short(int):
    """A signed integer of 16 bits."""

    __slots__ = ()


class Int(int):
    """A signed integer of 32 bits."""

    __slots__ = ()


class Long(int):
    """A signed integer of 64 bits."""

    __slots__ = ()


class Float(float):
    """A floating point number of 32 bits."""

    __slots__ = ()


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class Symbol(str):
    """A name out of a fixed set, in ASCII."""

    __slots__ = ()


class Uri(str):
    """A .NET Uri: a string described by `com.microsoft:uri`."""

    __slots__ = ()


class DateTimeOffset(datetime):
    """A .NET DateTimeOffset: ticks in UTC described by `com.microsoft:datetime-offset`."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that gives it a meaning."""

    descriptor: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type, which is that of `code` in the encoding: 0x81 long, 0x83 timestamp, 0x98 uuid, 0xB1 string, 0xB3 symbol."""

    code: int
    items: Sequence[Any]


def milliseconds(time: datetime) -> int:
    """The time as AMQP counts it: milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def ticks(time: datetime) -> int:
    """The time as .NET counts it: 100 ns since the year 1."""
    return TICKS_BEFORE_1970 + milliseconds(time) * 10_000


def time_of(count: int) -> datetime:
    """The time of milliseconds since 1970; what lies outside the years 1 to 9999 becomes the nearest that Python can hold."""
    try:
        return EPOCH + timedelta(milliseconds=count)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if count > 0 else datetime.min.replace(tzinfo=UTC)
