"""How many messages a request costs on a bus without an outbox, and what follows from it: docs/operations.md calculates with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.ports import Message
from bridge.run import Status
from tests.acceptance.results import result_of
from tests.pipeline_kit import World, message, world

DOC = Path(__file__).parent.parent / "docs" / "operations.md"
STANDARD = 1_000  #: operations a second of a namespace


async def answered(found: World) -> None:
    """The function behind the topic sends its result."""
    work = message(found, "invoked")
    await found.bus.publish([Message("automation-results", json.dumps(result_of(json.loads(work.body))).encode(), message_id="result")])
    await found.bus.deliver()


@pytest.mark.parametrize(
    ("automation", "what", "messages"),
    [("one", "one HTTP target", 3), ("two", "two HTTP targets", 5), ("work", "one target behind a topic", 5)],
)
async def test_the_messages_of_a_request_are_those_of_the_table(tmp_path: Path, automation: str, what: str, messages: int) -> None:
    found = await world(tmp_path)
    await found.ask(automation)
    await found.bus.deliver()
    if automation == "work":
        await answered(found)
    assert (await found.run()).status is Status.SUCCEEDED
    assert len(found.bus.published) == messages
    row = f"| {what} | {messages} | {2 * messages} | {STANDARD // (2 * messages)} |"
    assert row in DOC.read_text()
