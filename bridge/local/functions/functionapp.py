"""Runs one function app: its worker, its HTTP port and its triggers."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.local.freeports import free_ports
from bridge.local.functions import (
    appfunctions,
    apphostjson,
    apps,
    appsettings,
    crashpoints,
    customhandler,
    environments,
    functionjson,
    hostjson,
    keys,
    offlinepage,
    powershell,
    routelist,
    timers,
)
from bridge.local.functions.adminpages import AppState
from bridge.local.functions.apps import WORKERS, AppFolder, Language, is_python_v1, worker_command
from bridge.local.functions.batchtriggers import BatchLimits, BatchListener
from bridge.local.functions.bindings import Function, HttpTrigger, ServiceBusTrigger, TimerTrigger
from bridge.local.functions.customhandler import HandlerDescription
from bridge.local.functions.hostjson import HostJson, Http
from bridge.local.functions.httpserver import HOST, serving
from bridge.local.functions.httptriggers import HttpTriggers
from bridge.local.functions.invocations import AppInvocations
from bridge.local.functions.keys import AppKeys
from bridge.local.functions.loglevels import LogLevels
from bridge.local.functions.reports import BridgeLink
from bridge.local.functions.rpc import dotnetapp, otherworkers
from bridge.local.functions.rpc.workerconfig import WorkerDescription
from bridge.local.functions.servicebus.feeds import AppFeeds
from bridge.local.functions.timers import TimerListener
from bridge.local.functions.timerstatus import TimerStatuses
from bridge.local.functions.triggers import ListenerLimits, ServiceBusListener
from bridge.local.functions.worker import AppLoadFailed, WorkerHello, WorkerProgram
from bridge.local.functions.workersupervisor import WorkerSupervisor

log = logging.getLogger("bridge.functions")

_USUAL_SESSION_IDLE = 60.0  #: seconds; Azure's, where host.json has no sessionIdleTimeout
_KEYS, _ENVIRONMENTS, _TIMERS = "function-keys", "function-environments", "function-timers"  #: in the data directory, a folder for each app
_SEARCH_PATH = " Current sys.path:"  #: begins what Python's runtime appends to a missing module
_LONGEST_PROBLEM = 500  #: characters of why an app does not run that the bridge shows
_BODY_SETTING, _LARGEST_BODY = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", 104_857_600  #: bytes; Azure's setting and its default


@dataclass(frozen=True, slots=True)
class AppConfiguration:
    """Everything that an app is started with, checked."""

    app: AppFolder
    program: str  #: what runs it: a Python interpreter, or pwsh
    settings: Mapping[str, str]
    host_json: HostJson
    largest_body: int  #: bytes
    handler: HandlerDescription | None = None  #: of a custom handler
    log_levels: LogLevels = field(default_factory=LogLevels)
    timers: bool = False  #: whether timer functions run by their schedules
    other: WorkerDescription | None = None  #: a worker that is neither the app's nor this host's

    @property
    def by_protocol(self) -> bool:
        """Whether the worker speaks Azure's own protocol, and says which functions there are."""
        return self.other is not None or self.app.language is Language.DOTNET


@dataclass(frozen=True, slots=True)
class RunningApp:
    """An app that has been started."""

    entry: keys.AppEntry
    invocations: AppInvocations
    listeners: Sequence[ServiceBusListener | BatchListener | TimerListener]
    stopped: bool = False  #: whether it cannot run, and only says why

    @property
    def busy(self) -> bool:
        """Whether a function runs, or a message has not been settled yet."""
        return self.invocations.running > 0 or any(listener.busy for listener in self.listeners)

    def drain(self) -> None:
        """Start no more functions: messages are left to the broker, and requests get 503."""
        self.invocations.close()
        for listener in self.listeners:
            listener.stop()

    async def end(self) -> None:
        """End the worker, with what still runs in it."""
        if self.invocations.supervisor is not None:
            await self.invocations.supervisor.stop()


