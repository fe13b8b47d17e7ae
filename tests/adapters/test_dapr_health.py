"""Which part is away, from what was heard of it."""

from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.dapr import availability, health
from bridge.adapters.dapr.errors import SidecarError
from bridge.adapters.dapr.health import Part, Probes, SidecarHealth
from bridge.errors import ConfigurationError, Unavailable

WELL = {"sidecar": "", "store": "", "bus": "", "subscriptions": ""}
BROKEN = SidecarError(500, "ERR_PUBSUB_PUBLISH_MESSAGE", "the broker is gone")


class FakeSidecar:
    """One whose outbound health a test decides."""

    def __init__(self, heard: SidecarHealth) -> None:
        self.heard, self.said = heard, [b""]

    async def trouble(self) -> str:
        answer = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        self.heard.observe("healthz", answer)
        return str(answer) if isinstance(answer, SidecarError) else ""


@pytest.fixture
def heard(monkeypatch) -> SidecarHealth:
    monkeypatch.setattr(health, "IDLE", 0)
    monkeypatch.setattr(health, "AWAY", 0)
    return SidecarHealth()


def test_where_the_sidecar_is_away_it_alone_is_named():
    of = SidecarHealth()
    of.observe("publish", BROKEN)
    of.observe("state", None)
    assert not of.bus.why
    assert of.trouble() == {**WELL, "sidecar": "gives no answer"}


async def nothing() -> None:
    await asyncio.sleep(0)


async def watched(
    heard: SidecarHealth, sidecar: FakeSidecar, until: asyncio.Event, read=nothing, write=nothing, publish=nothing, missing=None
) -> None:

    async def complete() -> str:
        return ""

    task = asyncio.create_task(heard.watch(sidecar, Probes(read, write, publish, missing or complete)))
    try:
        async with asyncio.timeout(20):
            await until.wait()
    finally:
        task.cancel()


async def test_a_store_that_is_idle_is_read(heard):
    asked = asyncio.Event()

    async def read() -> None:
        asked.set()
        raise Unavailable("connection refused")

    await watched(heard, FakeSidecar(heard), asked, read=read)
    assert "connection refused" in heard.trouble()["store"]


async def test_a_store_that_does_not_answer_is_away_before_the_sidecar_gives_up(heard, monkeypatch):
    monkeypatch.setattr(availability, "SLOW", 0.01)
    again = asyncio.Event()

    async def read() -> None:
        if heard.trouble()["store"]:
            again.set()
        await asyncio.Event().wait()

    await watched(heard, FakeSidecar(heard), again, read=read)
    assert "no answer within 0.01 s" in heard.trouble()["store"]


async def test_a_bus_that_refused_is_tried_until_it_takes_something(heard):
    heard.observe("publish", BROKEN)
    tried, well = [], asyncio.Event()

    async def publish() -> None:
        tried.append(heard.trouble()["bus"])
        if len(tried) < 3:
            raise Unavailable("away")

    async def read() -> None:
        if len(tried) == 3:
            well.set()

    await watched(heard, FakeSidecar(heard), well, read=read, publish=publish)
    assert tried == ["", "away", "away"]
    assert heard.trouble() == WELL


async def test_behind_a_sidecar_that_is_away_nothing_is_asked(heard):
    sidecar, read_at = FakeSidecar(heard), []
    sidecar.said = [SidecarError(500, "ERR_OUTBOUND_HEALTH_NOT_READY", "")] * 3 + [b""]
    done = asyncio.Event()

    async def read() -> None:
        read_at.append(len(sidecar.said))
        done.set()

    await watched(heard, sidecar, done, read=read)
    assert read_at[0] == 1


def test_a_subscription_that_two_looks_miss_is_told_until_it_is_there(caplog):
    of = SidecarHealth()
    of.observe_subscriptions("no subscription of automation-timers")
    assert of.trouble() == WELL
    of.observe_subscriptions("no subscription of automation-timers")
    assert of.trouble()["subscriptions"] == "no subscription of automation-timers"
    of.observe_subscriptions("no subscription of automation-timers")
    assert [record.message for record in caplog.records] == ["subscriptions: no subscription of automation-timers"]
    of.observe_subscriptions("")
    assert of.trouble() == WELL


