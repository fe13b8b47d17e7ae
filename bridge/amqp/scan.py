"""Finds where AMQP 1.0 values begin and end, without reading them. Depth and count are bounded."""

from __future__ import annotations

import struct

DEEPEST = 16  #: how many compound values may stand within each other
MOST = 65_536  #: how many items a list, map or array may have
_FIXED = {4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16}  #: bytes of a value, by the upper half of its code
_U32 = struct.Struct(">I").unpack_from


class BadEncoding(ValueError):
    """The bytes are not what the standard allows, or more than is read here."""


def skip(data: bytes, position: int) -> int:
    """The position behind the value, which is not read."""
    try:
        end = _skip(data, position, DEEPEST)
    except (IndexError, struct.error):
        raise BadEncoding("a value is cut off") from None
    if end > len(data):
        raise BadEncoding("a value is cut off")
    return end


def _skip(data: bytes, position: int, depth: int) -> int:
    code = data[position]
    if code == 0:
        if not depth:
            raise BadEncoding("values are nested too deeply")
        return _skip(data, _skip(data, position + 1, depth - 1), depth - 1)
    upper = code >> 4
    if upper in _FIXED:
        return position + 1 + _FIXED[upper]
    if upper in (0xA, 0xC, 0xE):
        return int(position + 2 + data[position + 1])
    if upper in (0xB, 0xD, 0xF):
        return int(position + 5 + _U32(data, position + 1)[0])
    raise BadEncoding(f"no type has the code 0x{code:02x}")


def list_items(data: bytes, position: int) -> tuple[int, int, int]:
    """Of the list or map at the position: where its first item is, how many there are, and where it ends."""
    try:
        code = data[position]
        if code == 0x45:
            return position + 1, 0, position + 1
        if code in (0xC0, 0xC1):
            start, count, end = position + 3, data[position + 2], position + 2 + data[position + 1]
        elif code in (0xD0, 0xD1):
            start, count, end = position + 9, _U32(data, position + 5)[0], position + 5 + _U32(data, position + 1)[0]
        else:
            raise BadEncoding(f"a list or map was expected, and not the code 0x{code:02x}")
    except (IndexError, struct.error):
        raise BadEncoding("a list or map is cut off") from None
    if end > len(data) or start > end or count > min(MOST, end - start):
        raise BadEncoding("a list or map is cut off, or has too many items")
    return start, count, end


def raw_items(data: bytes, position: int, count: int) -> list[bytes]:
    """The items from the position on, each as it is encoded."""
    items = []
    for _ in range(count):
        end = skip(data, position)
        items.append(data[position:end])
        position = end
    return items