def configure(app: AppFolder, python: str, host_json: Path, environment: Mapping[str, str], *, timers: bool = False) -> AppConfiguration:
    """Read and check the app's files. Raises ConfigurationError."""
    settings = appsettings.read(app.directory, environment)
    largest = settings.get(_BODY_SETTING, str(_LARGEST_BODY))
    if not largest.isdecimal():
        raise ConfigurationError([f"{_BODY_SETTING} is {largest!r}; it must be a number of bytes."])
    found, content = _host_json(app, host_json, settings)
    handler = customhandler.describe(content, str(app.directory / "host.json")) if app.language is Language.CUSTOM else None
    other = _other_worker(app, environment)
    runner = otherworkers.runner(other, environment) if other is not None else _runner(app, python, environment)
    return AppConfiguration(app, runner, settings, found, int(largest), handler, LogLevels(content), timers, other)


def _other_worker(app: AppFolder, environment: Mapping[str, str]) -> WorkerDescription | None:
    """A worker that was named or installed for the language of the app. Raises ConfigurationError if it has no other one."""
    if app.language in (Language.CUSTOM, Language.DOTNET):
        return None
    found = otherworkers.find(app.language.value, environment, only_named=app.language.has_worker)
    if found is not None:
        log.info("%s runs on the %s worker in %s.", app.name, app.language.value, found.folder)
    elif not app.language.has_worker:
        mend = f"Install Azure Functions Core Tools, or name a folder with workers in {otherworkers.VARIABLE}"
        raise ConfigurationError([f"{app.directory} is written for {app.language.value}, and there is no worker for it. {mend}."])
    return found


def _host_json(app: AppFolder, root: Path, settings: Mapping[str, str]) -> tuple[HostJson, dict[str, Any]]:
    """The app's own host.json counts as in Azure; the root one is for apps that have none."""
    own = app.directory / "host.json"
    if own.exists() and own != root:
        return apphostjson.read(own, settings)
    return hostjson.read(root, app.directory), {}


def _runner(app: AppFolder, python: str, environment: Mapping[str, str]) -> str:
    if app.language is Language.POWERSHELL:
        return powershell.find(environment)
    if app.language is Language.DOTNET:
        return dotnetapp.find(app.directory, environment)
    return environments.existing(app.directory, python, environment) if app.language is Language.PYTHON else ""


@asynccontextmanager
async def running(
    configuration: AppConfiguration, port: int, feeds: AppFeeds, link: BridgeLink, data_dir: Path
) -> AsyncIterator[RunningApp]:
    """Run the app while the block runs. Raises ConfigurationError if it cannot be loaded or needs what this host does not have."""
    limit, language = configuration.host_json.function_timeout, configuration.app.language
    invocations = AppInvocations(
        configuration.app.name,
        limit.total_seconds() if limit else None,
        feeds.of,
        link.reports,
        typed=language is not Language.PYTHON or configuration.by_protocol,
        handler=language is Language.CUSTOM,
        rpc=configuration.by_protocol,
        levels=configuration.log_levels,
    )
    port = port or free_ports(1)[0]
    if language is Language.PYTHON and not configuration.program and configuration.other is None:
        configuration = replace(configuration, program=await environments.made(configuration.app.directory, data_dir / _ENVIRONMENTS))
    supervisor = WorkerSupervisor(configuration.app.name, _program(configuration, port), invocations.log_line)
    hello = await _load(supervisor, configuration.app)
    invocations.supervisor, invocations.forwards = supervisor, hello.forwards
    try:
        functions, state = _functions(hello, configuration, feeds)
        app_keys = keys.of_folder(data_dir / _KEYS / configuration.app.directory.name)
        statuses = _timer_statuses(configuration, data_dir)
        triggers = _triggers(functions, configuration, app_keys, invocations, link, state, statuses)
        async with serving(triggers, port) as url:
            messages = _listeners(functions, feeds, invocations, configuration.host_json, link)
            listeners: list[ServiceBusListener | BatchListener | TimerListener] = [*messages, *_timers(functions, invocations, statuses)]
            entry = {
                **_entry(url, app_keys, hello.title),
                "routes": routelist.of_app(state, configuration.host_json.extensions.http.route_prefix),
            }
            yield RunningApp(entry, invocations, listeners)
    finally:
        await supervisor.stop()


