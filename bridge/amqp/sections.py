"""The sections of a message (part 3.2 of the AMQP standard): taken apart and put together without decoding bodies.

Items are copied as they came, so that all types survive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.amqp.decode import decode, decode_plain
from bridge.amqp.scan import BadEncoding, skip

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = 0x70, 0x71, 0x72, 0x73, 0x74
DATA, SEQUENCE, VALUE, FOOTER = 0x75, 0x76, 0x77, 0x78
_NAMES = {
    f"amqp:{name}:{form}": code
    for code, (name, form) in enumerate(
        (
            ("header", "list"),
            ("delivery-annotations", "map"),
            ("message-annotations", "map"),
            ("properties", "list"),
            ("application-properties", "map"),
            ("data", "binary"),
            ("amqp-sequence", "list"),
            ("amqp-value", "*"),
            ("footer", "map"),
        ),
        HEADER,
    )
}


class Section:
    """Where one section of a message stands: its code, its start, the start of its value, its end."""

    __slots__ = ("code", "end", "start", "value")

    def __init__(self, code: int, start: int, value: int, end: int) -> None:
        self.code, self.start, self.value, self.end = code, start, value, end


def split(message: bytes) -> Iterator[Section]:
    """The sections in their order. Raises BadEncoding for what is no message."""
    position, last = 0, HEADER
    while position < len(message):
        start = position
        if message[position : position + 2] == b"\x00\x53" and position + 2 < len(message):
            code, position = message[position + 2], position + 3
        else:
            code, position = _descriptor(message, position)
        if not last <= code <= FOOTER or (code == last and code not in (DATA, SEQUENCE, HEADER)):
            raise BadEncoding(f"a section 0x{code:02x} cannot stand here")
        end = skip(message, position)
        yield Section(code, start, position, end)
        last, position = code, end


def _descriptor(message: bytes, position: int) -> tuple[int, int]:
    if message[position] != 0:
        raise BadEncoding("a section was expected")
    descriptor, position = decode_plain(message, position + 1)
    code = _NAMES.get(descriptor) if isinstance(descriptor, str) else descriptor
    if not isinstance(code, int):
        raise BadEncoding(f"no section is named {descriptor!r}")
    return code, position


class Parts:
    """A message taken apart: sections by their code; of several data or sequence sections, all."""

    __slots__ = ("all", "bodies", "message", "sections")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.sections: dict[int, Section] = {}
        self.bodies: list[Section] = []
        self.all = list(split(message))
        for section in self.all:
            if DATA <= section.code <= VALUE:
                self.bodies.append(section)
            else:
                self.sections[section.code] = section

    def raw(self, code: int) -> bytes:
        """The section as it stands in the message, with its descriptor; nothing if there is none."""
        found = self.sections.get(code)
        return self.message[found.start : found.end] if found else b""

    def fields(self, code: int) -> list[Any]:
        """The items of the section's list, with whole numbers as int."""
        found = self.sections.get(code)
        if found is None:
            return []
        items, _ = decode_plain(self.message, found.value)
        if not isinstance(items, list):
            raise BadEncoding(f"the section 0x{code:02x} holds no list")
        return items

    def mapping(self, code: int, *, typed: bool = False) -> dict[Any, Any]:
        """The entries of the section's map."""
        found = self.sections.get(code)
        if found is None:
            return {}
        items, _ = (decode if typed else decode_plain)(self.message, found.value)
        if not isinstance(items, dict):
            raise BadEncoding(f"the section 0x{code:02x} holds no map")
        return items

    def value(self) -> Any:
        """What a value section holds, with its AMQP types; None without one."""
        found = next((section for section in self.bodies if section.code == VALUE), None)
        return decode(self.message, found.value)[0] if found else None

    def body(self) -> bytes:
        """All data sections together, or the bytes of a value section that holds text or binary."""
        found = [decode_plain(self.message, section.value)[0] for section in self.bodies if section.code == DATA]
        if not found and self.bodies and self.bodies[0].code == VALUE and self.message[self.bodies[0].value] >> 4 in (0xA, 0xB):
            found = [decode_plain(self.message, self.bodies[0].value)[0]]
        return b"".join(part.encode() if isinstance(part, str) else part for part in found if isinstance(part, str | bytes))
