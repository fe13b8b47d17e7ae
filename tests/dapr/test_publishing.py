"""Each way to publish a request through Dapr that docs/dapr.md shows, on a real sidecar; and what becomes of the ways that do not work."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dapr.aio.clients import DaprClient
from dapr.conf import settings

from bridge import cloudevents, events
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.dapr.machine import Machine
from tests.dapr.sidecar import API_TOKEN, COMPONENTS
from tests.dapr.streams import Streams, streams
from tests.dapr.test_requester import Orders, bridge_beside, orders_on

STRUCTURED, JSON, BYTES = "application/cloudevents+json", "application/json", "application/octet-stream"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
BIG = 2**60 + 1
INPUT = {"text": "hello", "number": BIG}
RAW = {"metadata.rawPayload": "true"}
ANY_INPUT = b'{"text": "hello"}'


@dataclass
class Place:
    """The sidecar of an application that asks, and a bridge."""

    orders: Orders
    bridge: BridgeProcess
    bridge_http: aiohttp.ClientSession
    bus: Streams

    async def http(self, body: bytes, content_type: str, query: dict[str, str] | None = None, **headers: str) -> None:
        await self._post(f"publish/orders-bus/{events.REQUESTS}", body, content_type, query, headers)

    async def bulk(self, entry: dict[str, Any], query: dict[str, str] | None = None, **headers: str) -> None:
        body = json.dumps([{"entryId": "1", **entry}]).encode()
        await self._post(f"publish/bulk/orders-bus/{events.REQUESTS}", body, JSON, query, headers)

    async def _post(self, path: str, body: bytes, content_type: str, query: dict[str, str] | None, headers: dict[str, str]) -> None:
        sent = {"content-type": content_type, **headers}
        async with self.orders.http.post(f"/v1.0/{path}", data=body, params=query or {}, headers=sent) as answer:
            assert answer.status == 204, await answer.text()

    def sdk(self) -> DaprClient:
        return DaprClient(f"127.0.0.1:{self.orders.sidecar.grpc_port}")

    async def run(self, name: str) -> Any:
        async with asyncio.timeout(20):
            while True:
                async with self.bridge_http.get(f"/v1/requests/{name}?wait=20") as answer:
                    if answer.status == 200:
                        return await answer.json()
                await asyncio.sleep(0.05)

    async def letter(self) -> Any:
        async with asyncio.timeout(20):
            while True:
                async with self.bridge_http.get("/v1/deadletters") as answer:
                    if items := (await answer.json())["items"]:
                        return items[0]
                await asyncio.sleep(0.05)


@pytest.fixture
async def place(machine: Machine, tmp_path: Path, app: Scripted, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    await machine.redis()
    async with AsyncExitStack() as stack:
        orders = await stack.enter_async_context(orders_on(machine, tmp_path))
        bridge = await stack.enter_async_context(bridge_beside(machine, tmp_path, app))
        http = await stack.enter_async_context(aiohttp.ClientSession(bridge.url))
        bus = await stack.enter_async_context(streams(machine.redis_port, machine.port))
        monkeypatch.setattr(settings, "DAPR_API_TOKEN", API_TOKEN)
        monkeypatch.setattr(settings, "DAPR_HTTP_PORT", int(orders.sidecar.connection.address.rpartition(":")[2]))
        yield Place(orders, bridge, http, bus)


def event(name: str, **more: Any) -> dict[str, Any]:
    """A whole CloudEvent."""
    own = {"specversion": "1.0", "id": name, "source": "/orders", "type": "automation.requested", "subject": "echo"}
    return {**own, "datacontenttype": JSON, "data": INPUT, **more}


def metadata(name: str, prefix: str = "", **more: str) -> dict[str, str]:
    """What Dapr must be told of an event that it wraps."""
    told = {"type": "automation.requested", "subject": "echo", "id": name, **more}
    return {f"{prefix}cloudevent.{attribute}": value for attribute, value in told.items()}


async def as_cloudevent(place: Place, name: str) -> None:
    await place.http(json.dumps(event(name)).encode(), STRUCTURED, traceparent=PARENT)


async def as_bytes(place: Place, name: str) -> None:
    await place.http(json.dumps(event(name, traceparent=PARENT)).encode(), BYTES, RAW)


async def wrapped(place: Place, name: str) -> None:
    await place.http(json.dumps(INPUT).encode(), JSON, metadata(name, "metadata."), traceparent=PARENT)


async def in_bulk(place: Place, name: str) -> None:
    await place.bulk({"event": event(name), "contentType": STRUCTURED}, traceparent=PARENT)


async def in_bulk_as_bytes(place: Place, name: str) -> None:
    body = base64.b64encode(json.dumps(event(name, traceparent=PARENT)).encode()).decode()
    await place.bulk({"event": body, "contentType": BYTES}, RAW)


async def with_the_sdk(place: Place, name: str) -> None:
    async with place.sdk() as dapr:
        body = json.dumps(event(name, traceparent=PARENT, traceid=PARENT))
        await dapr.publish_event("orders-bus", events.REQUESTS, body, data_content_type=STRUCTURED)


async def with_the_sdk_wrapped(place: Place, name: str) -> None:
    async with place.sdk() as dapr:
        told = metadata(name, traceparent=PARENT)
        await dapr.publish_event("orders-bus", events.REQUESTS, json.dumps(INPUT), told, data_content_type=JSON)


async def with_the_sdk_in_bulk(place: Place, name: str) -> None:
    async with place.sdk() as dapr:
        body = json.dumps(event(name, traceparent=PARENT, traceid=PARENT))
        answer = await dapr.publish_events("orders-bus", events.REQUESTS, [body], data_content_type=STRUCTURED)
        assert not answer.failed_entries


WAYS = (as_cloudevent, as_bytes, wrapped, in_bulk, in_bulk_as_bytes, with_the_sdk, with_the_sdk_wrapped, with_the_sdk_in_bulk)
#: In bulk over HTTP the sidecar reads JSON into floating-point numbers.
NOT_EXACT = in_bulk


async def test_each_way_makes_a_run_with_its_trace_and_exact_integers(place: Place, app: Scripted) -> None:
    for way in WAYS:
        await way(place, way.__name__)
    for way in WAYS:
        run = await place.run(way.__name__)
        assert run["status"] == "Succeeded", (way.__name__, run)
        assert run["input"]["text"] == "hello", way.__name__
        assert (run["input"]["number"] == BIG) == (way is not NOT_EXACT), way.__name__
    traces = {headers["x-correlation-id"]: headers.get("traceparent", "") for _, headers, _ in app.calls}
    assert {name: trace[3:35] for name, trace in traces.items()} == {way.__name__: TRACE for way in WAYS}


async def test_a_traceparent_among_the_attributes_alone_is_blanked_by_dapr(place: Place, app: Scripted) -> None:
    await place.http(json.dumps(event("blanked", traceparent=PARENT)).encode(), STRUCTURED)
    assert (await place.run("blanked"))["status"] == "Succeeded"
    ((_, headers, _),) = app.calls
    assert "traceparent" not in headers


LEFT_ALONE: dict[str, tuple[Callable[[Place], Any], str]] = {
    "json": (lambda place: place.http(ANY_INPUT, JSON), "the metadata cloudevent.type=automation.requested, cloudevent.subject="),
    "text": (lambda place: place.http(ANY_INPUT, "text/plain"), "the content type application/json, the metadata cloudevent.type="),
    "bytes": (lambda place: place.http(ANY_INPUT, BYTES), "the content type application/json"),
    "no content type": (lambda place: place.http(ANY_INPUT, ""), "the content type application/json"),
    "an event as json": (lambda place: place.http(json.dumps(event("e")).encode(), JSON), "Its data is a CloudEvent already"),
    "no event": (lambda place: place.http(ANY_INPUT, STRUCTURED), "Send id, source, type, subject and data"),
    "bulk": (lambda place: place.bulk({"event": {"text": "hello"}, "contentType": JSON}), "the metadata cloudevent.type="),
}


@pytest.mark.parametrize("way", LEFT_ALONE)
async def test_what_dapr_wraps_or_completes_is_a_dead_letter_that_says_what_mends_it(place: Place, way: str) -> None:
    publish, mend = LEFT_ALONE[way]
    await publish(place)
    letter = await place.letter()
    assert letter["reason"] == "Malformed"
    assert "Dapr" in letter["detail"]
    assert mend in letter["hint"]


async def test_of_the_sdk_without_a_content_type_the_same_is_said(place: Place) -> None:
    async with place.sdk() as dapr:
        await dapr.publish_event("orders-bus", events.REQUESTS, '{"text": "hello"}')
    assert "the content type application/json" in (await place.letter())["hint"]


def blocks(language: str) -> list[str]:
    """The examples of docs/dapr.md under "How to publish"."""
    text = (COMPONENTS.parent / "docs" / "dapr.md").read_text().partition("## How to publish")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(("language", "program"), [("python", [sys.executable]), ("sh", ["/bin/sh", "-e"])])
async def test_the_examples_of_the_documentation_publish_requests(place: Place, tmp_path: Path, language: str, program: list[str]) -> None:
    (example,) = blocks(language)
    (tmp_path / "example").write_text(example)
    address = place.orders.sidecar.connection.address
    ports = {"DAPR_HTTP_PORT": address.rpartition(":")[2], "DAPR_GRPC_PORT": str(place.orders.sidecar.grpc_port)}
    environ = {**os.environ, **ports, "DAPR_API_TOKEN": API_TOKEN}
    process = await asyncio.create_subprocess_exec(*program, str(tmp_path / "example"), env=environ)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    sent = [fields[b"data"] for _, fields in await place.bus.redis.xrange(events.REQUESTS)]
    assert len(sent) >= 2
    for body in sent:
        read = cloudevents.decode(body)
        assert (read.type, read.subject) == ("automation.requested", "table.summarize")
        assert read.id.startswith("order-")
        assert isinstance(read.data["csv"], str)