def _functions(hello: WorkerHello, configuration: AppConfiguration, feeds: AppFeeds) -> tuple[list[Function], AppState]:
    try:
        return appfunctions.read(hello.functions, configuration, feeds.of)
    except ValueError as problem:
        raise ConfigurationError([f"{configuration.app.directory}: {problem}."]) from problem


@asynccontextmanager
async def stopped(app: AppFolder, state: AppState, port: int, data_dir: Path) -> AsyncIterator[RunningApp]:
    """Answer for an app that does not run: 503 for its functions, and why at `/admin/host/status`."""
    app_keys = keys.of_folder(data_dir / _KEYS / app.directory.name)
    invocations = AppInvocations(app.name, None)
    statuses = TimerStatuses(data_dir / _TIMERS / app.directory.name)
    async with serving(HttpTriggers((), Http(), app_keys, invocations, 0, statuses, state=state), port) as url:
        problem = _shown(app, state.errors) if state.offline is None else f"It was taken offline by {offlinepage.FILE} in its folder"
        yield RunningApp({**_entry(url, app_keys, "nothing"), "problem": problem}, invocations, (), stopped=state.offline is None)


def _shown(app: AppFolder, problems: Sequence[str]) -> str:
    """Why an app does not run, for requesters, who need not know where its folder is."""
    text = "; ".join(each.partition(_SEARCH_PATH)[0] for each in problems).replace(str(app.directory), app.directory.name)
    return text[:_LONGEST_PROBLEM].removesuffix(".")


def _entry(url: str, app_keys: AppKeys, worker: str) -> keys.AppEntry:
    return {"url": url, "key": app_keys.host[0], "masterKey": app_keys.master, "pid": os.getpid(), "worker": worker}


def _triggers(  # noqa: PLR0913, PLR0917 - all that decides on a request
    functions: Sequence[Function],
    configuration: AppConfiguration,
    app_keys: AppKeys,
    invocations: AppInvocations,
    link: BridgeLink,
    state: AppState,
    statuses: TimerStatuses,
) -> HttpTriggers:
    """Raises ConfigurationError if a route does not parse, which stops the whole app in Azure too."""
    http = configuration.host_json.extensions.http
    try:
        triggers = HttpTriggers(functions, http, app_keys, invocations, configuration.largest_body, statuses, link, state)
    except ValueError as problem:
        raise ConfigurationError([f"{configuration.app.directory}: {problem}."]) from problem
    for each in functions:
        if isinstance(each.trigger, HttpTrigger):
            log.info("%s: %s", configuration.app.name, each.trigger.route.described(http.route_prefix))
    for hidden, earlier in triggers.routes.hidden().items():
        log.warning(
            "%s: no request reaches %s, here or in Azure: %s, whose name comes first, takes its route.",
            configuration.app.name,
            hidden,
            earlier,
        )
    return triggers


def _program(configuration: AppConfiguration, port: int) -> WorkerProgram:
    app = configuration.app
    # Azure's host has its own address in its environment, and so has every worker.
    settings = {**configuration.settings, "ASPNETCORE_URLS": f"http://{HOST}:{port}", "WEBSITE_HOSTNAME": f"localhost:{port}"}
    if configuration.other is not None:
        started = otherworkers.program(configuration.other, configuration.program, app.directory, settings)
    elif configuration.handler is not None:
        started = customhandler.program(configuration.handler, app.directory, settings, appfunctions.simple(app.directory))
    elif app.language is Language.POWERSHELL:
        started = powershell.program(configuration.program, app.directory, settings)
    elif app.language is Language.DOTNET:
        started = dotnetapp.program(configuration.program, app.directory, settings, apps.runtime(app.directory))
    else:
        started = _python_program(configuration, settings)
    if crash_at := os.environ.get(crashpoints.WORKER_VARIABLE):
        return replace(started, environment={**started.environment, crashpoints.WORKER_VARIABLE: crash_at})
    return started


