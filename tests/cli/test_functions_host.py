"""What `bridge up` tells when the functions host beside it ends."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bridge import settings
from bridge.cli.functions_host import Teller, command, named_twice
from bridge.cli.screen import Screen
from bridge.local.supervisor import Ended

REFUSED = "a warning\nCannot start: functions/python cannot be loaded. ImportError: no module named tables\n"


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def teller(told: io.StringIO) -> Teller:
    return Teller(Screen(err=Console(file=told)), Path("data/functions.log"))


def test_a_host_that_cannot_start_is_told_with_its_reason_and_the_mend(teller: Teller, told: io.StringIO) -> None:
    teller.ended(Ended(2, 1, 0.5, REFUSED))
    assert told.getvalue().splitlines() == [
        "The functions host ended, because it cannot start:",
        "functions/python cannot be loaded. ImportError: no module named tables",
        "Fix this; it is retried at least every 60 s. See data/functions.log",
    ]


def test_the_same_reason_is_told_once_and_another_one_at_once(teller: Teller, told: io.StringIO) -> None:
    for times in range(1, 100):
        teller.ended(Ended(2, times, 60, REFUSED))
    assert told.getvalue().count("ImportError") == 1
    teller.ended(Ended(2, 100, 60, "Cannot start: Port 7071 cannot be used.\n"))
    assert told.getvalue().count("Port 7071") == 1


def test_a_host_that_crashes_is_told_with_its_exit_code_once_a_series(teller: Teller, told: io.StringIO) -> None:
    for times in (1, 2, 3, 1):
        teller.ended(Ended(-9, times, 0.5, "some line"))
    assert told.getvalue() == "The functions host ended with exit code -9. It starts again by itself. See data/functions.log\n" * 2


def test_a_log_line_of_a_function_is_not_taken_for_a_reason(teller: Teller, told: io.StringIO) -> None:
    teller.ended(Ended(1, 1, 0.5, REFUSED))
    assert "ImportError" not in told.getvalue()


def test_the_host_runs_timers_only_where_a_setting_asks_for_it(tmp_path: Path) -> None:
    for flags, given in (({}, False), ({"timers": True}, True)):
        found = settings.load({"functions": str(tmp_path), **flags}, {}, tmp_path)
        assert ("--timers" in command(found, tmp_path)) is given


def test_an_app_that_is_here_and_elsewhere_is_named(tmp_path: Path) -> None:
    for name in ("shop", "tools"):
        (tmp_path / name).mkdir()
    (tmp_path / "shop" / "function_app.py").touch()

    assert named_twice(tmp_path, {"shop-functions", "tools-functions", "other-functions"}) == ["shop-functions"]
    assert named_twice(tmp_path / "absent", {"shop-functions"}) == []
