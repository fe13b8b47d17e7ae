"""Parses server-sent events (HTML standard, section 9.2.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator


async def read(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of every event in a stream. Comments are skipped."""
    data: list[str] = []
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            field, _, value = line.rstrip(b"\r").decode().partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            elif not field and not value and data:
                yield "\n".join(data)
                data.clear()
