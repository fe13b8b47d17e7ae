"""Loads the app, reports its functions to the host, and runs those that the host asks for, many at once."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from typing import Protocol

from . import logs, runtime_engine, sdk_engine, starts
from .crashpoints import WorkerCrashPoint, passed
from .failure import LoadFailed, describe
from .wire import Json, Wire


class Engine(Protocol):
    """What loads an app and runs its functions."""

    #: Name and version, for people.
    title: str

    async def load(self, directory: str) -> list[Json]:
        """Load the app; the list has `{name, bindings}` for each function. Raises LoadFailed."""

    async def invoke(self, order: Json) -> Json:
        """Run one function and return its `done` message."""

    def invocation(self) -> str | None:
        """The invocation that the calling code belongs to."""


async def serve(wire: Wire) -> None:
    """Serve the host until it closes the connection, which ends the process."""
    loop = asyncio.get_running_loop()
    wire.end_with_host()
    init, *orders = _first(wire)
    engine = await _begin(wire, init)
    running: set[asyncio.Task[None]] = set()

    def start(order: Json) -> None:
        task = loop.create_task(_run(engine, wire, order))
        running.add(task)
        task.add_done_callback(running.discard)

    def take() -> None:
        for order in wire.receive():
            start(order)

    for order in orders:
        start(order)
    loop.add_reader(wire.incoming, take)
    await loop.create_future()


def _first(wire: Wire) -> list[Json]:
    """The messages up to the one that says which app to load. Nothing else runs yet, so waiting may hold the event loop."""
    while not (messages := wire.receive()):
        pass
    return messages


async def _begin(wire: Wire, init: Json) -> Engine:
    """Load the app that `init` names and report its functions. An app that cannot be loaded ends the process."""
    passed(WorkerCrashPoint.STARTED_NOT_LOADED)
    directory = init["directory"]
    os.chdir(directory)
    sys.path.insert(0, directory)
    by_files = init.get("functions")  # of the model v1, which the runtime library for v2 does not know
    with_runtime = by_files is None and runtime_engine.available()
    engine: Engine = runtime_engine.RuntimeEngine() if with_runtime else sdk_engine.SdkEngine(by_files)
    logs.send_through(wire, engine.invocation)
    hello: Json = {"op": "hello", "engine": engine.title, "language": f"Python {platform.python_version()}"}
    try:
        wire.send({**hello, "ok": True, "functions": await engine.load(directory)})
    except LoadFailed as failure:
        wire.send({**hello, "ok": False, "error": failure.error})
        raise SystemExit(1) from None
    return engine


async def _run(engine: Engine, wire: Wire, order: Json) -> None:
    passed(WorkerCrashPoint.TAKEN_NOT_RUN)
    try:
        done = await engine.invoke(order)
    except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as leaving:  # of one function, which must not end the others
        done = starts.InvocationStart(None).failed(order["id"], describe(leaving))
    logs.end_line()
    passed(WorkerCrashPoint.RAN_NOT_ANSWERED)
    wire.send(done)
