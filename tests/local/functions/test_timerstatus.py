"""A time that was missed while no host ran is seen, and nothing else counts as missed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bridge.local.functions import schedules
from bridge.local.functions.bindings import TimerTrigger
from bridge.local.functions.timerstatus import TimerStatus, TimerStatuses

HOURLY = TimerTrigger("timer", schedules.parse("0 0 * * * *"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-29T{text}+00:00")


@pytest.fixture
def statuses(tmp_path: Path) -> TimerStatuses:
    return TimerStatuses(tmp_path / "timers")


def test_a_timer_that_has_never_run_counts_from_now(statuses: TimerStatuses) -> None:
    assert statuses.checked("F", HOURLY, at("10:30")) == (TimerStatus(None, at("11:00"), at("10:30")), False)


def test_a_time_that_passed_since_the_last_run_was_missed(statuses: TimerStatuses) -> None:
    statuses.keep("F", statuses.counted(HOURLY, at("09:00"), ran=True))

    assert statuses.checked("F", HOURLY, at("09:59"))[1] is False
    status, missed = statuses.checked("F", HOURLY, at("10:30"))

    assert missed
    assert (status.last, status.following) == (at("09:00"), at("10:00"))


def test_a_time_that_passed_before_the_first_run_was_missed_too(statuses: TimerStatuses) -> None:
    statuses.keep("F", statuses.counted(HOURLY, at("09:30"), ran=False))

    assert statuses.checked("F", HOURLY, at("10:30"))[1] is True


def test_another_schedule_has_missed_nothing(statuses: TimerStatuses) -> None:
    statuses.keep("F", statuses.counted(HOURLY, at("09:00"), ran=True))
    changed = TimerTrigger("timer", schedules.parse("0 15 * * * *"))

    assert statuses.checked("F", changed, at("10:30")) == (TimerStatus(None, at("11:15"), at("10:30")), False)


def test_a_timer_without_a_monitor_has_missed_nothing(statuses: TimerStatuses) -> None:
    statuses.keep("F", statuses.counted(HOURLY, at("09:00"), ran=True))
    unmonitored = TimerTrigger("timer", HOURLY.schedule, monitored=False)

    assert statuses.checked("F", unmonitored, at("10:30"))[1] is False


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Last": 1}', '{"Last": "2026-11-29T09:00:00", "Next": "x", "LastUpdated": "y"}'])
def test_a_status_that_cannot_be_read_is_none(statuses: TimerStatuses, tmp_path: Path, content: str) -> None:
    (tmp_path / "timers").mkdir()
    (tmp_path / "timers" / "F.json").write_text(content)

    assert statuses.checked("F", HOURLY, at("10:30"))[1] is False


def test_a_name_with_a_slash_stays_in_the_folder(statuses: TimerStatuses, tmp_path: Path) -> None:
    statuses.keep("../F", statuses.counted(HOURLY, at("09:00"), ran=True))

    assert [each.parent.name for each in tmp_path.rglob("*.json")] == ["timers"]


def test_a_function_gets_the_times_in_the_zone_of_its_schedule(tmp_path: Path) -> None:
    statuses = TimerStatuses(tmp_path, ZoneInfo("Europe/Berlin"))
    daily = TimerTrigger("timer", schedules.parse("0 0 6 * * *"))
    status, _ = statuses.checked("F", daily, at("10:30"))

    assert statuses.value(daily, status, past_due=False) == {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {
            "Last": "0001-01-01T00:00:00+00:00",
            "Next": "2026-11-30T06:00:00+01:00",
            "LastUpdated": "2026-11-29T11:30:00+01:00",
        },
        "IsPastDue": False,
    }
    assert statuses.metadata(at("10:30").astimezone(UTC)) == "11/29/2026 11:30:00"
