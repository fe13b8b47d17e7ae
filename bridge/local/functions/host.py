"""The host: every function app of a folder, from start to drain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local.functions import apps, functionapp, interpreter
from bridge.local.functions.functionapp import Plan, Running
from bridge.local.functions.keys import KeyFile
from bridge.local.functions.logfile import LogFile
from bridge.local.functions.options import Options
from bridge.local.functions.queuedoor import QueueDoor

log = logging.getLogger("bridge.functions")

_DRAIN_SECONDS = 10.0  #: how long functions may go on after the host was told to stop
_LOOK_SECONDS = 0.25  #: between two looks at what has ended


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT, or until the parent is gone. Raises ConfigurationError."""
    stopping = _told_to_stop(options.parent)
    if options.log is not None:
        _keep_small(LogFile(options.log))
    plans = _plans(options.apps, interpreter.for_apps(options.python), options.host_json)
    door, file = QueueDoor(options.data_dir), KeyFile(options.data_dir)
    async with AsyncExitStack() as stack:
        stack.callback(file.remove)
        starting = asyncio.create_task(_start(stack, plans, options.port, door, file))
        if not await _ended_first(starting, stopping):
            return
        connection = asyncio.create_task(door.run())
        await stopping.wait()
        file.remove()  # whoever looks for an app from here on waits for the next host
        await _drain(starting.result())
        connection.cancel()
        with suppress(asyncio.CancelledError):
            await connection


async def _start(stack: AsyncExitStack, plans: Sequence[Plan], port: int, door: QueueDoor, file: KeyFile) -> list[Running]:
    """Start the apps one after the other; `stack` stops them."""
    started = []
    for index, plan in enumerate(plans):
        app = await stack.enter_async_context(functionapp.running(plan, port + index if port else 0, door))
        for pump in app.pumps:
            pump.start()
        file.add(plan.app.name, app.entry)
        log.info("%s is ready at %s (%s).", plan.app.name, app.entry["url"], app.entry["worker"])
        started.append(app)
    return started


async def _ended_first(starting: asyncio.Task[list[Running]], stopping: asyncio.Event) -> bool:
    """Whether the start ended before the host was told to stop. Raises what the start raised."""
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.wait({starting})
    return False


def _plans(folder: Path, python: str, host_json: Path) -> list[Plan]:
    """The plans of all apps. Raises ConfigurationError with the problems of all of them."""
    plans, problems = [], []
    for app in apps.discover(folder):
        try:
            plans.append(functionapp.plan(app, python, host_json, os.environ))
        except ConfigurationError as refused:
            problems += refused.problems
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
    return plans


async def _drain(started: Sequence[Running]) -> None:
    """Feed nothing more, and let what runs go on for a while."""
    for app in started:
        app.drain()
    log.info("Stopping; functions that run have %g s to end.", _DRAIN_SECONDS)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while any(app.busy for app in started):  # noqa: ASYNC110 - looking is simpler than counting down in three places
                await asyncio.sleep(_LOOK_SECONDS)


def _told_to_stop(parent: int) -> asyncio.Event:
    """An event that is set by a signal, or by the end of the process `parent`."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if parent:
        _watch(parent, os.getppid(), stopping)
    return stopping


def _watch(parent: int, own: int, stopping: asyncio.Event) -> None:
    """Look again and again whether `parent` is gone; `own` is the parent this process was started by."""
    if _gone(parent) or (parent == own and os.getppid() != own):
        stopping.set()
    else:
        asyncio.get_running_loop().call_later(_LOOK_SECONDS, _watch, parent, own, stopping)


def _keep_small(log: LogFile) -> None:
    asyncio.get_running_loop().call_later(_LOOK_SECONDS, _keep_small, log)
    log.keep_small()


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
