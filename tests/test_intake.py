"""As whom an event of the bus counts, and what of it is shown when it was refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge import events
from bridge.auth import LOCAL, Signer
from bridge.cloudevents import Event
from bridge.errors import Full
from bridge.idempotency import idempotency_key
from bridge.ports import Message
from bridge.run import Run, Status
from bridge.runs.runlist import RunFilter
from bridge.runview import view_json
from bridge.settings import Settings, TopicIdentity
from tests import pipeline_kit
from tests.pipeline_kit import World

ADMIN_ONLY = """
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: admin.only}
spec:
  deadline: 1m
  allow: {submit: []}
  targets:
  - {name: only, http: {app: app, path: /api/one}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: secretive}
spec:
  input: {type: object, properties: {password: {type: string, writeOnly: true}}}
  deadline: 1m
  targets:
  - {name: only, http: {app: app, path: /api/one}}
"""
EVENT = {"specversion": "1.0", "id": "id-1", "source": "/test", "type": "automation.requested", "subject": "admin.only"}


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(pipeline_kit, "CATALOGUE", pipeline_kit.CATALOGUE + ADMIN_ONLY)
    return await pipeline_kit.world(tmp_path)


async def delivered(world: World, event: Event) -> Run:
    await world.bus.publish([events.requested(event)])
    await world.bus.deliver()
    return await world.run()


def signed(world: World) -> Event:
    asked = Event(EVENT)
    return events.signed(asked, idempotency_key(asked, "root"), Signer(b"k" * 32), world.clock.now())


async def test_what_a_door_let_an_admin_ask_for_starts_even_where_its_run_was_not_stored(world: World) -> None:
    assert (await delivered(world, signed(world))).status is Status.SUCCEEDED


async def test_the_same_without_the_doors_signature_is_refused(world: World) -> None:
    run = await delivered(world, Event({**EVENT, "authid": "root"}))
    assert (run.status, run.error and run.error.code, run.control.submitter) == (Status.FAILED, "Forbidden", "automation-requests")


async def test_a_signature_does_not_hold_for_another_input(world: World) -> None:
    asked = signed(world)
    run = await delivered(world, Event(asked.attributes, {"another": "input"}))
    assert (run.status, run.error and run.error.code, run.control.submitter) == (Status.FAILED, "Forbidden", "automation-requests")


async def test_who_knows_the_caller_and_the_digest_of_a_run_does_not_count_as_its_caller(world: World) -> None:
    asked = signed(world)
    run = await delivered(world, asked)
    assert await delivered(world, Event({**asked.attributes, "authsignature": "guessed"})) == run
    letters, _ = await world.bridge.services.deadletters.kept.page(10, "")
    assert [letter.reason for letter in letters] == ["CorrelationConflict"]


async def test_a_store_without_room_takes_no_request_of_the_api(world: World) -> None:
    world.store.is_full = True
    with pytest.raises(Full):
        await world.ask("one")
    world.store.is_full = False
    assert (await world.ask("one")).created


async def test_a_request_on_the_bus_that_finds_no_room_comes_again(world: World) -> None:
    world.store.is_full = True
    await world.request("one")
    await world.bus.deliver()
    world.store.is_full = False
    await world.bus.deliver()
    assert (await world.run()).status is Status.SUCCEEDED


async def test_a_copy_that_comes_when_the_id_is_free_again_does_not_start_in_its_callers_name(world: World) -> None:
    event = signed(world)
    assert (await delivered(world, event)).control.submitter == "root"
    world.clock.advance(world.settings.retention + timedelta(minutes=1))
    again = await delivered(world, event)
    assert (again.status, again.control.submitter) == (Status.FAILED, "automation-requests")
    assert len(world.functions.calls) == 1


async def shown(world: World, topic: str, body: Any) -> str:
    """All that anybody can see of an event after its delivery: dead letters, runs and replies."""
    await world.bus.publish([Message(topic, body if isinstance(body, bytes) else json.dumps(body).encode())])
    before = len(world.bus.published)
    await world.bus.deliver()
    letters, _ = await world.bridge.services.deadletters.kept.page(10, "")
    found, _ = await world.bridge.services.bridge.list(RunFilter(None, "", None, 10), "", LOCAL)
    replies = b"".join(message.body for message in world.bus.published[before:])
    return json.dumps([letter.view() for letter in letters]) + b"".join(view_json(run) for run in found).decode() + replies.decode()


@pytest.mark.parametrize("subject", ["secretive", "misspelt", None, 5])
@pytest.mark.parametrize("identity", ["id-1", "", "a b"])
async def test_a_refused_request_shows_no_secrets(world: World, subject: object, identity: str) -> None:
    refused = {**EVENT, "id": identity, "source": "", "subject": subject, "data": {"password": "hunter2"}}
    view = await shown(world, events.REQUESTS, refused)
    assert "source is missing" in view
    assert "hunter2" not in view


#: What is wrong with a request that names a usable id.
BROKEN = [
    b'"source": ""',
    b'"specversion": "0.3"',
    b'"time": "noon"',
    b'"type": ""',
    b'"Bad-Name": 1',
    b'"subject": ["one"]',
    b'"subject": "a\\u0000b"',
    b'"datacontenttype": "text/xml"',
    b'"data_base64": "oops"',
    b'"data": {"number": 1e999}',
    b'"data": {"number": NaN}',
    b'"data": {"a": 1, "a": 2}',
    b'"data": "caf\xe9"',
    b'"data": ' + b"[" * 250 + b"]" * 250,
    b'"time": "2026-01-31T12:00:00Z", "time": "2026-01-31T12:00:00Z"',
]


@pytest.mark.parametrize("wrong", BROKEN, ids=lambda wrong: wrong.decode("latin-1")[:40])
async def test_a_request_with_a_usable_id_is_a_run_that_failed_whatever_else_is_wrong(world: World, wrong: bytes) -> None:
    names = {wrong[1:].partition(b'"')[0].decode()}
    rest = json.dumps({name: value for name, value in EVENT.items() if name not in names} | {"correlationid": "order-9"}).encode()
    body = rest[:-1] + b", " + wrong + b"}"
    for _ in range(2):
        await world.bus.publish([Message(events.REQUESTS, body)])
        await world.bus.deliver()
    run = await world.run("order-9")
    assert (run.status, run.error and run.error.code, run.invocations) == (Status.FAILED, "Malformed", ())
    assert run.error is not None
    assert wrong[1:].partition(b'"')[0].decode() in run.error.message + str(run.error.errors) or "not JSON" in run.error.message
    replies = [json.loads(message.body) for message in world.bus.published if message.topic == "automation-replies"]
    assert {(reply["type"], reply["correlationid"], reply["data"]["error"]["code"]) for reply in replies} == {
        ("automation.failed", "order-9", "Malformed")
    }
    assert (await world.bridge.services.deadletters.kept.page(10, ""))[0] == []


async def test_a_request_without_an_id_of_its_own_is_known_by_its_correlation_id(world: World) -> None:
    view = await shown(world, events.REQUESTS, {**EVENT, "correlationid": "order-9", "id": None})
    assert (await world.run("order-9")).status is Status.FAILED
    assert "id is missing" in view


@pytest.mark.parametrize("named", [{"id": "a b"}, {"id": ".."}, {"correlationid": ""}, {"correlationid": 5.5}, {"type": "order.created"}])
async def test_without_a_usable_id_it_is_a_dead_letter_that_names_everything(world: World, named: dict[str, Any]) -> None:
    await shown(world, events.REQUESTS, {**EVENT, "source": "", **named})
    letters, _ = await world.bridge.services.deadletters.kept.page(10, "")
    assert [(letter.reason, "source is missing" in letter.detail) for letter in letters] == [("Malformed", True)]


async def test_a_broken_request_with_the_id_of_another_run_leaves_that_run_alone(world: World) -> None:
    await world.ask("one", {"a": 1}, "id-1")
    await world.bus.deliver()
    before = await world.run()
    await shown(world, events.REQUESTS, {**EVENT, "source": ""})
    assert await world.run() == before
    letters, _ = await world.bridge.services.deadletters.kept.page(10, "")
    assert [letter.reason for letter in letters] == ["CorrelationConflict"]


async def test_two_sources_with_one_id_are_a_repeat_or_a_conflict_like_any_two_requests(world: World) -> None:
    asked = {**EVENT, "subject": "one", "data": {"a": 1}}
    for change in ({}, {"source": "/another"}, {"source": "/another", "data": {"a": 2}}):
        await world.bus.publish([Message(events.REQUESTS, json.dumps({**asked, **change}).encode())])
        await world.bus.deliver()
    letters, _ = await world.bridge.services.deadletters.kept.page(10, "")
    assert [letter.reason for letter in letters] == ["CorrelationConflict"]
    assert len(world.functions.calls) == 1
    await world.bus.publish([Message(events.REQUESTS, json.dumps({**asked, "source": "/another", "correlationid": "id-2"}).encode())])
    await world.bus.deliver()
    assert (await world.run("id-2")).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "body", [[{**EVENT, "data": {"password": "hunter2"}}], {"data": {"password": "hunter2"}}], ids=["batch", "no event"]
)
async def test_what_is_no_event_shows_no_secrets(world: World, body: object) -> None:
    view = await shown(world, events.REQUESTS, body)
    assert "Malformed" in view
    assert "hunter2" not in view


@pytest.mark.parametrize("subject", ["secretive", "misspelt", None])
async def test_a_refused_result_shows_no_data_where_its_function_may_have_known_secrets(world: World, subject: object) -> None:
    result = {**EVENT, "type": "automation.result", "subject": subject, "causationid": "gone/only"}
    view = await shown(world, events.RESULTS, {**result, "data": {"status": "failed", "error": {"message": "hunter2 is wrong"}}})
    assert "Malformed" in view
    assert "hunter2" not in view


async def test_a_refused_event_of_an_automation_without_secrets_is_shown_whole(world: World) -> None:
    assert "visible" in await shown(world, events.REQUESTS, {**EVENT, "source": "", "data": {"a": "visible"}})
    assert "visible" in await shown(world, events.REQUESTS, {**EVENT, "id": "", "source": "", "data": {"a": "visible"}})
    result = {**EVENT, "type": "automation.result", "causationid": "gone/only", "data": {"status": "succeeded", "output": "seen"}}
    assert "seen" in await shown(world, events.RESULTS, result)


async def test_work_that_was_given_up_after_its_run_is_gone_shows_no_secrets(world: World) -> None:
    work = {**EVENT, "id": "gone/only", "type": "automation.invoked", "subject": "secretive", "invocationtoken": "t0ken"}
    view = await shown(world, events.DEADLETTERS, {**work, "data": {"password": "hunter2"}})
    assert "GaveUp" in view
    assert not [word for word in ("hunter2", "t0ken") if word in view]


async def test_a_topic_of_its_own_tells_its_requesters_from_others(world: World) -> None:
    world.settings = Settings(topics={"canary-requests": TopicIdentity(submitter="canary")})
    await world.start()
    for topic in ("canary-requests", events.REQUESTS):
        await world.bus.publish([Message(topic, json.dumps({**EVENT, "subject": "one", "correlationid": topic}).encode())])
        await world.bus.deliver()
    submitters = [(await world.run(topic)).control.submitter for topic in ("canary-requests", events.REQUESTS)]
    assert submitters == ["canary", f"topic:{events.REQUESTS}"]
