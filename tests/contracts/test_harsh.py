"""The whole flow on the worst ports there may be: every promise holds, and what should succeed does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from bridge import events
from bridge.cloudevents import Event
from bridge.errors import CorrelationConflict
from bridge.ports import FunctionCall, FunctionResponse
from tests.contracts.harsh import CALM, REPEATING, STORM, Weather
from tests.harsh_kit import AUTOMATIONS, HarshWorld, quiet, succeed
from tests.observed import Called, Published
from tests.promises import hold

SEEDS = range(5)
#: What the input `n` means to functions and workers.
FINE, TWICE_BUSY, REFUSED, SILENT = 1, 2, 3, 4


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


def story(seed: int, weather: Weather, *, outbox: bool = False) -> HarshWorld:
    """A world whose functions and workers do what the input says."""
    world = HarshWorld(seed, weather, outbox=outbox)

    def answered(call: FunctionCall) -> FunctionResponse:
        if wanted(call.body) == SILENT:
            return FunctionResponse(202, {}, b"")
        busy = wanted(call.body) == TWICE_BUSY and int(call.headers["x-attempt"]) <= 2
        return FunctionResponse(503, {}, b"") if busy else FunctionResponse(422, {}, b"") if wanted(call.body) == REFUSED else succeed(call)

    def worked(event: Event) -> list[Event]:
        if event.data.get("n") == SILENT:
            return []
        progress = world.result(event.attributes, {"status": "running", "progress": {"percent": 50}})
        failed = {"status": "failed", "error": {"code": "Refused", "message": "no", "retriable": False}}
        outcome = failed if event.data.get("n") == REFUSED else {"status": "succeeded", "output": "worked"}
        return [progress, world.result(event.attributes, outcome)]

    world.answers, world.work = answered, worked
    return world


def wanted(body: bytes) -> int:
    return int(body.partition(b":")[2].strip(b"} ") or 0)


async def ask(world: HarshWorld, automation: str, n: int, correlation_id: str, **options: Any) -> Any:
    return await world.insist(lambda: world.ask(automation, {"n": n}, correlation_id, **options))


async def whole_flow(seed: int, weather: Weather, *, outbox: bool) -> HarshWorld:
    """Everything that may happen to requests, at once."""
    world = await story(seed, weather, outbox=outbox).open()
    for automation in AUTOMATIONS:
        await ask(world, automation, FINE, f"fine-{automation}")
        await ask(world, automation, REFUSED, f"refused-{automation}")
        await ask(world, automation, SILENT, f"short-{automation}", deadline=events.iso(world.clock.now() + timedelta(seconds=20)))
    await ask(world, "one", TWICE_BUSY, "busy")
    await ask(world, "work", SILENT, "canceled")
    await world.insist(lambda: world.cancel("canceled"))
    await from_the_bus(world)
    await world.settle()
    await afterwards(world)
    await world.settle()
    return world


async def from_the_bus(world: HarshWorld) -> None:
    """What others publish: a request, a repeat, requests that cannot be taken, what is no event at all."""
    asked = world.event("automation.requested", {"n": FINE}, correlationid="by-bus")
    await world.send("automation-requests", asked)
    await world.send("automation-requests", asked)
    await world.send("automation-requests", world.event("automation.requested", {"n": "text"}, correlationid="bad-input"))
    await world.send("automation-requests", world.event("automation.requested", {}, correlationid="no id at all"))
    await world.send("automation-requests", b"no event")
    await world.send("automation-results", world.event("automation.result", {"status": "succeeded"}, causationid="fine-one/only"))


async def afterwards(world: HarshWorld) -> None:
    """What comes after the end: late results, forged ones, a conflict, work that the broker gave up, and the same request once more."""
    await world.send("automation-requests", world.event("automation.requested", {"n": REFUSED}, correlationid="by-bus"))
    for name in ("short-work", "canceled"):
        part = (await world.run(name)).invocations[0]
        work = {"correlationid": name, "id": f"{name}/worker", "invocationtoken": part.control.token}
        await world.send("automation-results", world.result(work, {"status": "succeeded", "output": "late"}))
        await world.send(
            "automation-results", world.result({**work, "invocationtoken": "forged"}, {"status": "succeeded", "output": "forged"})
        )
    await ask(world, "work", SILENT, "given-up")
    await world.bus.deliver()
    sent = [each.message for each in world.journal.entries if isinstance(each, Published) and each.message.topic == "work"]
    lost = next((each.body for each in sent if each.message_id == "given-up/worker"), b"")
    await world.send("automation-deadletters", lost, properties={"DeadLetterReason": "MaxDeliveryCountExceeded", "deliveryCount": "3"})
    await ask(world, "one", FINE, "fine-one")


@pytest.fixture(params=[False, True], ids=["replicas", "outbox"])
def outbox(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("seed", range(12))
async def test_the_whole_flow_keeps_every_promise_in_a_storm(seed: int, outbox: bool) -> None:
    hold((await whole_flow(seed, STORM, outbox=outbox)).journal)


@pytest.mark.parametrize(("seed", "weather"), [(0, CALM), *((seed, REPEATING) for seed in range(6))])
async def test_repeats_conflicts_and_lost_answers_change_no_outcome(seed: int, weather: Weather, outbox: bool) -> None:
    world = await whole_flow(seed, weather, outbox=outbox)
    hold(world.journal)
    status = {name: str((await world.run(name)).status) for name in world.correlation_ids() if name != "given-up"}
    assert status == expected()


def expected() -> dict[str, str]:
    ended = {f"fine-{name}": "Succeeded" for name in AUTOMATIONS} | {f"refused-{name}": "Failed" for name in AUTOMATIONS}
    ended |= {f"short-{name}": "TimedOut" for name in AUTOMATIONS}
    return ended | {"busy": "Succeeded", "canceled": "Canceled", "by-bus": "Succeeded", "bad-input": "Failed"}


@pytest.mark.parametrize("seed", SEEDS)
async def test_ten_deliveries_to_four_replicas_call_each_target_once(seed: int) -> None:
    world = await HarshWorld(seed, Weather(twice=1.0, conflicts=True), replicas=4).open()
    await world.ask("quorum", {"n": FINE}, "id-1")
    requested = next(each.message for each in world.journal.entries if isinstance(each, Published))
    await world.bus.publish([requested] * 9)
    await world.settle()
    calls = [each.call.path for each in world.journal.entries if isinstance(each, Called)]
    assert sorted(calls) == ["/api/left", "/api/right", "/api/third"]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_conflict_is_told_and_leaves_the_first_run_alone(seed: int) -> None:
    world = await story(seed, STORM).open()
    first = await ask(world, "one", FINE, "id-1")
    second = await ask(world, "one", REFUSED, "id-1")
    assert isinstance(second, CorrelationConflict)
    assert first.run.input == (await world.run("id-1")).input


async def test_the_same_seed_tells_the_same_story(outbox: bool) -> None:
    journals = [(await whole_flow(7, STORM, outbox=outbox)).journal for _ in range(2)]
    assert [type(each) for each in journals[0].entries] == [type(each) for each in journals[1].entries]
