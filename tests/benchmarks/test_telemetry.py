"""What the benchmark of telemetry makes of what it measured."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from tests.benchmarks.telemetry import OFF, show


def test_the_figure_is_the_median_of_what_each_round_is_beside_the_same_round_without_telemetry() -> None:
    text = StringIO()
    rounds = {OFF: [(100.0, 1.0), (200.0, 1.0), (100.0, 9.0)], "1 %": [(102.0, 1.0), (206.0, 1.0), (300.0, 9.0)]}
    show(rounds, Console(file=text, width=120))
    row = next(line for line in text.getvalue().splitlines() if "1 %" in line)
    assert [each.strip() for each in row.split("│")[1:5]] == ["1 %", "206", "+3.0 %", "11.0"]
