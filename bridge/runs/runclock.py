"""The clock for the times of a run.

The wall clock may be set while a run is in progress. Its deadline and its pauses must then end neither early nor late. So within one
process the times of a run follow the steady clock, shifted to the wall clock at the creation of the run. The record names this clock as
`control.clock`: the process, and by how many seconds its wall clock was ahead of its steady clock. Any other process uses its own clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.ports import Clock, Store
from bridge.run import Run

#: By how many seconds the two clocks may differ without having been set. Each is read on its own, so they are never quite the same.
TOLERANCE = 0.02


class RunClock:
    """Tells the time of a run. `store` says whether other processes work on the same runs.

    `process` is the id of this process: `<replica>/<any text>` if there are several replicas. No two running replicas have the same name.
    """

    def __init__(self, clock: Clock, process: str, store: Store) -> None:
        self._clock, self.process, self._store = clock, process, store

    @property
    def is_alone(self) -> bool:
        """Whether no other process works on the runs."""
        return not self._store.shared

    def is_over(self, process: str) -> bool:
        """Whether the process with this id has certainly ended: it is another one, and could not run at the same time as this one."""
        if process == self.process or self.is_alone:
            return process != self.process
        replica = self.process.rpartition("/")[0]
        return bool(replica) and process.rpartition("/")[0] == replica

    def start(self) -> tuple[str, datetime]:
        """The name of the clock of a run that is created now, and its time."""
        ahead = (self._clock.now() - self._clock.steady()).total_seconds()
        mark = self.process if abs(ahead) < TOLERANCE else f"{self.process}{ahead:+.3f}"
        return mark, self._at(mark)

    def now(self, run: Run) -> datetime:
        """The time of this run."""
        return self._at(run.control.clock)

    def ahead(self, run: Run) -> timedelta:
        """By how much the wall clock was set ahead of this run's time. Add it to times that other programs compare with theirs."""
        ahead = self._clock.now() - self.now(run)
        return ahead if abs(ahead.total_seconds()) >= TOLERANCE else timedelta(0)

    def on_the_wall(self, run: Run, moment: datetime) -> datetime:
        """What the wall clock will show at this time of the run, if it is not set again. The result is never too early."""
        left = moment - self.now(run)
        return self._clock.now() + left

    def _at(self, mark: str) -> datetime:
        if mark == self.process:
            return self._clock.steady()
        if mark.startswith(self.process):
            return self._clock.steady() + timedelta(seconds=float(mark[len(self.process) :]))
        # Replicas share nothing but the wall clock.
        return self._clock.now() if self._store.shared else self._clock.steady()
