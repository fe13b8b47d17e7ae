"""The worker's life: load the app, say hello, run what it is told to, many at once."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import threading
from typing import Protocol

from . import logs, runtime_engine, sdk_engine
from .crashpoints import CrashPoint, passed
from .failure import LoadFailed, describe
from .wire import Json, Wire


class Engine(Protocol):
    """What loads an app and runs its functions."""

    #: Name and version, for people.
    title: str

    async def load(self, directory: str) -> list[Json]:
        """Index the app: `{name, bindings}` a function. Raises LoadFailed."""

    async def invoke(self, order: Json) -> Json:
        """Run one function and return its `done` message."""

    def invocation(self) -> str | None:
        """The invocation that the calling code belongs to."""


async def serve(wire: Wire) -> None:
    """Answer the host until it closes the line, which ends the process."""
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[Json] = asyncio.Queue()

    def take(messages: list[Json]) -> None:
        for message in messages:
            orders.put_nowait(message)

    threading.Thread(target=wire.listen, args=(lambda messages: loop.call_soon_threadsafe(take, messages),), daemon=True).start()
    engine = await _begin(wire, await orders.get())
    running: set[asyncio.Task[None]] = set()
    while True:
        task = loop.create_task(_run(engine, wire, await orders.get()))
        running.add(task)
        task.add_done_callback(running.discard)


async def _begin(wire: Wire, init: Json) -> Engine:
    """Load the app in `init` and say hello. An app that cannot be loaded ends the process."""
    passed(CrashPoint.STARTED_NOT_LOADED)
    directory = init["directory"]
    os.chdir(directory)
    sys.path.insert(0, directory)
    engine: Engine = runtime_engine.RuntimeEngine() if runtime_engine.available() else sdk_engine.SdkEngine()
    logs.send_through(wire, engine.invocation)
    hello: Json = {"op": "hello", "engine": engine.title, "language": f"Python {platform.python_version()}"}
    try:
        wire.send({**hello, "ok": True, "functions": await engine.load(directory)})
    except LoadFailed as failure:
        wire.send({**hello, "ok": False, "error": failure.error})
        raise SystemExit(1) from None
    return engine


async def _run(engine: Engine, wire: Wire, order: Json) -> None:
    passed(CrashPoint.TAKEN_NOT_RUN)
    try:
        done = await engine.invoke(order)
    except SystemExit as leaving:  # sys.exit() in one function must not end the others
        done = {"op": "done", "id": order["id"], "ok": False, "error": describe(leaving)}
    sys.stdout.flush()  # a line that was begun belongs to this invocation
    passed(CrashPoint.RAN_NOT_ANSWERED)
    wire.send(done)
