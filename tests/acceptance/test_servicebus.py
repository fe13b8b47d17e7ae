"""`bridge local servicebus` and `bridge up --servicebus-port`: processes of their own, with azure-servicebus as the client."""

from __future__ import annotations

import json
import signal
import ssl
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusServerBusyError

from bridge.cli.exits import Exit
from bridge.local.freeports import free_ports
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.namespace_process import NamespaceProcess
from tests.cli.commands import bridge

ENTITIES = Path(__file__).parent.parent / "adapters" / "embedded" / "amqp" / "entities.json"


def client(connection_string: str, **options: Any) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(connection_string, retry_total=0, **options)


async def send(found: ServiceBusClient, *bodies: str) -> None:
    async with found.get_queue_sender("plain") as sender:
        for body in bodies:
            await sender.send_messages(ServiceBusMessage(body))


async def receive(found: ServiceBusClient, count: int) -> list[str]:
    """Bodies of `count` messages, which are completed."""
    bodies: list[str] = []
    async with found.get_queue_receiver("plain") as receiver:
        while len(bodies) < count:
            got = await receiver.receive_messages(max_message_count=count - len(bodies), max_wait_time=5)
            assert got
            for message in got:
                bodies.append(str(message))
                await receiver.complete_message(message)
    return bodies


async def test_a_namespace_that_is_killed_has_lost_nothing_and_keeps_its_connection_string(tmp_path: Path) -> None:
    namespace = NamespaceProcess(tmp_path / "data", ENTITIES)
    async with namespace:
        before = namespace.connection_string
        assert stat.S_IMODE(namespace.file.stat().st_mode) == 0o600
        async with client(before) as found:
            await send(found, *map(str, range(10)))
        await namespace.stop(signal.SIGKILL)
    async with namespace:
        assert namespace.connection_string == before
        async with client(before) as found:
            assert await receive(found, 10) == list(map(str, range(10)))
        code, errors = await namespace.stop(signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert not namespace.file.exists()


async def test_tls_with_the_certificate_that_was_made(tmp_path: Path) -> None:
    async with NamespaceProcess(tmp_path / "data", ENTITIES, ("--tls",)) as namespace:
        assert "UseDevelopmentEmulator" not in namespace.connection_string
        certificate = tmp_path / "data" / "servicebus.pem"
        options = {"connection_verify": str(certificate), "custom_endpoint_address": f"sb://localhost:{namespace.port}"}
        async with client(namespace.connection_string, **options) as found:
            await send(found, "secret")
            assert await receive(found, 1) == ["secret"]
        context = ssl.create_default_context(cafile=certificate)
        assert context.get_ca_certs()


async def test_a_bridge_shares_its_queue_with_service_bus_clients(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    async with BridgeProcess(tmp_path / "data", "", ("--servicebus-port", str(port))) as running:
        connection_string = json.loads((tmp_path / "data" / "servicebus.json").read_text())["connectionString"]
        event = {
            "specversion": "1.0",
            "id": "over-amqp",
            "source": "/orders",
            "type": "automation.requested",
            "subject": "table.summarize",
            "data": {"csv": "name,days\nrenewed,30\n"},
        }
        async with client(connection_string) as found, found.get_topic_sender("automation-requests") as sender:
            await sender.send_messages(ServiceBusMessage(json.dumps(event), content_type="application/cloudevents+json"))
        status = await found_run(running, "over-amqp")
        assert status["correlationId"] == "over-amqp"


async def found_run(running: BridgeProcess, correlation_id: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(f"{running.url}/v1/requests/{correlation_id}?wait=10") as response:
        return await response.json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "192.0.2.1"), "--tls"),
        (("--entities", "missing.json"), "missing.json: cannot be read"),
    ],
)
async def test_what_cannot_be_used_is_named(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    namespace = NamespaceProcess(tmp_path / "data", ENTITIES, arguments)
    with pytest.raises(AssertionError, match=said):
        async with namespace:
            pass
    assert namespace.process is not None
    assert namespace.process.returncode == Exit.USAGE


async def test_a_queue_takes_as_many_messages_as_the_limit_says(tmp_path: Path) -> None:
    async with (
        NamespaceProcess(tmp_path / "data", ENTITIES, ("--queue-limit", "3")) as namespace,
        client(namespace.connection_string) as found,
    ):
        await send(found, "1", "2", "3")
        with pytest.raises(ServiceBusServerBusyError):
            await send(found, "4")
        assert await receive(found, 3) == ["1", "2", "3"]
        await send(found, "4")


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with NamespaceProcess(tmp_path / "one", ENTITIES) as first:
        second = NamespaceProcess(tmp_path / "two", ENTITIES, port=first.port)
        with pytest.raises(AssertionError, match=f"{first.port} on 127.0.0.1: cannot listen there"):
            async with second:
                pass


def test_the_entities_are_written_for_microsofts_emulator(tmp_path: Path) -> None:
    out = tmp_path / "Config.json"
    result = bridge("local", "servicebus", "--entities", str(ENTITIES), "--emulator-config", str(out))
    assert result.exit_code == 0
    assert json.loads(out.read_text())["UserConfig"]["Namespaces"][0]["Name"] == "sbemulatorns"


def test_in_a_folder_without_an_entities_file_those_of_the_bridge_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bridge("local", "servicebus", "--emulator-config", "Config.json").exit_code == 0
    namespace = json.loads((tmp_path / "Config.json").read_text())["UserConfig"]["Namespaces"][0]
    assert "automation-requests" in [topic["Name"] for topic in namespace["Topics"]]
    named = bridge("local", "servicebus", "--entities", "other.json", "--emulator-config", "Config.json")
    assert (named.exit_code, "other.json: cannot be read" in named.output) == (2, True)
