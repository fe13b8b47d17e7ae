"""One function app while it runs: its worker, its HTTP port and its triggers."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local.functions import appsettings, bindings, crashpoints, hostjson, keys
from bridge.local.functions.apps import WORKERS, App, worker_command
from bridge.local.functions.bindings import BusTrigger, Function
from bridge.local.functions.feed import Feed
from bridge.local.functions.front import Front
from bridge.local.functions.hostjson import HostJson
from bridge.local.functions.httpserver import serving
from bridge.local.functions.invocations import Invocations
from bridge.local.functions.supervisor import Supervisor
from bridge.local.functions.triggers import Limits, Pump
from bridge.local.functions.worker import Hello, LoadFailed, Program

log = logging.getLogger("bridge.functions")

_BODY_SETTING, _LARGEST_BODY = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", 104_857_600  #: bytes; Azure's setting and its default


@dataclass(frozen=True, slots=True)
class Plan:
    """What an app is started with, all of it checked."""

    app: App
    python: str  #: the interpreter that runs it
    settings: Mapping[str, str]
    host_json: HostJson
    largest_body: int  #: bytes


@dataclass(frozen=True, slots=True)
class Running:
    """A started app."""

    entry: keys.Entry
    invocations: Invocations
    pumps: Sequence[Pump]

    @property
    def busy(self) -> bool:
        """Whether a function runs, or a message waits for its verdict."""
        return self.invocations.running > 0 or any(pump.busy for pump in self.pumps)

    def drain(self) -> None:
        """Start nothing more: leave messages to the broker, answer requests with 503."""
        self.invocations.close()
        for pump in self.pumps:
            pump.stop()


def plan(app: App, python: str, host_json: Path, environment: Mapping[str, str]) -> Plan:
    """Read and check the app's files. Raises ConfigurationError."""
    settings = appsettings.read(app.directory, environment)
    largest = settings.get(_BODY_SETTING, str(_LARGEST_BODY))
    if not largest.isdecimal():
        raise ConfigurationError([f"{_BODY_SETTING} is {largest!r}; it must be a number of bytes."])
    return Plan(app, python, settings, hostjson.read(host_json, app.directory), int(largest))


@asynccontextmanager
async def running(plan: Plan, port: int, feed: Feed) -> AsyncIterator[Running]:
    """Run the app while the block runs. Raises ConfigurationError if it cannot be loaded or needs what this host does not have."""
    limit = plan.host_json.function_timeout
    invocations = Invocations(plan.app.name, limit.total_seconds() if limit else None)
    supervisor = Supervisor(plan.app.name, _program(plan), invocations.log_line)
    hello = await _load(supervisor, plan.app)
    invocations.supervisor = supervisor
    try:
        functions = _functions(hello, plan)
        key = keys.make()
        front = Front(functions, plan.host_json.extensions.http, key, invocations)
        async with serving(front, port, plan.largest_body) as url:
            pumps = list(_pumps(functions, feed, invocations, plan.host_json))
            yield Running({"url": url, "key": key, "pid": os.getpid(), "worker": hello.title}, invocations, pumps)
    finally:
        await supervisor.stop()


def _program(plan: Plan) -> Program:
    environment = {
        # Azure's host sets this when the app does not (DefaultWorkerProcessFactory.ApplyWorkerConcurrencyLimits).
        "PYTHON_THREADPOOL_THREAD_COUNT": "1000",
        **plan.settings,
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsScriptRoot": str(plan.app.directory),
    }
    if asked := os.environ.get(crashpoints.WORKER_VARIABLE):
        environment[crashpoints.WORKER_VARIABLE] = asked
    return Program(worker_command(plan.python), WORKERS, environment, plan.app.directory)


async def _load(supervisor: Supervisor, app: App) -> Hello:
    try:
        return await supervisor.start()
    except OSError as problem:
        raise ConfigurationError([f"The worker of {app.directory} cannot be started: {problem}."]) from problem
    except LoadFailed as problem:
        if problem.stack:
            log.error("%s could not be loaded:\n%s", app.directory, problem.stack.rstrip())  # noqa: TRY400 - the stack is the worker's
        raise ConfigurationError([f"{app.directory} cannot be loaded. {problem}"]) from problem


def _functions(hello: Hello, plan: Plan) -> list[Function]:
    """The app's functions. Raises ConfigurationError with the problems of all of them."""
    functions, problems = [], []
    for described in hello.functions:
        try:
            functions.append(bindings.read(described, lambda text: appsettings.resolve(text, plan.settings)))
        except ValueError as problem:
            problems.append(f"{plan.app.directory}: {problem}.")
    if problems:
        raise ConfigurationError(problems)
    for each in functions:
        if each.idle:
            log.warning("%s: %s never runs here: %s.", plan.app.name, each.name, each.idle)
    return functions


def _pumps(functions: Sequence[Function], feed: Feed, invocations: Invocations, host_json: HostJson) -> list[Pump]:
    bus = host_json.extensions.service_bus
    limits = Limits(bus.max_concurrent_calls, bus.max_auto_lock_renewal_duration.total_seconds())
    fed = [(each, each.trigger) for each in functions if isinstance(each.trigger, BusTrigger)]
    if connections := sorted({trigger.connection for _, trigger in fed}):
        log.info("The embedded queue stands in for the connection %s.", ", ".join(connections))
    return [Pump(each, trigger, feed, invocations, limits) for each, trigger in fed]
