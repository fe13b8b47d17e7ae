"""When a timer function ran last and runs next, kept in a file over restarts, so that a time that was missed is seen.

The rules are those of Azure's timer extension (ScheduleMonitor.cs), which keeps the same in the storage account.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.files import privatefile
from bridge.local.functions.bindings import TimerTrigger

_NEVER_RAN = "0001-01-01T00:00:00+00:00"
_NEVER_AGAIN = "9999-12-31T23:59:59+00:00"


@dataclass(frozen=True, slots=True)
class TimerStatus:
    """Times in UTC. `following` is None for a schedule that never comes again."""

    last: datetime | None  #: None if it has never run
    following: datetime | None
    updated: datetime  #: what `following` was counted from


class TimerStatuses:
    """The statuses of one app's timers: a file for each function below `folder`. Schedules are read in `zone`."""

    def __init__(self, folder: Path, zone: tzinfo = UTC) -> None:
        self._folder = folder
        self._zone = zone

    def checked(self, function: str, trigger: TimerTrigger, now: datetime) -> tuple[TimerStatus, bool]:
        """The status that counts from `now` on, and whether a run was missed.

        A status that another schedule has left counts for nothing, so that no run is made up for that was never due.
        """
        known = self._read(function) if trigger.monitored else None
        if known is None:
            return self.counted(trigger, now, ran=False), False
        since = known.last or known.updated
        expected = self._after(trigger, since)
        if expected == known.following:
            return known, expected is not None and now > expected
        if expected is None or now > expected:
            return self.counted(trigger, now, ran=False), False
        return TimerStatus(None, expected, since), False

    def counted(self, trigger: TimerTrigger, since: datetime, *, ran: bool) -> TimerStatus:
        """The status of a timer whose next time is counted from `since`, when it has run or just begins."""
        return TimerStatus(since if ran else None, self._after(trigger, since), since)

    def keep(self, function: str, status: TimerStatus) -> None:
        """Write the status down. Raises OSError."""
        privatefile.write(self._file(function), json.dumps(self._shown(status)))

    def value(self, trigger: TimerTrigger, status: TimerStatus, *, past_due: bool) -> dict[str, Any]:
        """What the function gets."""
        return {
            "Schedule": {"AdjustForDST": trigger.schedule.adjusts_for_dst},
            "ScheduleStatus": self._shown(status) if trigger.monitored else None,
            "IsPastDue": past_due,
        }

    def metadata(self, now: datetime) -> str:
        """The text that Azure has as `TimerTrigger` among the metadata: the local time."""
        return f"{now.astimezone(self._zone):%m/%d/%Y %H:%M:%S}"

    def _after(self, trigger: TimerTrigger, moment: datetime) -> datetime | None:
        found = trigger.schedule.after(moment.astimezone(self._zone))
        return found.astimezone(UTC) if found is not None else None

    def _shown(self, status: TimerStatus) -> dict[str, str]:
        last, following, updated = (
            each.astimezone(self._zone).isoformat() if each is not None else None
            for each in (status.last, status.following, status.updated)
        )
        return {"Last": last or _NEVER_RAN, "Next": following or _NEVER_AGAIN, "LastUpdated": updated or _NEVER_RAN}

    def _file(self, function: str) -> Path:
        return self._folder / f"{quote(function, safe='')}.json"

    def _read(self, function: str) -> TimerStatus | None:
        """None if there is none, or none that can be read: the timer then counts from its start, as a new one does."""
        try:
            content = json.loads(self._file(function).read_text())
            last, following, updated = (content[name] for name in ("Last", "Next", "LastUpdated"))
            return TimerStatus(
                None if last == _NEVER_RAN else _time(last), None if following == _NEVER_AGAIN else _time(following), _time(updated)
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None


def _time(text: str) -> datetime:
    """Raises ValueError for a time without a time zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)