def _python_program(configuration: AppConfiguration, settings: Mapping[str, str]) -> WorkerProgram:
    environment = {
        # Azure's host sets this when the app does not (DefaultWorkerProcessFactory.ApplyWorkerConcurrencyLimits).
        "PYTHON_THREADPOOL_THREAD_COUNT": "1000",
        **settings,
        **environments.search_path(configuration.app.directory, settings),
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsScriptRoot": str(configuration.app.directory),
    }
    described = (
        [each.described() for each in functionjson.read_all(configuration.app.directory)[0]] if is_python_v1(configuration.app) else None
    )
    command, directory = worker_command(configuration.program), configuration.app.directory
    return WorkerProgram(command, WORKERS, environment, directory, functions=described)


async def _load(supervisor: WorkerSupervisor, app: AppFolder) -> WorkerHello:
    """Start the worker, and another if the first one ends by itself. Raises ConfigurationError."""
    try:
        try:
            return await supervisor.start()
        except AppLoadFailed as problem:
            if not problem.ended:
                raise
            log.warning("%s: %s It is tried once more.", app.name, problem)
            return await supervisor.start()
    except OSError as problem:
        reason = problem.strerror if problem.filename is None else f"{problem.strerror}: {problem.filename}"
        raise ConfigurationError([f"The worker of {app.directory} cannot be started: {reason}."]) from problem
    except AppLoadFailed as problem:
        if problem.stack:
            log.error("%s could not be loaded:\n%s", app.directory, problem.stack.rstrip())  # noqa: TRY400 - the stack is the worker's
        raise ConfigurationError([f"{app.directory} cannot be loaded. {problem}"]) from problem


def _listeners(
    functions: Sequence[Function], feeds: AppFeeds, invocations: AppInvocations, host_json: HostJson, link: BridgeLink
) -> Iterator[ServiceBusListener | BatchListener]:
    bus = host_json.extensions.service_bus
    renewal = bus.max_auto_lock_renewal_duration.total_seconds()
    idle = bus.session_idle_timeout.total_seconds() if bus.session_idle_timeout is not None else _USUAL_SESSION_IDLE
    plain = ListenerLimits(bus.max_concurrent_calls, renewal)
    in_sessions = ListenerLimits(bus.max_concurrent_calls_per_session, renewal, bus.max_concurrent_sessions, idle)
    in_batches = BatchLimits(bus.min_message_batch_size, bus.max_batch_wait_time.total_seconds(), idle)
    for each in functions:
        trigger = each.trigger
        if not isinstance(trigger, ServiceBusTrigger) or each.disabled:
            continue
        feed = feeds.of(trigger.connection)
        if trigger.many:
            yield BatchListener(each, trigger, feed, invocations, in_batches, link)
        else:
            yield ServiceBusListener(each, trigger, feed, invocations, in_sessions if trigger.sessions else plain, link)


def _timer_statuses(configuration: AppConfiguration, data_dir: Path) -> TimerStatuses:
    folder = data_dir / _TIMERS / configuration.app.directory.name
    try:
        return TimerStatuses(folder, timers.zone(configuration.settings))
    except ValueError as wrong:
        log.warning("%s: %s. Until then schedules are read in UTC.", configuration.app.name, wrong)
        return TimerStatuses(folder)


def _timers(functions: Sequence[Function], invocations: AppInvocations, statuses: TimerStatuses) -> list[TimerListener]:
    return [
        TimerListener(each, each.trigger, invocations, statuses)
        for each in functions
        if isinstance(each.trigger, TimerTrigger) and not each.idle and not each.disabled
    ]
