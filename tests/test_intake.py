"""As whom an event of the bus counts, and what of it is shown when it was refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge import events
from bridge.envelope import Event
from bridge.identity import Caller, Signer
from bridge.ports import Message
from bridge.request import identify
from bridge.run import Run, Status
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
    return events.signed(asked, identify(asked, Caller("root")), Signer(b"k" * 32), world.clock.now())


async def test_what_a_door_let_an_admin_ask_for_starts_even_where_its_run_was_not_stored(world: World) -> None:
    assert (await delivered(world, signed(world))).status is Status.SUCCEEDED


async def test_the_same_without_the_doors_signature_is_refused(world: World) -> None:
    run = await delivered(world, Event({**EVENT, "authid": "root"}))
    assert (run.status, run.error and run.error.code, run.control.submitter) == (Status.FAILED, "Forbidden", "automation-requests")


async def test_a_copy_that_comes_when_the_id_is_free_again_does_not_start_in_its_callers_name(world: World) -> None:
    event = signed(world)
    assert (await delivered(world, event)).control.submitter == "root"
    world.clock.advance(world.settings.retention + timedelta(minutes=1))
    again = await delivered(world, event)
    assert (again.status, again.control.submitter) == (Status.FAILED, "automation-requests")
    assert len(world.functions.calls) == 1


async def shown(world: World, topic: str, body: Any) -> str:
    await world.bus.publish([Message(topic, json.dumps(body).encode())])
    await world.bus.deliver()
    letters, _ = await world.bridge.services.deadletters.page(10, "")
    return json.dumps([letter.view() for letter in letters])


@pytest.mark.parametrize("subject", ["secretive", "misspelt", None, 5])
async def test_a_refused_request_shows_no_secrets(world: World, subject: object) -> None:
    view = await shown(world, events.REQUESTS, {**EVENT, "source": "", "subject": subject, "data": {"password": "hunter2"}})
    assert "source is missing" in view
    assert "hunter2" not in view


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
    result = {**EVENT, "type": "automation.result", "causationid": "gone/only", "data": {"status": "succeeded", "output": "seen"}}
    assert "seen" in await shown(world, events.RESULTS, result)


async def test_work_that_was_given_up_after_its_run_is_gone_shows_no_secrets(world: World) -> None:
    work = {**EVENT, "id": "gone/only", "type": "automation.invoked", "subject": "secretive", "invocationtoken": "t0ken"}
    view = await shown(world, events.DEADLETTERS, {**work, "data": {"password": "hunter2"}})
    assert "GaveUp" in view
    assert not [word for word in ("hunter2", "t0ken") if word in view]
