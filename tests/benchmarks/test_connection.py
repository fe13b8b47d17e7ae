from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.benchmarks.connection import Pool

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Server:
    """Answers each request; closes its connections when told."""

    def __init__(self) -> None:
        self.connections: list[asyncio.StreamWriter] = []
        self.answers = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            if not self.answers:
                break
            writer.write(ANSWER)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Pool]]:
    own = Server()
    async with await asyncio.start_server(own.serve, "127.0.0.1", 0) as listener:
        yield own, Pool("127.0.0.1", listener.sockets[0].getsockname()[1])
        for writer in own.connections:
            writer.close()


async def test_exchanges_one_after_the_other_share_a_connection(server: tuple[Server, Pool]) -> None:
    own, pool = server
    assert [await pool.exchange(REQUEST) for _ in range(3)] == [(200, b"hello")] * 3
    assert len(own.connections) == 1


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(server: tuple[Server, Pool]) -> None:
    own, pool = server
    await pool.exchange(REQUEST)
    own.connections[0].close()
    await own.connections[0].wait_closed()
    await asyncio.sleep(0.05)
    assert await pool.exchange(REQUEST) == (200, b"hello")


async def test_a_connection_that_is_lost_before_the_answer_is_told(server: tuple[Server, Pool]) -> None:
    own, pool = server
    own.answers = False
    with pytest.raises(ConnectionError, match="lost"):
        await pool.exchange(REQUEST)
