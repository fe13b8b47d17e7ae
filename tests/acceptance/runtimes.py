"""The runtimes that the scenarios are tried on; what is not tried on one of them is listed here with the reason."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic_core import from_json

from bridge.adapters.dapr import statevalue
from bridge.local.freeports import free_ports
from bridge.local.functions.servicebus import connectionstring
from tests.acceptance import queue_client
from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.dapr import servicebus, streams
from tests.dapr.machine import Machine, quick
from tests.dapr.namespace import NamespaceMachine
from tests.dapr.process import beside
from tests.dapr.sidecar import API_TOKEN, APP_TOKEN

AMachine = TypeVar("AMachine", bound=Machine)
_CHAOS = "the same on Dapr is tests/dapr/test_chaos.py"
_A_FOLDER = "the folder of data is part of the embedded runtime"
_A_DOOR = "the API is the same on both runtimes, and this is about its connections"
_GIVEN_UP = "Redis hands a message out until it is done and gives none up; replays of other letters are tried in tests/dapr/test_replays.py"
_A_NAMESPACE = "the clients of a Service Bus namespace are tried without a bridge, or with the one that has the namespace"
_HOST = "the local functions host is part of the embedded runtime; functions beside a sidecar are tried in tests/dapr/test_functions.py"
#: Tests that Dapr only can pass.
ONLY_DAPR = {
    "test_a_request_that_is_on_the_bus_outlives_the_end_of_the_process_before_it_is_a_run": (
        "the embedded runtime stores a run and its work in one transaction, so its API publishes no request"
    ),
}
#: Modules and tests that the embedded runtime only can pass.
ONLY_EMBEDDED = {
    "test_disk_full": _A_FOLDER,
    "test_functions": _HOST,
    "test_functions_host": _HOST,
    "test_host_crashes": _HOST,
    "test_hostile_http": _A_DOOR,
    "test_poison": "redeliveries and dead letters of Dapr are those of its components",
    "test_responsive": _A_DOOR,
    "test_logs": "the log has one writer for both runtimes",
    "test_memory": "what is measured is the process of the bridge, which is the same",
    "test_servicebus_requesters": _A_NAMESPACE,
    "test_servicebus": _A_NAMESPACE,
    "test_servicebus_dotnet": _A_NAMESPACE,
    "test_rollout": "the same on Dapr is tests/dapr/test_rollout.py",
    "test_packages": _HOST,
    "test_limits": "the limit is that of the embedded store; a Redis without room is tried in tests/dapr/test_outages.py",
    "test_of_ten_bridges_started_at_once_on_the_same_data_one_serves": _A_FOLDER,
    "test_what_was_accepted_ends_once_and_is_replied_to_although_the_bridge_is_killed_again_and_again": _CHAOS,
    "test_every_call_in_hand_at_a_kill_is_made_again_in_time_under_the_policy_that_is_shipped": "another replica may have begun it",
    "test_files_with_secrets_are_for_their_owner_only": _A_FOLDER,
    "test_a_second_bridge_on_the_same_data_is_refused_with_the_reason": _A_FOLDER,
    "test_ten_thousand_are_replayed_interrupted_and_continued_none_twice": _GIVEN_UP,
    "test_a_replay_outlives_the_end_of_the_process_at": _GIVEN_UP,
    "test_a_bridge_that_is_killed_while_many_are_replayed_loses_none_and_repeats_none_under_another_id": _GIVEN_UP,
}
#: Modules that say on Service Bus what they say on Redis.
NOT_ON_SERVICE_BUS = {
    "test_bad_input": "what the API refuses never comes to a bus",
    "test_doors": "who may come in at the API is decided before anything is on a bus",
    "test_mapping": "how a function is called over HTTP has nothing to do with the bus",
    "test_following": "what is followed over HTTP has nothing to do with the bus",
}
#: The runtimes, each with the modules and tests that are not tried on it.
NOT_ON: dict[str, Mapping[str, str]] = {
    "embedded": ONLY_DAPR,
    "dapr": ONLY_EMBEDDED,
    "dapr-servicebus": {**ONLY_EMBEDDED, **NOT_ON_SERVICE_BUS},
}


class Bus(Protocol):
    """A program's own way onto the bus."""

    async def send(self, topic: str, body: bytes) -> None:
        """Bytes as they are."""

    async def send_event(self, topic: str, event: dict[str, Any]) -> None: ...

    async def receive(self, entity: str) -> tuple[Any, str]:
        """The next event for a `topic/subscription`, and what its message is known by; done at once."""

    async def peek_lock(self, entity: str) -> tuple[Any, str, Callable[[], Awaitable[None]]]:
        """The same, and what completes it; until then it comes again if the way onto the bus is lost."""

    async def message(self, entity: str) -> tuple[Any, Mapping[str, Any]]:
        """The same with the properties of the message."""


class Runtime(Protocol):
    def secrets(self, bridge: BridgeProcess, /) -> tuple[str, ...]:
        """What the runtime itself keeps from others while the bridge runs."""

    def bridge(self, folder: Path, config: str, environment: Mapping[str, str]) -> BridgeProcess:
        """A bridge that is not started yet; all that a test starts share one bus and one store."""

    @property
    def functions_settings(self) -> str:
        """The settings by which functions beside a bridge find their messages."""

    def bus(self, bridge: BridgeProcess, /) -> AbstractAsyncContextManager[Bus]: ...

    async def give_up(self, bridge: BridgeProcess, /, entity: str) -> None:
        """Take the next message of a `topic/subscription` without success until it is a dead letter."""

    async def records(self, bridge: BridgeProcess, /) -> dict[str, str]:
        """The values in the store, by key."""

    def logs(self, bridge: BridgeProcess, /) -> list[str]: ...

    def files(self, bridge: BridgeProcess, /) -> list[Path]:
        """All that the programs of the runtime have written."""


