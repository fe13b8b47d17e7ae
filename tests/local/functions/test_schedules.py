"""Schedules of timers as Azure takes them, and what happens where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from bridge.local.functions import schedules

PACIFIC = ZoneInfo("America/Los_Angeles")  # goes back on 1 November 2026 at 2:00 and forward on 8 March 2026 at 2:00


def following(schedule: str, now: str, zone: tzinfo = UTC, times: int = 1) -> list[str]:
    """The next times after `now`, which is an ISO 8601 time with its offset."""
    parsed, moment, found = schedules.parse(schedule), datetime.fromisoformat(now).astimezone(zone), []
    for _ in range(times):
        after = parsed.after(moment)
        if after is None:
            return found
        moment = after
        found.append(moment.isoformat())
    return found


@pytest.mark.parametrize(
    ("schedule", "first"),
    [
        ("0 */5 * * * *", "2026-11-29T10:05:00+00:00"),
        ("*/5 * * * *", "2026-11-29T10:05:00+00:00"),
        ("30 2 10 * * *", "2026-11-29T10:02:30+00:00"),
        ("0 0 9-17/4 * * *", "2026-11-29T13:00:00+00:00"),
        ("0 0 12/5 * * *", "2026-11-29T12:00:00+00:00"),
        ("0 0 0 1 JAN *", "2027-01-01T00:00:00+00:00"),
        ("0 0 0 1 january *", "2027-01-01T00:00:00+00:00"),
        ("0 30 9 * * Mon-Fri", "2026-11-30T09:30:00+00:00"),
        ("0 30 9 * * FRI-MON", "2026-11-30T09:30:00+00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00+00:00"),
        ("0 0 0 1,15 * *", "2026-12-01T00:00:00+00:00"),
        ("  0   0 11 *  * 0 ", "2026-11-29T11:00:00+00:00"),
        ("00:05:00", "2026-11-29T10:07:30+00:00"),
        ("1", "2026-11-30T10:02:30+00:00"),
    ],
)
def test_a_schedule_comes_next_when_azures_does(schedule: str, first: str) -> None:
    assert following(schedule, "2026-11-29T10:02:30+00:00" if schedule != "30 2 10 * * *" else "2026-11-29T10:02:29+00:00") == [first]


def test_day_of_the_month_and_day_of_the_week_must_both_fit() -> None:
    assert following("0 0 0 13 * FRI", "2026-11-29T00:00:00+00:00", times=2) == ["2027-08-13T00:00:00+00:00", "2028-10-13T00:00:00+00:00"]


def test_a_schedule_that_never_comes_has_no_next_time() -> None:
    assert following("0 0 0 30 2 *", "2026-11-29T00:00:00+00:00") == []
    assert following("00:00:00", "2026-11-29T00:00:00+00:00") == []
    assert following("10675199", "2026-11-29T00:00:00+00:00") == []


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "every day", "@daily", "* * * *", "0 0 0 * * * *", "0 0 0 0 * *", "0 0 0 * * 7", "60 * * * * *", "0 0 24 * * *"),
        *("0 0 0 L * *", "0 0 0 ? * *", "0 0 0 * 13 *", "0 1,,2 * * * *", "0 */ * * * *", "0 -5 * * * *", "0 0 0 * * XYZ"),
        *("0 1_0 * * * *", "0 ٣ * * * *"),
    ],
)
def test_what_azure_refuses_is_refused_in_words(schedule: str) -> None:
    with pytest.raises(ValueError, match="write six fields, second first"):
        schedules.parse(schedule)


def test_a_time_that_is_left_out_comes_an_hour_later() -> None:
    assert following("0 30 2 * * *", "2026-03-08T01:00:00-08:00", PACIFIC, times=2) == [
        "2026-03-08T03:30:00-07:00",
        "2026-03-09T02:30:00-07:00",
    ]


def test_a_time_of_the_day_in_the_hour_that_comes_twice_comes_once() -> None:
    assert following("0 30 1 * * *", "2026-10-31T12:00:00-07:00", PACIFIC, times=2) == [
        "2026-11-01T01:30:00-07:00",
        "2026-11-02T01:30:00-08:00",
    ]
    assert following("0 30 1 * * *", "2026-11-01T01:29:00-08:00", PACIFIC) == ["2026-11-02T01:30:00-08:00"]


def test_a_schedule_of_half_hours_goes_on_in_the_hour_that_comes_twice() -> None:
    found = following("0 */30 * * * *", "2026-11-01T00:30:00-07:00", PACIFIC, times=5)

    assert [each[11:] for each in found] == ["01:00:00-07:00", "01:30:00-07:00", "01:00:00-08:00", "01:30:00-08:00", "02:00:00-08:00"]


def test_a_time_span_counts_the_same_where_clocks_change() -> None:
    assert following("02:00:00", "2026-11-01T00:30:00-07:00", PACIFIC) == ["2026-11-01T01:30:00-08:00"]
    assert schedules.parse("02:00:00") == schedules.Interval(timedelta(hours=2))


@pytest.mark.parametrize(
    ("schedule", "frequent"), [("*/10 * * * * *", True), ("0 * * * * *", False), ("* * * * *", False), ("1,2 3 * * * *", False)]
)
def test_azure_keeps_no_status_of_what_comes_more_than_once_a_minute(schedule: str, frequent: bool) -> None:
    assert schedules.parse(schedule).is_frequent is frequent
