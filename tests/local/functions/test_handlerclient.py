"""Connections to a custom handler are kept, and a handler that closes one costs no call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest

from bridge.local.functions.handlerclient import HandlerBroke, HandlerClient

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[None]]
"""What a handler does with a request: the number of its connection, its bytes, and where the answer goes."""


@asynccontextmanager
async def handler(answer: Answer) -> AsyncIterator[tuple[HandlerClient, list[int]]]:
    """A client of a handler, and the number of the connection that each request came by."""
    connections, requests, serving = 0, list[int](), list[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        own = connections
        serving.append(cast("asyncio.Task[None]", asyncio.current_task()))
        while not writer.is_closing() and (data := await reader.read(65_536)):
            requests.append(own)
            await answer(own, data, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HandlerClient(server.sockets[0].getsockname()[1])
    try:
        yield client, requests
    finally:
        client.close()
        server.close()
        await asyncio.gather(*serving)


async def ask(client: HandlerClient, body: bytes = b"", **headers: str) -> int:
    return (await client.ask("POST" if body else "GET", "/F", [("Content-Length", str(len(body))), *headers.items()], body)).status


async def test_a_connection_is_kept() -> None:
    async def answer(_: int, __: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async with handler(answer) as (client, requests):
        assert [await ask(client, b"x") for _ in range(3)] == [200] * 3
        assert requests == [1, 1, 1]


async def test_a_connection_whose_end_was_asked_for_is_not_kept() -> None:
    async def answer(_: int, __: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async with handler(answer) as (client, requests):
        assert [await ask(client, b"x", Connection="close") for _ in range(3)] == [200] * 3
        assert requests == [1, 2, 3]


async def test_a_connection_that_the_handler_has_closed_meanwhile_is_not_used() -> None:
    async def answer(_: int, __: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()

    async with handler(answer) as (client, requests):
        for _ in range(50):
            assert await ask(client, b"x") == 200
        assert requests == list(range(1, 51))


def closing_the_second_request() -> Answer:
    asked = 0

    async def answer(_: int, __: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            writer.close()
        else:
            writer.write(OK)

    return answer


async def test_a_request_without_a_body_is_asked_again_if_its_kept_connection_was_closed_before_the_answer() -> None:
    async with handler(closing_the_second_request()) as (client, requests):
        assert [await ask(client), await ask(client)] == [200, 200]
        assert requests == [1, 1, 2]


async def test_a_request_with_a_body_is_never_repeated() -> None:
    async with handler(closing_the_second_request()) as (client, requests):
        assert await ask(client, b"x") == 200
        with pytest.raises(HandlerBroke, match="closed the connection"):
            await ask(client, b"x")
        assert requests == [1, 1]


async def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    async def answer(_: int, __: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK if len(requests) == 1 else OK[:20])
        if len(requests) > 1:
            writer.close()

    async with handler(answer) as (client, requests):
        assert await ask(client) == 200
        with pytest.raises(HandlerBroke):
            await ask(client)
        assert requests == [1, 1]
