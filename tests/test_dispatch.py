"""Work is sent on: to every target, and to each once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bridge import lifecycle
from bridge.errors import Unavailable
from bridge.ports import Message
from bridge.testing import NOON
from tests.pipeline_kit import World, beaten, deliver_again, world


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path)


async def test_half_of_the_targets_dispatched_means_the_rest_follows_and_none_twice(started: World) -> None:
    await started.ask("two")
    requested = next(each for each in started.bus._waiting)
    started.bus._waiting.clear()
    handle = started.bridge.pipeline.subscriptions()["automation-requests/bridge"]
    for _ in range(2):
        await handle(replace(requested.delivery, source="automation-requests/bridge"))
    await started.bus.deliver()
    assert sorted(call.path for call in started.functions.calls) == ["/api/left", "/api/right"]


async def test_work_for_a_topic_is_sent_once_however_often_its_request_comes(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    for _ in range(5):
        await deliver_again(started, "automation-requests/bridge", "requested")
    assert len(started.sent("invoked")) == 1


async def test_work_for_a_topic_is_sent_again_if_nobody_knows_whether_it_was(started: World) -> None:
    await started.ask("work")
    publish = started.bus.publish
    failures: list[Callable[[], None]] = [lambda: None]

    async def flaky(messages: list[Message]) -> None:
        if failures and messages[0].topic == "work":
            failures.pop()
            raise Unavailable("no answer")
        await publish(messages)

    started.bus.publish = flaky  # type: ignore[method-assign,assignment]
    await started.bus.deliver()
    assert started.sent("invoked") == []
    await started.bus.deliver()
    await started.pass_time(31)
    assert started.sent("invoked") == ["id-1/worker"]


async def test_a_request_whose_work_another_delivery_is_sending_comes_again(started: World) -> None:
    await started.ask("work")
    beaten(started, lambda run: lifecycle.begin(run, "worker", now=NOON, until=NOON + timedelta(seconds=20)))
    await started.bus.deliver()
    assert started.sent("invoked") == []
    await started.pass_time(31)
    assert started.sent("invoked") == ["id-1/worker"]
