"""Those in this process who wait for a run to change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Watchers:
    """By correlation id."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self.letting_go = False  #: nobody is to wait any more

    @contextmanager
    def watched(self, correlation_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change while the context is open."""
        changed = asyncio.Event()
        self._waiting.setdefault(correlation_id, set()).add(changed)
        try:
            yield changed
        finally:
            self._waiting[correlation_id].discard(changed)
            if not self._waiting[correlation_id]:
                del self._waiting[correlation_id]

    def wake(self, correlation_id: str) -> None:
        """The run has changed."""
        for changed in self._waiting.get(correlation_id, ()):
            changed.set()

    def let_go(self) -> None:
        """Wake everybody, now and later."""
        self.letting_go = True
        for correlation_id in self._waiting:
            self.wake(correlation_id)
