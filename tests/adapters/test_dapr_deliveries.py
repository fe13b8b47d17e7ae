"""The port on which the sidecar brings messages by HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from bridge.adapters.dapr.deliveries import Deliveries
from bridge.adapters.dapr.readers import Readers, Wanted
from bridge.errors import ConfigurationError, Undeliverable
from bridge.ports import Ack

SOURCE, TOKEN = "topic/bridge", "secret"


@dataclass
class Open:
    """The port, and who takes what comes there."""

    port: int
    readers: Readers


@pytest.fixture
async def deliveries() -> AsyncIterator[Open]:
    readers = Readers(frozenset({SOURCE}))
    async with Deliveries.open(0, TOKEN, readers) as port:
        yield Open(port, readers)


async def bring(deliveries, body=b"event", *, source=SOURCE, token=TOKEN, raw=None):
    """Status and answer, as the sidecar sees them."""
    sent = raw if raw is not None else json.dumps({"data_base64": base64.b64encode(body).decode()}).encode()
    url, headers = f"http://127.0.0.1:{deliveries.port}/deliveries/{source}", {"dapr-api-token": token}
    async with aiohttp.ClientSession() as session, session.post(url, data=io.BytesIO(sent), headers=headers) as answer:
        return answer.status, (await answer.json())["status"] if answer.status == 200 else ""


async def test_a_message_that_is_done_is_a_success(deliveries, inbox):
    deliveries.readers.take(SOURCE, inbox, concurrency=1)
    assert await bring(deliveries, b"\xff\x00 no event") == (200, "SUCCESS")
    delivery = await inbox.next()
    assert (delivery.message.body, delivery.message.topic, delivery.source) == (b"\xff\x00 no event", "topic", SOURCE)


@pytest.mark.parametrize("trouble", [Ack.RETRY, RuntimeError("broken")], ids=["retry", "exception"])
async def test_trouble_asks_for_the_message_again(deliveries, inbox, trouble):
    inbox.answers = [trouble]
    deliveries.readers.take(SOURCE, inbox, concurrency=1)
    assert await bring(deliveries) == (200, "RETRY")


async def test_a_message_before_its_reader_comes_again(deliveries):
    assert await bring(deliveries) == (200, "RETRY")


async def test_a_route_that_nobody_reads_loses_nothing(deliveries):
    assert await bring(deliveries, source="no/such/source") == (200, "RETRY")


@pytest.mark.parametrize("token", ["", "secret2", "sécret"])
async def test_without_the_token_nothing_is_taken(deliveries, inbox, token):
    deliveries.readers.take(SOURCE, inbox, concurrency=1)
    status, _ = await bring(deliveries, token=token)
    assert status == 401
    assert inbox.came.empty()


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{}", b'{"data_base64":1}', b'{"data_base64":"%%%"}', b"\xff"])
async def test_what_is_not_raw_comes_again_until_the_subscription_is_mended(deliveries, inbox, raw):
    deliveries.readers.take(SOURCE, inbox, concurrency=1)
    assert await bring(deliveries, raw=raw) == (200, "RETRY")
    assert inbox.came.empty()


async def test_a_message_of_many_megabytes_is_taken(deliveries, inbox):
    deliveries.readers.take(SOURCE, inbox, concurrency=1)
    assert await bring(deliveries, b"x" * 5_000_000) == (200, "SUCCESS")


async def test_what_runs_may_end_while_it_closes_and_nothing_new_starts(deliveries):
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_):
        started.set()
        await go_on.wait()
        return Ack.DONE

    deliveries.readers.take(SOURCE, slow, concurrency=1)
    running, waiting = asyncio.create_task(bring(deliveries)), asyncio.create_task(bring(deliveries))
    await started.wait()
    closing = asyncio.create_task(deliveries.readers.close(10))
    await asyncio.sleep(0)
    go_on.set()
    assert [await running, await waiting] == [(200, "SUCCESS"), (200, "RETRY")]
    await closing


async def test_what_still_runs_after_that_comes_again(deliveries):
    started = asyncio.Event()

    async def endless(_):
        started.set()
        await asyncio.Event().wait()

    deliveries.readers.take(SOURCE, endless, concurrency=1)
    running = asyncio.create_task(bring(deliveries))
    await started.wait()
    await deliveries.readers.close(0)
    assert await running == (200, "RETRY")


async def test_only_sources_that_exist_can_be_read(deliveries, inbox):
    with pytest.raises(Undeliverable, match="no/such"):
        deliveries.readers.take("no/such", inbox, concurrency=1)


async def test_a_port_that_is_taken_is_told(deliveries):
    with pytest.raises(ConfigurationError, match=str(deliveries.port)):
        async with Deliveries.open(deliveries.port, TOKEN, deliveries.readers):
            pass


async def get(deliveries, path, **headers):
    url = f"http://127.0.0.1:{deliveries.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_the_sidecars_look_whether_the_bridge_lives_needs_no_token(deliveries):
    assert (await get(deliveries, "/healthz/live"))[0] == 200
    assert (await get(deliveries, "/dapr/subscribe"))[0] == 401


async def test_where_no_token_is_set_pages_of_a_browser_are_refused(inbox):
    readers = Readers(frozenset({SOURCE}))
    async with Deliveries.open(0, "", readers) as port:
        deliveries = Open(port, readers)
        readers.take(SOURCE, inbox, concurrency=1)
        assert await bring(deliveries) == (200, "SUCCESS")
        assert (await get(deliveries, "/dapr/subscribe", origin="https://page.example"))[0] == 401


async def test_topics_that_are_wanted_are_asked_for_raw():
    readers = Readers(frozenset({"work"}))
    async with Deliveries.open(0, "", readers, [Wanted("bus", "work")]) as port:
        _, body = await get(Open(port, readers), "/dapr/subscribe")
    routes = {"default": "/deliveries/work"}
    assert json.loads(body) == [{"pubsubname": "bus", "topic": "work", "metadata": {"rawPayload": "true"}, "routes": routes}]
