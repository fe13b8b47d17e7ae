"""The schedules of timer functions, as Azure takes them: NCRONTAB expressions of 5 or 6 fields, or time spans. Pure.

No library reads NCRONTAB: its six fields begin with the second, day of the month and day of the week must both fit, names may be cut short
(`Mo`), and a range may be written backwards. What happens when clocks change is that of the timer extension (CronSchedule.cs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from bridge.local.functions import timespans

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
"""Lowest and highest value of each field, second first, and the names that stand for the values."""
_NUMBER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_YEARS = 41  #: that are looked at for the next time: 29 February is on each day of the week once in 40 years at most


@dataclass(frozen=True, slots=True)
class Interval:
    """A schedule that is a time span: it counts from one run to the next."""

    span: timedelta
    adjusts_for_dst = False

    def after(self, now: datetime) -> datetime | None:
        """The next time after `now`, in its time zone; None for a span that no time comes after."""
        if self.span <= timedelta(0):
            return None
        try:
            return (now.astimezone(UTC) + self.span).astimezone(now.tzinfo)
        except OverflowError:
            return None

    @property
    def is_frequent(self) -> bool:
        """Whether it comes more than once a minute, so that Azure does not keep its status."""
        return self.span < timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule that is an NCRONTAB expression."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  #: Sunday is 0
    repeats: bool  #: whether hour, minute or second is a range: such a schedule goes on in the hour that comes twice
    is_frequent: bool
    adjusts_for_dst = True

    def after(self, now: datetime) -> datetime | None:
        """The next time after `now`, in its time zone; None if there is none."""
        found = self._after(now.replace(tzinfo=None))
        if found is None:
            return None
        following = _placed(found, now)
        shift = _offset(following) - _offset(now)
        if not (_comes_twice(following) or (self.repeats and _comes_twice(now))):
            return following
        if shift:  # the clock goes back in between
            return (following.astimezone(UTC) + shift).astimezone(now.tzinfo)
        if self.repeats:
            return following
        while found is not None and _comes_twice(_placed(found, now)):  # it has run in the first one of the two hours
            found = self._after(found)
        return _placed(found, now) if found is not None else None

    def _after(self, now: datetime) -> datetime | None:
        """The next time of a clock that never changes."""
        start = now.replace(microsecond=0) + timedelta(seconds=1)
        for day in self._days(start.date()):
            earliest = start.time() if day == start.date() else time()
            if (found := self._within(earliest)) is not None:
                return datetime.combine(day, found)
        return None

    def _days(self, first: date) -> Iterator[date]:
        for ordinal in range(first.toordinal(), min(first.toordinal() + _YEARS * 366, date.max.toordinal())):
            day = date.fromordinal(ordinal)
            if day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays:
                yield day

    def _within(self, earliest: time) -> time | None:
        """The first time of a day from `earliest` on."""
        times = (
            time(hour, minute, second)
            for hour in sorted(self.hours)
            if hour >= earliest.hour
            for minute in sorted(self.minutes)
            for second in sorted(self.seconds)
        )
        return next((each for each in times if each >= earliest), None)


Schedule = Interval | Cron


def parse(text: str) -> Schedule:
    """The schedule in `text`. Raises ValueError for one that the Functions host refuses, which disables the function."""
    fields = text.split()
    try:
        return _cron(fields) if len(fields) in (5, 6) else Interval(timespans.parse(text))
    except ValueError:
        raise ValueError(
            f"has the schedule {text!r}, which is neither a cron expression nor a time span; write six fields, second first: 0 */5 * * * *"
        ) from None


def _cron(fields: Sequence[str]) -> Cron:
    """Raises ValueError."""
    written = fields if len(fields) == 6 else ["0", *fields]
    seconds, minutes, hours, days, months, weekdays = (_field(each, *limits) for each, limits in zip(written, _FIELDS, strict=True))
    repeats = any(set(each) & set("*-/") for each in fields[:-3])
    frequent = len(seconds) > 1 and all(each == "*" for each in written[1:])
    return Cron(seconds, minutes, hours, days, months, weekdays, repeats, frequent)


def _field(text: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    """Raises ValueError."""
    return frozenset().union(*(_item(each, low, high, names) for each in text.split(",")))


def _item(text: str, low: int, high: int, names: tuple[str, ...]) -> range:
    span, slash, written_step = text.partition("/")
    step = _number(written_step) if slash else 1
    if span == "*":
        return range(low, high + 1, max(step, 1))
    first, dash, last = span.partition("-")
    start = _value(first, low, names)
    end = _value(last, low, names) if dash else high if slash else start
    start, end = sorted((start, end))
    if not low <= start <= end <= high:
        raise ValueError(text)
    return range(start, end + 1, max(step, 1))


def _value(text: str, low: int, names: tuple[str, ...]) -> int:
    found = [index for index, name in enumerate(names) if text and name.startswith(text.lower())]
    return found[0] + low if found else _number(text)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


def _placed(local: datetime, like: datetime) -> datetime:
    """The local time in the zone of `like`: one that comes twice in standard time, one that is left out an hour later."""
    either = [local.replace(tzinfo=like.tzinfo, fold=fold) for fold in (0, 1)]
    return min(either, key=_offset).astimezone(UTC).astimezone(like.tzinfo)


def _comes_twice(moment: datetime) -> bool:
    """Whether the clock shows this time twice, because it goes back in between."""
    first, second = (moment.replace(fold=fold) for fold in (0, 1))
    return _offset(first) > _offset(second)
