"""Requesters without a bridge client and without Dapr: Azure's own client sends a CloudEvent and reads the reply."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from bridge.local.freeports import free_ports
from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted

EVENT = {"specversion": "1.0", "source": "/orders", "type": "automation.requested", "subject": "echo", "replytopic": "my-replies"}


@pytest.fixture
async def servicebus(app: Scripted, tmp_path: Path) -> AsyncIterator[ServiceBusClient]:
    arguments = ("--servicebus-port", str(free_ports(1)[0]))
    async with BridgeProcess(tmp_path / "data", scripted_config(app.url), arguments, {"SCRIPTED_KEY": KEY}):
        connection_string = json.loads((tmp_path / "data" / "servicebus.json").read_text())["connectionString"]
        async with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client:
            yield client


async def request(client: ServiceBusClient, message: ServiceBusMessage) -> None:
    async with client.get_topic_sender("automation-requests") as sender:
        await sender.send_messages(message)


async def reply(client: ServiceBusClient) -> ServiceBusReceivedMessage:
    async with client.get_subscription_receiver("my-replies", "me") as receiver:
        (message,) = await receiver.receive_messages(max_wait_time=15)
        await receiver.complete_message(message)
        return message


def event_of(message: ServiceBusReceivedMessage) -> Any:
    return json.loads(str(message))


async def test_a_cloudevent_in_structured_mode_is_answered_under_its_correlation_id(servicebus):
    event = {**EVENT, "id": "e-1", "correlationid": "order-1", "data": {"text": "x"}}
    await request(servicebus, ServiceBusMessage(json.dumps(event), content_type="application/cloudevents+json"))
    answered = await reply(servicebus)
    assert (answered.correlation_id, answered.subject) == ("order-1", "echo")
    assert event_of(answered)["data"]["output"]["text"] == "x"


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
async def test_a_cloudevent_in_binary_mode_is_answered_too(servicebus, prefix):
    properties = {f"{prefix}{name}": value for name, value in {**EVENT, "id": "e-2", "correlationid": "order-2"}.items()}
    message = ServiceBusMessage('{"number": 1152921504606846976}', content_type="application/json", application_properties=properties)
    await request(servicebus, message)
    answered = await reply(servicebus)
    assert answered.correlation_id == "order-2"
    assert event_of(answered)["data"]["output"]["number"] == 2**60


async def test_a_request_in_binary_mode_that_is_wrong_is_answered_with_what_is_wrong(servicebus):
    properties = {f"cloudEvents:{name}": value for name, value in {**EVENT, "id": "e-3", "correlationid": "order-3"}.items()}
    await request(servicebus, ServiceBusMessage('{"number": "none"}', content_type="application/json", application_properties=properties))
    answered = event_of(await reply(servicebus))
    assert (answered["type"], answered["correlationid"]) == ("automation.failed", "order-3")
    assert "integer" in answered["data"]["error"]["message"]
