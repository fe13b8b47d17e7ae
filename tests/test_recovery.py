"""What a replica had in hand when its process ended is taken up by its next process, whoever the bus brings the message to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.app import assemble
from bridge.errors import Unavailable
from bridge.ports import FunctionCall, FunctionResponse, Message
from bridge.run import Run, Status
from bridge.testing import MemoryRuntime, MemoryStore, json_answer
from tests.pipeline_kit import World, world


@pytest.fixture
async def made(tmp_path: Path) -> World:
    """A bridge whose store is shared with others; the function hangs at its first call."""
    made = await world(tmp_path)
    made.store = MemoryStore(made.clock, shared=True)
    return await as_process(made, "a")


async def as_process(made: World, replica: str) -> World:
    """The next process, of the replica of this name."""
    made.bridge = assemble(made.settings, made.plans, MemoryRuntime(made.bus, made.store, made.functions, replica=replica), made.clock)
    for source, handler in made.bridge.pipeline.subscriptions().items():
        await made.bus.subscribe(source, handler, concurrency=1)
    return made


async def in_hand(made: World, automation: str = "one", *paths: str) -> None:
    """Ask, and end the process while the function is called."""
    called = asyncio.Event()

    async def hangs(_: FunctionCall) -> FunctionResponse:
        called.set()
        await asyncio.Event().wait()
        return json_answer(None)

    for path in paths or ("/api/one",):
        made.functions.answers[path] = [hangs, json_answer("again")]
    await made.request(automation)
    delivering = asyncio.create_task(made.bus.deliver())
    await asyncio.wait_for(called.wait(), 20)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)


def outcomes(run: Run) -> list[str]:
    return [attempt.outcome for invocation in run.invocations for attempt in invocation.attempts]


async def test_a_call_that_was_in_hand_is_made_again_at_once(made: World) -> None:
    await in_hand(made)
    await as_process(made, "a")
    made.clock.advance(timedelta(seconds=1))
    await made.bridge.recovery.take_up()
    run = await made.run()
    assert (run.status, run.output, outcomes(run)) == (Status.SUCCEEDED, "again", ["Unknown", "Succeeded"])


async def test_the_reply_comes_although_the_process_that_took_it_up_ends_before_it_is_sent(made: World) -> None:
    await in_hand(made)
    await as_process(made, "a")
    made.clock.advance(timedelta(seconds=1))
    publish = made.bus.publish

    async def no_replies(messages: Sequence[Message]) -> None:
        if any(message.topic == "automation-replies" for message in messages):
            raise Unavailable("The process ends here.")
        await publish(messages)

    made.bus.publish = no_replies  # type: ignore[method-assign]
    taking = asyncio.create_task(made.bridge.recovery.take_up())
    async with asyncio.timeout(20):
        while (await made.run()).status is not Status.SUCCEEDED:
            await asyncio.sleep(0.01)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    made.bus.publish = publish  # type: ignore[method-assign]
    await as_process(made, "b")
    await made.pass_time(60)
    assert made.sent("succeeded")


async def test_another_replica_leaves_it_alone(made: World) -> None:
    await in_hand(made)
    await as_process(made, "b")
    before = len(made.bus.published)
    await made.bridge.recovery.take_up()
    assert outcomes(await made.run()) == ["Running"]
    assert len(made.bus.published) == before


async def test_a_run_that_another_replica_has_accepted_is_taken_up_too(made: World) -> None:
    """The one that calls for it need not be the one that has it in its index."""
    await made.ask("one")
    await as_process(made, "b")
    called = asyncio.Event()

    async def hangs(_: FunctionCall) -> FunctionResponse:
        called.set()
        await asyncio.Event().wait()
        return json_answer(None)

    made.functions.answers["/api/one"] = [hangs, json_answer("again")]
    delivering = asyncio.create_task(made.bus.deliver())
    await asyncio.wait_for(called.wait(), 20)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    await as_process(made, "b")
    made.clock.advance(timedelta(seconds=1))
    await made.bridge.recovery.take_up()
    assert (await made.run()).status is Status.SUCCEEDED


async def test_what_has_ended_and_what_is_past_its_deadline_is_left_alone(made: World) -> None:
    await in_hand(made)
    await as_process(made, "a")
    made.clock.advance(timedelta(minutes=2))
    await made.bridge.recovery.take_up()
    assert outcomes(await made.run()) == ["Running"]


async def test_with_nothing_to_do_nothing_is_done(made: World) -> None:
    await made.bridge.recovery.take_up()
    await made.request("one")
    await made.bus.deliver()
    before = len(made.functions.calls)
    await as_process(made, "a")
    await made.bridge.recovery.take_up()
    assert len(made.functions.calls) == before


async def test_it_is_looked_for_until_the_store_is_there(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_hand(made)
    await as_process(made, "a")
    looks = 0
    spans = made.bridge.recovery._index.spans

    async def fails_once() -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise Unavailable("The store is away.")
        return await spans()

    monkeypatch.setattr("bridge.recovery._AGAIN", 0)
    monkeypatch.setattr(made.bridge.recovery._index, "spans", fails_once)
    made.bridge.recovery.start()
    async with asyncio.timeout(20):
        while (await made.run()).status is not Status.SUCCEEDED:
            made.clock.advance(timedelta(seconds=1))
            await asyncio.sleep(0.01)
    await made.bridge.recovery.stop(1)
    assert looks == 2
