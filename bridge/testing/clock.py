"""A clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)  #: the time at which a FakeClock starts by default


class FakeClock:
    """Implements `ports.Clock`. Time stands still until the test moves it. A sleep moves it and returns at once."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now, self._ahead = start, timedelta(0)

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return self._now + self._ahead

    def steady(self) -> datetime:
        """The time without what `set_forward` did, in UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move the time forward by `seconds`, without waiting."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, span: timedelta) -> None:
        """Let time pass."""
        self._now += span

    def set_forward(self, span: timedelta) -> None:
        """Set the wall clock forward, or back by a negative span, although no time passes."""
        self._ahead += span
