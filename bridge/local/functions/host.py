"""The functions host runs every function app of a folder, from the start until the last function has ended."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress

from bridge.errors import ConfigurationError
from bridge.local.functions import apps, functionapp, offlinepage
from bridge.local.functions.adminpages import AppState
from bridge.local.functions.applogs import AppLogs
from bridge.local.functions.apps import AppFolder
from bridge.local.functions.functionapp import AppConfiguration, RunningApp
from bridge.local.functions.keys import KeyFile
from bridge.local.functions.logfile import LogFile
from bridge.local.functions.options import Options
from bridge.local.functions.reports import BridgeLink
from bridge.local.functions.servicebus.connections import BrokerInSettings
from bridge.local.functions.servicebus.feeds import AppFeeds
from bridge.local.functions.servicebus.retrying import RetryPolicy
from bridge.local.keeper import exists

log = logging.getLogger("bridge.functions")

Configured = tuple[AppFolder, AppConfiguration | ConfigurationError]
"""An app with its configuration, or with what is wrong with it."""

_LOGS = "function-logs"  #: in the data directory, a file for each app
_DRAIN_SECONDS = 7.0  #: how long functions may go on when the host stops, which takes 10 s at most
_CLOSE_SECONDS = 1.0  #: how long brokers may take then; their locks run out by themselves
_STARTS_AT_ONCE = 4  #: apps that load at the same time
_CHECK_SECONDS = 0.25  #: seconds between two checks for what has ended


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT, or until the parent is gone. Raises ConfigurationError."""
    stopping = _stop_event(options.parent)
    if options.log is not None:
        _keep_small(LogFile(options.log))
    configurations = _configurations(options)
    logs = _app_logs(options, [app for app, _ in configurations])
    feeds = {app.name: _feeds(each, options) for app, each in configurations if isinstance(each, AppConfiguration)}
    file = KeyFile(options.data_dir)
    async with AsyncExitStack() as stack:
        stack.callback(logs.close)
        stack.callback(file.remove)
        file.starting(app.name for app, _ in configurations)
        link = _link(options)
        stack.push_async_callback(link.reports.close)
        for each in feeds.values():
            stack.push_async_callback(each.close)
        starting = asyncio.create_task(_start(stack, configurations, options, feeds, file, link))
        if not await _ended_first(starting, stopping):
            return
        gc.freeze()  # what was made up to here stays to the end, so no collection need look at it
        gc.set_threshold(10_000, 20, 50)
        await stopping.wait()
        file.remove()  # whoever looks for an app from here on waits for the next host
        started = starting.result()
        await _drain(started)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*(each.close() for each in feeds.values()))
        await asyncio.gather(*(app.end() for app in started))


def _app_logs(options: Options, apps: Sequence[AppFolder]) -> AppLogs:
    """A log for each app, in the form that the host's own has. Raises ConfigurationError if there can be none."""
    folder = options.data_dir / _LOGS
    try:
        made = AppLogs(folder, apps, next((each.formatter for each in logging.root.handlers), None))
    except OSError as fault:
        raise ConfigurationError([f"{folder} cannot be written: {fault.strerror}. Name another folder with --data-dir."]) from None
    log.addHandler(made)
    return made


def _feeds(configuration: AppConfiguration, options: Options) -> AppFeeds:
    given = configuration.host_json.extensions.service_bus.client_retry_options
    retry = RetryPolicy(
        delay=given.delay.total_seconds(),
        max_delay=given.max_delay.total_seconds(),
        max_retries=given.max_retries,
        exponential=given.mode == "Exponential",
        try_timeout=given.try_timeout.total_seconds(),
    )
    broker = BrokerInSettings(options.servicebus_namespace, options.servicebus_connection_string_file)
    return AppFeeds(configuration.app.name, configuration.settings, broker, options.data_dir, retry)


def _link(options: Options) -> BridgeLink:
    """The log is named by its last two parts: the bridge shows the name to requesters, who need not know where the folder is."""
    if options.log is None:
        return BridgeLink(options.public_url)
    return BridgeLink(options.public_url, "/".join(options.log.parts[-2:]))


