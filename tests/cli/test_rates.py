from __future__ import annotations

import pytest

from bridge.cli import rates
from bridge.cli.rates import Pace


@pytest.mark.parametrize(("text", "a_second"), [("50/s", 50), ("600/min", 10), ("1800/h", 0.5), ("0.5/s", 0.5), (" 5 / s ", 5)])
def test_a_rate_is_so_many_in_a_unit_of_time(text, a_second):
    assert rates.parse(text) == a_second


@pytest.mark.parametrize("text", ["", "50", "50/d", "0/s", "-1/s", "fast", "1e3/s", "50/s/s", "9" * 30 + "/s"])
def test_what_is_no_rate_is_told_with_the_form(text):
    with pytest.raises(ValueError, match=r"is not a rate; write it like \"50/s\", \"600/min\" or \"1000/h\""):
        rates.parse(text)


def test_at_once_asked_for_starts_are_spread_evenly():
    pace = Pace(10)
    assert [pytest.approx(pace.pause(0.0)) for _ in range(4)] == [0, 0.1, 0.2, 0.3]


def test_whoever_comes_late_waits_no_longer():
    pace = Pace(1)
    assert [pace.pause(moment) for moment in (0.0, 1.5, 3.0)] == [0, 0, 0]


def test_a_long_pause_is_not_made_up_for():
    pace = Pace(100)
    pace.pause(0.0)
    at_once = sum(pace.pause(60.0) == 0 for _ in range(100))
    assert at_once <= 100 * rates.CATCH_UP + 1
