"""Where a test may end the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge import crashpoints
from bridge.crashpoints import CrashPoint, passed
from bridge.errors import ConfigurationError

HERE, ELSEWHERE = CrashPoint.ENDED_NOT_REPLIED, CrashPoint.CALLED_NOT_SAVED


@pytest.fixture(autouse=True)
def ended() -> Iterator[list[str]]:
    yield []
    crashpoints.arm({})


def test_nothing_ends_unless_it_was_asked_for(ended: list[str]) -> None:
    crashpoints.arm({}, lambda: ended.append("here"))
    passed(HERE)
    assert ended == []


def test_only_the_named_place_ends_and_only_once(ended: list[str]) -> None:
    crashpoints.arm({"BRIDGE_CRASH_AT": "ended-not-replied"}, lambda: ended.append("here"))
    for point in (ELSEWHERE, HERE, HERE):
        passed(point)
    assert ended == ["here"]


def test_a_number_asks_for_a_later_passage(ended: list[str]) -> None:
    crashpoints.arm({"BRIDGE_CRASH_AT": "ended-not-replied:2"}, lambda: ended.append("here"))
    passed(HERE)
    assert ended == []
    passed(HERE)
    assert ended == ["here"]


@pytest.mark.parametrize("asked", ["nowhere", "ended-not-replied:0", "ended-not-replied:x"])
def test_a_place_that_does_not_exist_is_refused_with_those_that_do(asked: str) -> None:
    with pytest.raises(ConfigurationError, match="published-not-created"):
        crashpoints.arm({"BRIDGE_CRASH_AT": asked})