async def _start(  # noqa: PLR0913, PLR0917 - what every app is given
    stack: AsyncExitStack,
    configurations: Sequence[Configured],
    options: Options,
    feeds: Mapping[str, AppFeeds],
    file: KeyFile,
    link: BridgeLink,
) -> list[RunningApp]:
    """Start the apps, some at a time; `stack` stops them. An app that cannot run leaves the others alone.

    Raises ConfigurationError with all problems if none of them can.
    """
    at_once = asyncio.Semaphore(_STARTS_AT_ONCE)
    refused: list[str] = []

    async def start(index: int, app: AppFolder, configuration: AppConfiguration | ConfigurationError) -> RunningApp:
        port = options.port + index if options.port else 0
        async with at_once:
            if (page := offlinepage.read(app.directory)) is not None:
                offline = await stack.enter_async_context(functionapp.stopped(app, AppState(offline=page), port, options.data_dir))
                file.add(app.name, offline.entry)
                log.warning("%s does not run: %s in its folder takes it offline. Remove it and start again.", app.name, offlinepage.FILE)
                return offline
            try:
                if isinstance(configuration, ConfigurationError):
                    raise configuration
                running = await stack.enter_async_context(functionapp.running(configuration, port, feeds[app.name], link, options.data_dir))
            except ConfigurationError as problem:
                refused.extend(problem.problems)
                log.error("%s does not run: %s", app.name, problem)  # noqa: TRY400 - the fault is the app's
                stopped = await stack.enter_async_context(
                    functionapp.stopped(app, AppState(errors=problem.problems), port, options.data_dir)
                )
                file.add_stopped(app.name, stopped.entry)
                return stopped
        for listener in running.listeners:
            listener.start()
        feeds[app.name].start()
        file.add(app.name, running.entry)
        log.info("%s is ready at %s (%s).", app.name, running.entry["url"], running.entry["worker"])
        return running

    starting = [asyncio.create_task(start(index, *each)) for index, each in enumerate(configurations)]
    try:
        started = await asyncio.gather(*starting)
    except asyncio.CancelledError:
        await asyncio.wait(starting)  # `gather` is over with the first of them, and each has a worker to end
        raise
    if len(started) == sum(each.stopped for each in started):
        raise ConfigurationError(list(dict.fromkeys(refused)))
    return started


async def _ended_first(starting: asyncio.Task[list[RunningApp]], stopping: asyncio.Event) -> bool:
    """Whether the apps have started before the host had to stop. Raises what the start raised."""
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.wait({starting})
    return False


def _configurations(options: Options) -> list[Configured]:
    """Each app with its configuration, or with what is wrong with it. Raises ConfigurationError with everything if all are wrong."""
    found: list[Configured] = []
    for app in apps.discover(options.apps):
        try:
            configuration = functionapp.configure(app, options.python, options.host_json, os.environ, timers=options.timers)
            found.append((app, configuration))
        except ConfigurationError as refused:
            found.append((app, refused))
    problems = [each for _, wrong in found if isinstance(wrong, ConfigurationError) for each in wrong.problems]
    if all(isinstance(each, ConfigurationError) for _, each in found):
        raise ConfigurationError(list(dict.fromkeys(problems)))
    return found


async def _drain(started: Sequence[RunningApp]) -> None:
    """Start no more functions, and give those that run some time to end."""
    for app in started:
        app.drain()
    log.info("Stopping; functions that run have %g s to end.", _DRAIN_SECONDS)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while any(app.busy for app in started):  # noqa: ASYNC110 - looking is simpler than counting down in three places
                await asyncio.sleep(_CHECK_SECONDS)


def _stop_event(parent: int) -> asyncio.Event:
    """An event that is set by a signal, or by the end of the process `parent`."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if parent:
        _watch(parent, os.getppid(), stopping)
    return stopping


def _watch(parent: int, own: int, stopping: asyncio.Event) -> None:
    """Check again and again whether `parent` is gone. `own` is the process that started this one."""
    if not exists(parent) or (parent == own and os.getppid() != own):
        stopping.set()
    else:
        asyncio.get_running_loop().call_later(_CHECK_SECONDS, _watch, parent, own, stopping)


def _keep_small(log: LogFile) -> None:
    asyncio.get_running_loop().call_later(_CHECK_SECONDS, _keep_small, log)
    log.keep_small()