async def test_subscriptions_are_looked_for_again_and_again(heard):
    looks, found = iter(["one", "two", "two", ""]), asyncio.Event()

    async def missing() -> str:
        look = next(looks, None)
        if look is None:
            found.set()
        elif look == "":
            assert heard.trouble()["subscriptions"] == "two"
        return look or ""

    await watched(heard, FakeSidecar(heard), found, missing=missing)
    assert heard.trouble() == WELL


@pytest.mark.parametrize("fault", [Unavailable("away"), ConfigurationError(["the sidecar may not be asked"])])
async def test_a_sidecar_that_does_not_tell_its_subscriptions_is_asked_again(heard, fault):
    told, faults = asyncio.Event(), [fault]

    async def missing() -> str:
        if faults:
            raise faults.pop()
        told.set()
        return ""

    await watched(heard, FakeSidecar(heard), told, missing=missing)


async def test_a_request_that_failed_makes_it_look_at_once(heard, monkeypatch):
    monkeypatch.setattr(health, "IDLE", 60)
    looked = asyncio.Event()

    async def read() -> None:
        looked.set()

    asyncio.get_running_loop().call_later(0.05, heard.suspect, Part.READS)
    await watched(heard, FakeSidecar(heard), looked, read=read)


@pytest.mark.parametrize(
    "fail",
    [
        lambda heard: heard.suspect(Part.READS),
        lambda heard: heard.suspect(Part.WRITES),
        lambda heard: heard.observe("publish", BROKEN),
    ],
    ids=["read", "write", "publish"],
)
async def test_a_failed_request_alone_says_nothing_of_the_component(heard, fail):
    fail(heard)
    async with heard.store.required(), heard.bus.required():
        assert heard.trouble() == WELL


@pytest.mark.parametrize("answer", [SidecarError(413, "", ""), SidecarError(400, "ERR_BAD_REQUEST", "")])
async def test_a_message_that_is_refused_for_good_does_not_make_it_look_at_the_bus(heard, answer):
    heard.observe("publish", answer)
    looked, published = asyncio.Event(), []

    async def read() -> None:
        if heard.trouble() == WELL:
            looked.set()

    async def publish() -> None:
        published.append(1)

    await watched(heard, FakeSidecar(heard), looked, read=read, publish=publish)
    assert not published


async def test_a_store_that_takes_no_writes_is_in_trouble_until_it_takes_one_although_it_answers_reads(heard, caplog):
    caplog.set_level("INFO", "bridge.dapr")
    heard.suspect(Part.WRITES)
    tried, well = [], asyncio.Event()

    async def write() -> None:
        tried.append(heard.trouble()["store"])
        if len(tried) < 3:
            raise Unavailable("out of memory")

    async def read() -> None:
        if len(tried) == 3:
            well.set()

    await watched(heard, FakeSidecar(heard), well, read=read, write=write)
    assert tried == ["", "out of memory", "out of memory"]
    assert heard.trouble() == WELL
    assert [record.message for record in caplog.records] == ["the store takes no writes: out of memory", "the store takes writes again"]


async def test_a_store_that_never_ends_a_write_is_in_trouble(heard, monkeypatch):
    monkeypatch.setattr(availability, "SLOW", 0.01)
    again = asyncio.Event()
    heard.suspect(Part.WRITES)

    async def write() -> None:
        if heard.trouble()["store"]:
            again.set()
        await asyncio.Event().wait()

    await watched(heard, FakeSidecar(heard), again, write=write)
    assert "no answer within 0.01 s" in heard.trouble()["store"]


async def test_behind_a_sidecar_that_hangs_nothing_is_asked_until_it_answers(heard, monkeypatch):
    monkeypatch.setattr(availability, "SLOW", 0.01)
    hung, looks, well = FakeSidecar(heard), 0, asyncio.Event()

    async def trouble() -> str:
        nonlocal looks
        looks += 1
        if looks < 3:
            await asyncio.Event().wait()
        assert heard.store.why == heard.bus.why
        assert "the sidecar gives no answer" in heard.bus.why
        return ""

    async def publish() -> None:
        assert not heard.store.why
        well.set()

    monkeypatch.setattr(hung, "trouble", trouble)
    await watched(heard, hung, well, publish=publish)
