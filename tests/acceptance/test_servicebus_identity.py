"""A namespace by its name, with an identity and no connection string: azure-identity asks the endpoint that Azure gives a process.

The namespace is `bridge local servicebus --tls` on port 5671, where Azure has it. That Microsoft Entra makes the token, and that a role
allows what is asked, only Azure can show.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from bridge.local.functions.servicebus import connectionstring
from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess
from tests.acceptance.identities import RESOURCE, Identities, identities
from tests.acceptance.namespace_process import NamespaceProcess
from tests.acceptance.parked import command, entities_file, files, job, listed, park, said
from tests.chaos.hosted import FunctionsHost

PORT = 5671


@dataclass
class Place:
    namespace: NamespaceProcess
    identity: Identities
    host: str
    bridge: BridgeProcess

    def client(self) -> ServiceBusClient:
        """Somebody else, who has the key."""
        certificate = str(self.namespace.data_dir / "servicebus.pem")
        return ServiceBusClient.from_connection_string(self.namespace.connection_string, connection_verify=certificate)


def an_address() -> str:
    """An address of this machine on which nobody has the port; each test has one of its own."""
    for _ in range(50):
        host = f"127.0.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        with socket.socket() as tried:
            try:
                tried.bind((host, PORT))
            except OSError:
                continue
            return host
    assert os.environ.get("CI") != "true", "there is no loopback address with a free port 5671"
    pytest.skip("this machine has no other loopback address than 127.0.0.1")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """The bridge is not started yet."""
    host, entities = an_address(), entities_file(tmp_path, HERE / "servicebus.json")
    options = ("--tls", "--host", host)
    async with NamespaceProcess(tmp_path / "namespace", entities, options, PORT) as namespace:
        known = connectionstring.parse(namespace.connection_string)
        async with identities(known.key_name, known.key) as identity:
            trusted = {"SSL_CERT_FILE": str(namespace.data_dir / "servicebus.pem")}
            config = f"{files(entities)}servicebus: {{namespace: {host}}}\n"
            bridge = BridgeProcess(tmp_path / "bridge" / "data", config, environment={**identity.environment, **trusted})
            yield Place(namespace, identity, host, bridge)


async def test_dead_letters_are_listed_and_replayed_with_the_identity_of_the_process(place: Place) -> None:
    async with place.client() as found:
        await park(found, job(1), job(2))
    async with place.bridge:
        letters = (await listed(place.bridge, "entity=jobs"))["items"]
        assert [letter["event"] for letter in letters] == [{"job": 1}, {"job": 2}]
        assert (await said(await command(place.bridge, "replay", "--all", "--entity", "jobs")))[:2] == (
            0,
            "replayed 2, skipped 0, failed 0\n",
        )
        assert set(place.identity.asked) == {RESOURCE}


async def test_without_an_identity_the_list_names_what_is_missing_and_why(place: Place) -> None:
    place.identity.refuses = True
    async with place.bridge:
        page = await listed(place.bridge)
        assert page["items"] == []
        assert "Entra" in page["missing"][0]["detail"]
        assert "Traceback" not in place.bridge.log()


def work(correlation_id: str) -> ServiceBusMessage:
    """As the bridge sends it to a function behind a topic."""
    event = {
        "specversion": "1.0",
        "id": f"{correlation_id}/worker",
        "source": "/bridge",
        "type": "automation.invoked",
        "subject": "topic.work",
        "correlationid": correlation_id,
        "invocationtoken": "t0p",
        "data": {"do": "succeed"},
    }
    return ServiceBusMessage(json.dumps(event), subject="topic.work", content_type="application/cloudevents+json")


async def result(found: ServiceBusClient) -> Any:
    async with found.get_subscription_receiver("automation-results", "bridge") as receiver:
        (received,) = await receiver.receive_messages(1, max_wait_time=40)
        await receiver.complete_message(received)
        return json.loads(str(received))


async def test_functions_receive_and_send_with_the_identity_and_show_new_tokens_before_the_old_ones_end(place: Place) -> None:
    if not (ROOT / ".venv-functions").exists():
        assert not os.environ.get("CI"), "make setup makes .venv-functions"
        pytest.skip("there is no .venv-functions: make setup")
    place.identity.life, place.identity.refresh_in = 18.0, 2  # so a busy machine has six seconds for each new token
    host = FunctionsHost.beside(place.bridge)
    async with place.bridge, place.client() as found, found.get_topic_sender("work") as sender:
        await host.ready()
        for correlation_id in ("r-1", "r-2"):
            await sender.send_messages(work(correlation_id))
            came = await result(found)
            assert (came["correlationid"], came["data"]["status"]) == (correlation_id, "succeeded")
            await asyncio.sleep(12)
        assert len(place.identity.asked) > 2
        log = (place.bridge.data_dir / "functions.log").read_text()
        assert place.host in log
        assert "could not be renewed" not in log
