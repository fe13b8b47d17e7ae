"""Counts the runs in progress that a change concerns, for `bridge check`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.client import BridgeClient

_COUNTED = 100  #: unfinished runs of one automation and status that are counted
_UNFINISHED = ("Pending", "Running", "Canceling")


@dataclass(frozen=True)
class RunsInHand:
    """Unfinished runs by automation.

    There may be more runs of the automations in `at_least`. `all_read` says whether the caller may read every run.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    at_least: frozenset[str] = frozenset()
    all_read: bool = True

    def sentence(self, name: str) -> str:
        """The number of runs of one automation, as a sentence."""
        count = self.counts[name]
        number = f"{'at least ' if name in self.at_least and count else ''}{count or 'no'} run{'s' if count != 1 else ''}"
        return f"{name} has {number} in hand now{'' if self.all_read else ', of those that you may read'}."


async def count(client: BridgeClient, names: Iterable[str], *, all_read: bool) -> RunsInHand:
    """Count the unfinished runs of these automations.

    A count of zero is reported only if every run can be read. Raises Problem, Unreachable.
    """
    counts, more = {}, set()
    for name in sorted(names):
        found = [await _count(client, name, status) for status in _UNFINISHED]
        if sum(found) or not all_read:
            counts[name] = sum(found)
        if max(found) >= _COUNTED or not all_read:
            more.add(name)
    return RunsInHand(counts, frozenset(more), all_read)


async def _count(client: BridgeClient, name: str, status: str) -> int:
    return len([each async for each in client.runs(status=status, automation=name, limit=_COUNTED)])
