"""What many ask at a time shares requests."""

from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.dapr.batching import MAX_BYTES, MAX_ITEMS, Batcher
from bridge.errors import Full, Unavailable


class Sender:
    """Keeps what it was given; the first request goes on until `gate` is set."""

    def __init__(self, fail=None):
        self.requests: list[list[str]] = []
        self.gate = asyncio.Event()
        self.fail = fail

    async def __call__(self, items):
        self.requests.append(list(items))
        if len(self.requests) == 1:
            await self.gate.wait()
        if isinstance(self.fail, Exception):
            raise self.fail
        return [Full("no room") if item == "refused" else item.upper() for item in items]


async def asked(gathering, sender, items):
    """Each item's future, after a first request is under way."""
    first = gathering.submit("first")
    await asyncio.sleep(0)
    rest = [gathering.submit(item) for item in items]
    sender.gate.set()
    return await asyncio.gather(first, *rest, return_exceptions=True)


async def test_what_waits_goes_together_and_each_gets_its_own_answer():
    sender = Sender()
    assert await asked(Batcher(sender, size=len), sender, ["a", "b", "c"]) == ["FIRST", "A", "B", "C"]
    assert sender.requests == [["first"], ["a", "b", "c"]]


async def test_one_that_is_refused_does_not_touch_the_others():
    sender = Sender()
    answers = await asked(Batcher(sender, size=len), sender, ["a", "refused", "b"])
    assert [type(each) for each in answers] == [str, str, Full, str]


@pytest.mark.parametrize("fault", [Unavailable("gone"), RuntimeError("a mistake")])
async def test_a_request_that_fails_fails_for_all_and_the_next_is_sent(fault):
    sender = Sender(fault)
    answers = await asked(Batcher(sender, size=len), sender, ["a"])
    assert [type(each) for each in answers] == [Unavailable, Unavailable]
    assert len(sender.requests) == 2


async def test_items_of_one_name_never_share_a_request():
    sender = Sender()
    await asked(Batcher(sender, size=len, name=lambda item: item[0]), sender, ["a1", "b1", "a2"])
    assert sender.requests == [["first"], ["a1", "b1"], ["a2"]]


async def test_a_request_has_limits():
    sender = Sender()
    await asked(Batcher(sender, size=len), sender, ["x"] * (MAX_ITEMS + 1) + ["y" * (MAX_BYTES + 1), "z"])
    assert [len(each) for each in sender.requests] == [1, MAX_ITEMS, 1, 1, 1]


async def test_a_caller_that_goes_away_holds_up_nobody():
    sender = Sender()
    gathering = Batcher(sender, size=len)
    first = gathering.submit("first")
    await asyncio.sleep(0)
    gone, stays = gathering.submit("gone"), gathering.submit("stays")
    gone.cancel()
    sender.gate.set()
    assert await asyncio.gather(first, stays) == ["FIRST", "STAYS"]


async def turns(count: int = 5) -> None:
    """Let everything go on that needs no time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_after_a_shared_request_the_next_one_gathers_more():
    sender = Sender()
    gathering = Batcher(sender, size=len)
    await asked(gathering, sender, ["a", "b"])
    later = [gathering.submit("c")]
    await turns()
    later.append(gathering.submit("d"))
    assert await asyncio.gather(*later) == ["C", "D"]
    assert sender.requests == [["first"], ["a", "b"], ["c", "d"]]


async def test_what_is_asked_one_by_one_is_never_held():
    sender = Sender()
    sender.gate.set()
    gathering = Batcher(sender, size=len)
    for number in range(3):
        gathering.submit(str(number))
        await turns()
        assert sender.requests[-1] == [str(number)]