class Embedded:
    functions_settings = ""  #: the bridge has the queue

    def secrets(self, bridge: BridgeProcess) -> tuple[str, ...]:
        return (connectionstring.parse(queue_client.connection_string(bridge.data_dir)).key,)

    def bridge(self, folder: Path, config: str, environment: Mapping[str, str]) -> BridgeProcess:
        return BridgeProcess(folder / "data", config, environment=dict(environment))

    @asynccontextmanager
    async def bus(self, bridge: BridgeProcess) -> AsyncIterator[Bus]:
        async with queue_client.queue(bridge.data_dir) as client:
            yield client

    async def give_up(self, bridge: BridgeProcess, entity: str) -> None:
        async with queue_client.queue(bridge.data_dir) as bus:
            for _ in range(2):
                await bus.abandon(entity)

    async def records(self, bridge: BridgeProcess) -> dict[str, str]:
        with sqlite3.connect(bridge.data_dir / "bridge.db") as file:
            return {key: bytes(value).decode() for key, value in file.execute("SELECT key, value FROM state")}

    def logs(self, bridge: BridgeProcess) -> list[str]:
        return [bridge.log()]

    def files(self, bridge: BridgeProcess) -> list[Path]:
        return list(bridge.data_dir.iterdir())


@dataclass
class OnDapr:
    """A sidecar with a Redis."""

    machine: Machine

    @property
    def functions_settings(self) -> str:
        """None: the bridge relays what the sidecar brings."""
        return ""

    def secrets(self, _: BridgeProcess) -> tuple[str, ...]:
        return (API_TOKEN, APP_TOKEN)

    def bridge(self, folder: Path, config: str, environment: Mapping[str, str]) -> BridgeProcess:
        return beside(self.machine, folder, config, environment)

    @asynccontextmanager
    async def bus(self, _: BridgeProcess) -> AsyncIterator[Bus]:
        async with streams.streams(self.machine.redis_port, self.machine.port) as client:
            yield client

    async def give_up(self, bridge: BridgeProcess, entity: str) -> None:
        """As the sidecar of an application with a `deadLetterTopic` does."""
        async with self.bus(bridge) as bus:
            work, _ = await bus.receive(entity)
            await bus.send("automation-deadletters", json.dumps(work).encode())

    async def records(self, _: BridgeProcess) -> dict[str, str]:
        async with streams.streams(self.machine.redis_port, self.machine.port) as bus:
            stored = {name.decode(): await bus.redis.hget(name, "data") async for name in bus.redis.scan_iter(match="*||*")}
        return {_key(name): statevalue.unwrap(from_json(value))[0].decode() for name, value in stored.items() if value}

    def logs(self, bridge: BridgeProcess) -> list[str]:
        return [bridge.log(), *(path.read_text() for path in self.machine.directory.rglob("*.log"))]

    def files(self, bridge: BridgeProcess) -> list[Path]:
        return [path for folder in (bridge.data_dir, self.machine.directory) for path in folder.rglob("*") if path.is_file()]


@dataclass
class OnServiceBus(OnDapr):
    """A sidecar with components/azure, a Service Bus namespace and a Redis for the state."""

    machine: NamespaceMachine

    @property
    def functions_settings(self) -> str:
        return f"servicebus: {{connection_string_file: {self.machine.namespace.file}}}\n"

    def secrets(self, bridge: BridgeProcess) -> tuple[str, ...]:
        key = self.machine.namespace.connection_string.partition("SharedAccessKey=")[2].partition(";")[0]
        return (*super().secrets(bridge), key)

    def files(self, bridge: BridgeProcess) -> list[Path]:
        """Without the one that is there to tell the key, for its owner only."""
        return [path for path in super().files(bridge) if path != self.machine.namespace.file]

    @asynccontextmanager
    async def bus(self, _: BridgeProcess) -> AsyncIterator[Bus]:
        async with servicebus.servicebus(self.machine.namespace.connection_string) as client:
            yield client

    async def give_up(self, _: BridgeProcess, entity: str) -> None:
        async with servicebus.servicebus(self.machine.namespace.connection_string) as client:
            for _ in range(2):
                await client.abandon(entity, await client.next(entity))


def _key(name: str) -> str:
    """The key of the bridge, for a name in Redis."""
    return name.partition("||")[2].replace("~1", "/").replace("~0", "~")


@asynccontextmanager
async def runtime(name: str, folder: Path) -> AsyncIterator[Runtime]:
    if name == "embedded":
        yield Embedded()
        return
    async with AsyncExitStack() as stack:
        if name == "dapr":
            yield OnDapr(await _started(Machine(folder, quick(folder), *free_ports(3), stack)))
        else:
            machine = NamespaceMachine.planned(folder, stack)
            await machine.broker()
            yield OnServiceBus(await _started(machine))


async def _started(machine: AMachine) -> AMachine:
    await machine.redis()
    await machine.sidecar()
    return machine


@asynccontextmanager
async def serving(name: str, folder: Path, app: Scripted) -> AsyncIterator[BridgeProcess]:
    """A bridge for all tests of a module, with the automations of the tests."""
    async with (
        runtime(name, folder / "machine") as made,
        made.bridge(folder, scripted_config(app.url), {"SCRIPTED_KEY": KEY}) as bridge,
    ):
        yield bridge


def signing_key(records: Mapping[str, str], bridge: BridgeProcess) -> bytes:
    """What the doors of the bridge sign with."""
    file = bridge.data_dir / "signing.key"
    return file.read_bytes() if file.exists() else records["signing-key"].encode()
