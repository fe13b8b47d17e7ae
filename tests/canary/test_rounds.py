"""What the canary says of the runs that come back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from bridge.canary import CanaryCase, rounds_of
from bridge.canary.rounds import judged
from bridge.client import BridgeClient
from bridge.errors import Unavailable
from bridge.ports import ReceivedReply

CASE = CanaryCase(automation="echo", input={"a": 1}, output={"a": 1}, within=timedelta(seconds=2))


@pytest.mark.parametrize(
    ("run", "seconds", "why"),
    [
        ({"status": "Succeeded", "output": {"a": 1}}, 1.0, ""),
        ({"status": "Succeeded", "output": {"a": 2}}, 1.0, 'the output is {"a": 2}, and not {"a": 1}'),
        ({"status": "Succeeded"}, 1.0, 'the output is null, and not {"a": 1}'),
        ({"status": "Succeeded", "output": {"a": 1}}, 2.5, "took 2.5 s, more than 2 s"),
        ({"status": "Failed", "error": {"code": "Http500", "message": "It threw."}}, 1.0, "Failed: Http500 It threw."),
        ({"status": "Running"}, 2.0, "Running"),
    ],
)
def test_a_run_is_as_expected_or_it_is_said_why_not(run: Mapping[str, Any], seconds: float, why: str) -> None:
    assert judged(CASE, run, seconds) == why


def test_any_output_will_do_where_none_was_written_down() -> None:
    assert judged(CanaryCase(automation="echo"), {"status": "Succeeded", "output": 7}, 1.0) == ""


def test_what_is_shown_of_a_large_output_is_short() -> None:
    assert len(judged(CASE, {"status": "Succeeded", "output": "x" * 10_000}, 1.0)) < 300


class Bus:
    """Answers each request, by its automation, with what a test says."""

    def __init__(self, **replies: Any) -> None:
        self.replies, self.asked = replies, list[Mapping[str, Any]]()

    async def ask(self, asked: Mapping[str, Mapping[str, Any]], _seconds: float) -> Mapping[str, ReceivedReply]:
        self.asked += asked.values()
        known = {name: self.replies.get(event["subject"]) for name, event in asked.items()}
        return {name: ReceivedReply({"data": run}, 0.5) for name, run in known.items() if run is not None}


async def over_the_bus(bus: Any, *cases: CanaryCase) -> dict[str, str]:
    async with BridgeClient("http://127.0.0.1:9") as nobody:
        return {each.automation: each.why for each in await rounds_of(cases, nobody, bus) if each.way == "bus"}


async def test_each_case_is_published_and_its_reply_judged() -> None:
    bus = Bus(echo={"status": "Succeeded", "output": {"a": 1}}, odd={"status": "TimedOut"})
    odd, lost = CanaryCase(automation="odd"), CanaryCase(automation="lost", within=timedelta(seconds=1))
    assert await over_the_bus(bus, CASE, odd, lost) == {"echo": "", "odd": "TimedOut", "lost": "no reply came within 30 s"}
    assert [each["data"] for each in bus.asked] == [{"a": 1}, {}, {}]
    assert all(each["correlationid"].startswith("canary-") for each in bus.asked)


async def test_a_bus_that_cannot_be_reached_is_the_reason_of_every_case() -> None:
    class Away:
        async def ask(self, *_: object) -> Mapping[str, ReceivedReply]:
            raise Unavailable("automation-canary: nobody answers.")

    assert await over_the_bus(Away(), CASE) == {"echo": "automation-canary: nobody answers."}


async def test_a_bridge_that_does_not_answer_is_the_reason_over_http() -> None:
    async with BridgeClient("http://127.0.0.1:9") as nobody:
        (verdict,) = await rounds_of([CASE], nobody, None)
    assert (verdict.way, "127.0.0.1:9" in verdict.why) == ("http", True)
