"""What the tests of AMQP connections hear and send."""

from __future__ import annotations

import asyncio
from typing import Any

from bridge.amqp.amqptypes import Described, ULong
from bridge.amqp.performatives import DISPOSITION
from tests.adapters.embedded.amqp.raw_client import ACCEPTED, RawClient, Said, message


def codes(said: list[Said]) -> list[int]:
    return [each.code for each in said]


def state(code: int, *fields: Any) -> Described:
    return Described(ULong(code), list(fields))


async def heard(client: RawClient, count: int) -> list[Said]:
    """The next frames, as many as are asked for."""
    found: list[Said] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += client.heard()
            await asyncio.sleep(0.01)
    return found


async def send(client: RawClient, *bodies: bytes, entity: str = "plain") -> None:
    handle, _ = client.attach_sender(entity)
    for number, body in enumerate(bodies):
        client.transfer(handle, number, message(body))
    said = await client.settled()
    assert [each.fields[4].descriptor for each in said if each.code == DISPOSITION] == [ACCEPTED] * len(bodies)
