"""Which part is away, from what was heard of it."""

from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.dapr import health
from bridge.adapters.dapr.faults import Refused
from bridge.adapters.dapr.health import Health
from bridge.errors import ConfigurationError, Unavailable

WELL = {"sidecar": "", "store": "", "bus": "", "subscriptions": ""}
BROKEN = Refused(500, "ERR_PUBSUB_PUBLISH_MESSAGE", "the broker is gone")


class Sidecar:
    """One whose outbound health a test decides."""

    def __init__(self, heard: Health) -> None:
        self.heard, self.said = heard, [b""]

    async def trouble(self) -> str:
        answer = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        self.heard.heard("healthz", answer)
        return str(answer) if isinstance(answer, Refused) else ""


@pytest.fixture
def heard(monkeypatch) -> Health:
    monkeypatch.setattr(health, "IDLE", 0)
    monkeypatch.setattr(health, "AWAY", 0)
    return Health()


def test_a_part_is_away_until_something_went_well():
    of = Health()
    of.heard("publish", BROKEN)
    assert "the broker is gone" in of.trouble()["bus"]
    assert of.trouble()["store"] == of.trouble()["sidecar"] == ""
    of.heard("publish", b"")
    assert of.trouble() == WELL


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("state", Refused(409, "ERR_STATE_SAVE", "etag")),
        ("publish", Refused(413, "", "")),
        ("publish", Refused(400, "ERR_BAD_REQUEST", "")),
    ],
)
def test_what_is_wrong_with_one_key_or_message_is_no_trouble_of_the_part(kind, answer):
    of = Health()
    of.heard(kind, answer)
    assert of.trouble() == WELL


def test_where_the_sidecar_is_away_it_alone_is_named():
    of = Health()
    of.heard("publish", BROKEN)
    of.heard("state", None)
    assert of.trouble() == {**WELL, "sidecar": "gives no answer"}


async def watched(heard: Health, sidecar: Sidecar, until: asyncio.Event, read=None, publish=None, missing=None) -> None:
    async def nothing(*_: object) -> None:
        await asyncio.sleep(0)

    async def complete() -> str:
        return ""

    task = asyncio.create_task(heard.watch(sidecar, read or nothing, publish or nothing, missing or complete))
    try:
        async with asyncio.timeout(5):
            await until.wait()
    finally:
        task.cancel()


async def test_a_store_that_is_idle_is_read(heard):
    asked = asyncio.Event()

    async def read(key: str) -> None:
        heard.heard("state", Refused(500, "ERR_STATE_GET", f"no {key}"))
        asked.set()
        raise Unavailable("away")

    await watched(heard, Sidecar(heard), asked, read=read)
    assert "no health" in heard.trouble()["store"]


async def test_a_store_that_does_not_answer_is_away_before_the_sidecar_gives_up(heard, monkeypatch):
    monkeypatch.setattr(health, "SLOW", 0.01)
    again = asyncio.Event()

    async def read(_: str) -> None:
        if heard.trouble()["store"]:
            again.set()
        await asyncio.Event().wait()

    await watched(heard, Sidecar(heard), again, read=read)
    assert "no answer within 0.01 s" in heard.trouble()["store"]


async def test_a_bus_that_refused_is_tried_until_it_takes_something(heard):
    heard.heard("publish", BROKEN)
    tried, well = [], asyncio.Event()

    async def publish() -> None:
        tried.append(1)
        if len(tried) < 3:
            raise Unavailable("away")
        heard.heard("publish", b"")
        well.set()

    await watched(heard, Sidecar(heard), well, publish=publish)
    assert heard.trouble() == WELL
    assert len(tried) == 3


async def test_behind_a_sidecar_that_is_away_nothing_is_asked(heard):
    sidecar, read_at = Sidecar(heard), []
    sidecar.said = [Refused(500, "ERR_OUTBOUND_HEALTH_NOT_READY", "")] * 3 + [b""]
    done = asyncio.Event()

    async def read(_: str) -> None:
        read_at.append(len(sidecar.said))
        done.set()

    await watched(heard, sidecar, done, read=read)
    assert read_at[0] == 1


def test_a_subscription_that_two_looks_miss_is_told_until_it_is_there(caplog):
    of = Health()
    of.look("no subscription of automation-timers")
    assert of.trouble() == WELL
    of.look("no subscription of automation-timers")
    assert of.trouble()["subscriptions"] == "no subscription of automation-timers"
    of.look("no subscription of automation-timers")
    assert [record.message for record in caplog.records] == ["subscriptions: no subscription of automation-timers"]
    of.look("")
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

    await watched(heard, Sidecar(heard), found, missing=missing)
    assert heard.trouble() == WELL


@pytest.mark.parametrize("fault", [Unavailable("away"), ConfigurationError(["the sidecar may not be asked"])])
async def test_a_sidecar_that_does_not_tell_its_subscriptions_is_asked_again(heard, fault):
    told, faults = asyncio.Event(), [fault]

    async def missing() -> str:
        if faults:
            raise faults.pop()
        told.set()
        return ""

    await watched(heard, Sidecar(heard), told, missing=missing)
