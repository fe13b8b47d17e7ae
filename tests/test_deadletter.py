from __future__ import annotations

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ports import Delivery, Message
from bridge.testing import NOON
from tests.core_kit import event, moderate
from tests.deadletters_kit import BODY, World, delivery


@pytest.fixture
def world() -> World:
    return World()


# What it says.


async def test_a_dead_letter_says_what_it_was_whence_it_came_and_why(world):
    letter = await world.kept()
    assert (letter.reason, letter.detail, letter.source, letter.topic, letter.attempts) == (
        "Malformed",
        "no event",
        "automation-requests/bridge",
        "automation-requests",
        2,
    )
    assert (letter.correlation_id, letter.automation, letter.kept_at, letter.original()) == ("order-1", "report", NOON, BODY)
    assert await world.letters.get(letter.id) == letter


async def test_what_a_broker_gave_up_tells_its_origin_and_attempts(world):
    given = delivery(
        source="automation-deadletters", **{"x-opt-deadletter-source": "automation-powershell/powershell", "deliveryCount": "3"}
    )
    letter = await world.kept(given)
    assert (letter.source, letter.topic, letter.attempts) == ("automation-powershell/powershell", "automation-powershell", 3)


@moderate
@given(st.binary(max_size=40))
def test_any_body_comes_back_as_it_was(body):
    letter = asyncio.run(World().kept(delivery(body)))
    assert letter.original() == body
    assert json.dumps(letter.view())


async def test_a_long_detail_is_cut(world):
    await world.letters.keep(delivery(), "Malformed", "x" * 1_000_000)
    assert len((await world.listed())[0].detail) == 2000


@pytest.mark.parametrize("count", ["many", "", "-1", "9" * 5_000, "٣"])
async def test_a_count_of_deliveries_that_is_none_does_no_harm(world, count):
    assert (await world.kept(delivery(deliveryCount=count))).attempts == 2


# Showing.


async def test_tokens_and_secrets_are_masked(world):
    shown = (await world.kept(secret_paths=(("password",),))).view()
    assert shown["event"]["data"] == {"password": "***", "user": "root"}
    assert (shown["event"]["invocationtoken"], shown["event"]["authsignature"]) == ("***", "***")
    assert not [secret for secret in ("hunter2", "t0ken", "s1gned") if secret in json.dumps(shown)]


async def test_a_view_names_what_it_knows_and_nothing_empty(world):
    shown = (await world.kept(Delivery("automation-timers/bridge", Message("automation-timers", b"[]")))).view()
    assert shown.keys() == {"id", "reason", "detail", "source", "topic", "attempts", "keptAt", "contentType", "event"}


@pytest.mark.parametrize(("body", "shown"), [(b"not json", "not json"), (b"\xff\x00", base64.b64encode(b"\xff\x00").decode()), (b"", "")])
async def test_what_is_no_json_is_shown_as_it_is(world, body, shown):
    assert (await world.kept(delivery(body))).view()["body"] == shown


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"data_base64": base64.b64encode(b'{"password": "hunter2"}').decode()}).encode(),
        json.dumps([{"invocationtoken": "t0ken", "data": {"password": "hunter2"}}]).encode(),
    ],
    ids=["base64", "batch"],
)
async def test_secrets_are_masked_however_they_are_written(world, body):
    shown = json.dumps((await world.kept(delivery(body), secret_paths=(("password",),))).view())
    hidden = ("hunter2", "t0ken", base64.b64encode(b'{"password": "hunter2"}').decode())
    assert not [secret for secret in hidden if secret in shown]


async def test_the_secrets_of_a_bare_input_are_masked(world):
    body = json.dumps({"password": "hunter2", "name": "x"}).encode()
    shown = (await world.kept(delivery(body), secret_paths=(("password",),))).view()
    assert shown["event"] == {"password": "***", "name": "x"}


async def test_a_body_that_is_json_and_no_event_is_shown_as_its_value(world):
    assert (await world.kept(delivery(b"17"))).view()["event"] == 17


# Where it came from.


async def test_a_replay_that_leads_nowhere_again_is_another_dead_letter_that_names_its_parent(world):
    letter = await world.kept()
    await world.replay(letter)
    back = await world.kept(Delivery("automation-requests/bridge", world.bus.published[0]))
    assert (back.view()["replayOf"], back.id != letter.id) == (letter.id, True)
    assert [each.id for each in await world.listed(replay_of=letter.id)] == [back.id]


async def test_who_only_says_to_be_a_replay_is_none(world):
    letter = await world.kept()
    forged = await world.kept(delivery(message_id=f"{letter.id}/1"))
    unknown = await world.kept(delivery(message_id=f"{'0' * 24}/1"))
    assert (forged.replay_of, unknown.replay_of) == ("", "")


async def test_the_lineage_leads_to_the_run_and_the_cause_where_only_the_event_names_them(world):
    body = event({}, correlationid="order-7", causationid="e-7").encode()
    shown = (await world.kept(Delivery("t/s", Message("t", body)))).view(event=False)
    assert (shown["correlationId"], shown["causationId"], shown["automation"]) == ("order-7", "e-7", "report")
    by_id = await world.kept(Delivery("t/s", Message("t", event({}, id="order-8").encode())))
    assert by_id.correlation_id == "order-8"
