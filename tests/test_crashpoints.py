"""Where a test may end the process."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from bridge import crashpoints, telemetry
from bridge.errors import ConfigurationError

HERE, ELSEWHERE = "run.ended", "attempt.answered"


@pytest.fixture
def ended() -> Iterator[list[str]]:
    yield []
    crashpoints.arm({}, telemetry.SENTENCES)


def arm(asked: str, ended: list[str]) -> None:
    crashpoints.arm({"BRIDGE_CRASH_AT": asked} if asked else {}, telemetry.SENTENCES, lambda: ended.append("here"))


def test_nothing_ends_unless_it_was_asked_for(ended: list[str]) -> None:
    arm("", ended)
    telemetry.step(HERE)
    assert ended == []


def test_only_the_named_step_ends_and_only_once(ended: list[str]) -> None:
    arm("run.ended", ended)
    for step in (ELSEWHERE, HERE, HERE):
        telemetry.step(step)
    assert ended == ["here"]


def test_a_number_asks_for_a_later_passage(ended: list[str]) -> None:
    arm("run.ended:2", ended)
    telemetry.step(HERE)
    assert ended == []
    telemetry.step(HERE)
    assert ended == ["here"]


def test_a_step_that_is_not_logged_is_a_point_all_the_same(ended: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_least", telemetry._LEVELS["error"])
    arm("attempt.answered", ended)
    telemetry.step("attempt.answered", level="debug")
    assert ended == ["here"]


def test_the_line_of_the_step_is_written_before_the_process_ends(ended: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_log", SimpleNamespace(warning=lambda *_, step, **_fields: ended.append(step)))
    arm("sweep", ended)
    telemetry.step("sweep", level="warning")
    assert ended == ["sweep", "here"]


@pytest.mark.parametrize("asked", ["nowhere", "run.ended:0", "run.ended:x"])
def test_a_point_that_does_not_exist_is_refused_with_those_that_do(asked: str, ended: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=rf"BRIDGE_CRASH_AT={asked}: .*attempt\.started.*run\.requested"):
        arm(asked, ended)
