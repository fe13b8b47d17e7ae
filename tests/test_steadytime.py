from __future__ import annotations

import time

from bridge.steadytime import SteadyTime


def test_time_passes_alike_whatever_the_wall_clock_shows(monkeypatch):
    steady, wall = SteadyTime(), time.time
    before = steady.now()
    monkeypatch.setattr(time, "time", lambda: wall() - 3600)
    assert before <= steady.now() < before + 60
    assert -3660 < steady.ahead < -3540


def test_it_shows_the_wall_clock_as_long_as_nobody_sets_it():
    assert abs(SteadyTime().ahead) < 1
