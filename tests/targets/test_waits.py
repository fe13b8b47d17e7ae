"""What an unfinished run waits for, from each of its states."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bridge.auth import LOCAL
from bridge.ports import FunctionCall, FunctionResponse
from bridge.runview import WaitingFor
from bridge.targets.waits import WaitReason
from bridge.testing import NOON
from tests.pipeline_kit import World, world

BUSY = FunctionResponse(503, {}, b"")


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path, retry="late")


async def waits(started: World, correlation_id: str = "id-1") -> WaitingFor:
    found = started.bridge.services.waits.of(await started.run(correlation_id))
    assert found is not None
    return found


async def test_a_run_whose_work_was_not_delivered_yet_waits_for_that(started: World) -> None:
    await started.ask("one")
    assert (await waits(started)).reason == WaitReason.DELIVERY


async def test_a_run_whose_function_is_called_waits_for_its_answer(started: World) -> None:
    seen: list[WaitingFor] = []

    async def look(_: FunctionCall) -> FunctionResponse:
        seen.append(await waits(started))
        return BUSY

    started.functions.answers["/api/one"] = [look]
    await started.ask("one")
    await started.bus.deliver()
    assert seen[0].reason == WaitReason.FUNCTION
    assert seen[0].message.startswith("only: the function has been called at 2026-01-31T12:00:00Z")


async def test_after_a_failure_it_waits_for_the_next_attempt_and_says_why(started: World) -> None:
    started.functions.answers["/api/one"] = [BUSY]
    await started.ask("one")
    await started.bus.deliver()
    found = await waits(started)
    assert (found.reason, found.until) == (WaitReason.NEXT_ATTEMPT, NOON + timedelta(seconds=20))
    assert "Http503" in found.message


async def test_while_the_breaker_is_open_it_says_until_when(started: World) -> None:
    started.functions.answers["/api/one"] = [BUSY]
    for number in (1, 2, 3):
        await started.ask("one", correlation_id=f"id-{number}")
        await started.bus.deliver()
    found = await waits(started, "id-3")
    assert (found.reason, found.until) == (WaitReason.BREAKER_OPEN, NOON + timedelta(seconds=15))


async def test_work_behind_a_topic_waits_for_its_result_event(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    found = await waits(started)
    assert (found.reason, found.until) == (WaitReason.RESULT_EVENT, NOON + timedelta(minutes=1))


async def test_accepted_work_is_asked_for_its_status(started: World) -> None:
    goes_on = FunctionResponse(202, {"location": "/api/status"}, b"")
    started.functions.answers |= {"/api/one": [goes_on], "/api/status": [goes_on]}
    await started.ask("followed")
    await started.bus.deliver()
    assert (await waits(started)).reason == WaitReason.STATUS_OF_FUNCTION


async def test_a_run_that_is_being_canceled_says_until_when(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    await started.bridge.services.bridge.cancel("id-1", LOCAL)
    found = await waits(started)
    assert (found.reason, found.until) == (WaitReason.CANCEL, NOON + started.settings.cancel_grace)


async def test_a_target_that_nobody_serves_is_named(started: World) -> None:
    started.functions.nobody_at["app", "POST", "/api/one"] = "app has no function at /api/one"
    await started.ask("one")
    found = await waits(started)
    assert (found.reason, found.message) == (WaitReason.NOBODY_SERVES, "only: app has no function at /api/one")


async def test_an_ended_run_waits_for_nothing(started: World) -> None:
    await started.ask("one")
    await started.bus.deliver()
    assert started.bridge.services.waits.of(await started.run()) is None
