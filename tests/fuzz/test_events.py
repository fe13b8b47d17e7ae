"""Whatever arrives as an event ends as a run, a dead letter or a refusal. Nothing is lost, nothing comes back for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.events import DEADLETTERS
from bridge.ports import Ack, Delivery, Message
from tests.api.test_openapi import answer
from tests.fuzz.events import batches, binary, bodies
from tests.pipeline_kit import World, world

unhurried = settings(deadline=None)
REQUESTS = "automation-requests/bridge"
SOURCES = st.sampled_from([REQUESTS, "automation-invocations/bridge", "automation-results/bridge", "automation-timers/bridge", DEADLETTERS])
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


@pytest.fixture(scope="module")
def in_a_world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[World], Coroutine[Any, Any, None]]], None]:
    """Runs a story in a new world."""
    folder: Path = tmp_path_factory.mktemp("fuzz")

    async def told(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
        await story(await world(folder))

    return lambda story: asyncio.run(told(story))


async def deliver(to: World, source: str, body: bytes, number: int = 0) -> Ack:
    message = Message(source.partition("/")[0], body, message_id=f"message-{number}")
    return await to.bridge.pipeline.subscriptions()[source](Delivery(source, message))


async def letters(of: World) -> dict[bytes, str]:
    """The reason of each dead letter, by the event it keeps."""
    found, _ = await of.bridge.services.deadletters.kept.page(200, "")
    return {letter.original(): letter.reason for letter in found}


async def has_run(of: World, body: bytes) -> bool:
    """Whether the run under the event's correlation id was asked for by this event."""
    # Numbers and true and false stand for the text that JSON writes for them. What is no UTF-8 spoils only what holds it.
    told = json.loads(body.decode("utf-8-sig", "replace"))
    event = {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items() if value is not None}
    identity = event.get("id", "")
    run = await of.run(event.get("correlationid", identity))
    if run.control.request_id == identity:
        return True
    # A request whose `id` is no text that an event may have is known by its correlation id alone.
    return run.control.request_id == "" and run.error is not None and run.error.code == "Malformed"


@unhurried
@given(st.lists(bodies, min_size=1, max_size=4))
def test_an_event_on_the_topic_of_requests_becomes_a_run_or_a_dead_letter(in_a_world, sent) -> None:
    async def story(of: World) -> None:
        assert {await deliver(of, REQUESTS, body, number) for number, body in enumerate(sent)} == {Ack.DONE}
        kept = await letters(of)
        assert "InternalError" not in kept.values()
        assert [body for body in sent if body not in kept and not await has_run(of, body)] == []

    in_a_world(story)


@unhurried
@given(st.lists(bodies, min_size=1, max_size=4))
def test_a_run_that_any_event_made_ends_and_has_its_reply(in_a_world, sent) -> None:
    async def story(of: World) -> None:
        for number, body in enumerate(sent):
            await deliver(of, REQUESTS, body, number)
        await of.bus.deliver()
        await of.pass_time(120)
        account = await of.bridge.services.audit.take()
        assert (account.unfinished, account.replies, account.discrepancies) == (0, account.accepted, [])

    in_a_world(story)


@unhurried
@given(st.lists(st.tuples(SOURCES, bodies), min_size=1, max_size=4))
def test_nothing_that_is_delivered_anywhere_comes_back_or_breaks_the_bridge(in_a_world, sent) -> None:
    async def story(of: World) -> None:
        await of.ask("work", correlation_id="order-1")
        await of.bus.deliver()
        assert {await deliver(of, source, body, number) for number, (source, body) in enumerate(sent)} == {Ack.DONE}
        assert "InternalError" not in (await letters(of)).values()

    in_a_world(story)


@unhurried
@given(bodies.map(lambda body: (STRUCTURED, body)) | binary())
def test_an_event_over_http_is_a_run_or_a_refusal_that_says_why(in_a_world, sent) -> None:
    async def story(of: World) -> None:
        headers, body = sent
        status, _, said = await answer(of, "POST", "/v1/events", body, headers)
        told = json.loads(said)
        if status == 202:
            assert (await of.run(told["correlationId"])).correlation_id == told["correlationId"]
            assert len(of.sent("requested")) == 1
        else:
            assert 400 <= status < 500
            assert (told["status"], bool(told["detail"]), of.bus.published) == (status, True, [])

    in_a_world(story)


@unhurried
@given(batches)
def test_a_batch_has_one_answer_for_each_of_its_items(in_a_world, sent) -> None:
    async def story(of: World) -> None:
        status, _, said = await answer(of, "POST", "/v1/events", json.dumps(sent).encode(), BATCH)
        told = json.loads(said)
        if status == 400:  # a number or a text in it is none that JSON has, which makes the whole no JSON
            assert (told["code"], of.bus.published) == ("Malformed", [])
        else:
            assert (status, len(told["items"])) == (202, len(sent))
            assert all("correlationId" in item or 400 <= item["status"] < 500 for item in told["items"])

    in_a_world(story)
