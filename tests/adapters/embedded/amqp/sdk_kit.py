"""The clients of azure-servicebus, sync and async, behind one shape, so that a test is written once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from azure.servicebus import ServiceBusClient
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient

KEY_NAME, KEY = "RootManageSharedAccessKey", "a-key-for-tests"
Connect = Callable[..., contextlib.AbstractAsyncContextManager[Any]]
_PLAIN = (str, bytes, int, float, list, tuple, dict, type(None))


def connection_string(port: int, key: str = KEY) -> str:
    return f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={key};UseDevelopmentEmulator=true;"


class Awaited:
    """A sync client whose methods are awaited; each runs in a thread."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return Awaited(value) if name == "session" else value
        if isinstance(self._target, ServiceBusClient) and name.startswith("get_"):
            return lambda *args, **kwargs: Awaited(value(*args, **kwargs))

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(value, *args, **kwargs)

        return call

    async def __aenter__(self) -> Awaited:
        await asyncio.to_thread(self._target.__enter__)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._target.__exit__, *error)


def brief(client: Any) -> Any:
    """The client without threads that keep connections alive: each would make the end of its receiver or sender wait for a second."""
    for name in ("get_queue_receiver", "get_queue_sender", "get_topic_sender", "get_subscription_receiver"):
        setattr(client, name, partial(getattr(client, name), keep_alive=None))
    return client


@contextlib.asynccontextmanager
async def connect_sync(port: int, *, key: str = KEY, **options: Any) -> AsyncIterator[Any]:
    client = ServiceBusClient.from_connection_string(connection_string(port, key), retry_total=0, **options)
    async with Awaited(brief(client)) as found:
        yield found


@contextlib.asynccontextmanager
async def connect_async(port: int, *, key: str = KEY, **options: Any) -> AsyncIterator[Any]:
    async with AsyncServiceBusClient.from_connection_string(connection_string(port, key), retry_total=0, **options) as found:
        yield brief(found)
