"""What the requests made a Redis do: how often the sidecar published, wrote and read there, whatever it was asked in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

#: What Dapr's Redis components send for each message or key. A state write with an etag is a script that writes one hash.
COMMANDS = {
    "publishes": ("xadd",),
    "deliveries": ("xack",),
    "state writes": ("eval", "evalsha"),
    "state reads": ("hgetall", "hmget"),
}


async def commands(port: int) -> dict[str, int]:
    """How often each command was called so far in the Redis on the loopback port. Raises OSError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"INFO commandstats\r\n")
        length = int((await reader.readline())[1:])
        return read((await reader.readexactly(length)).decode())
    finally:
        writer.close()


def read(told: str) -> dict[str, int]:
    """The calls of each command, from the section `commandstats` of INFO."""
    lines = (line.removeprefix("cmdstat_").partition(":") for line in told.splitlines() if line.startswith("cmdstat_"))
    return {name: int(fields.partition("calls=")[2].partition(",")[0]) for name, _, fields in lines}


def per_request(before: Mapping[str, int], after: Mapping[str, int], requests: int) -> dict[str, float]:
    """Publishes, deliveries, state writes and state reads that one request cost on average."""
    called = {name: calls - before.get(name, 0) for name, calls in after.items()}
    return {kind: sum(called.get(name, 0) for name in names) / requests for kind, names in COMMANDS.items()}
