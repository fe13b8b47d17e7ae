"""The benchmark of what bridge and sidecar need."""

from __future__ import annotations

import os
from io import StringIO

from rich.console import Console

from tests.benchmarks.sidecarsize import Load, Need, Result, begin_anew, garbage_collection, largest_memory, show


def test_the_sidecar_is_told_what_the_chart_tells_it() -> None:
    assert garbage_collection() == {"GOGC": "400", "GOMEMLIMIT": "450MiB"}


def test_memory_is_the_most_that_a_process_had_since_it_was_asked_to_begin_anew() -> None:
    filled = bytearray(64 * 2**20)
    assert largest_memory(os.getpid()) > 64
    with_it = largest_memory(os.getpid())
    del filled
    assert largest_memory(os.getpid()) > with_it - 5
    begin_anew(os.getpid())
    assert largest_memory(os.getpid()) <= with_it - 50


def test_a_row_has_the_rate_and_what_each_process_needed() -> None:
    text = StringIO()
    needs = {"bridge": Need(0.5, 1.5, 100), "daprd": Need(0.25, 0.7, 90)}
    show({Load(100, 64, 50_000): Result(300.2, needs)}, Console(file=text, width=140))
    row = next(line for line in text.getvalue().splitlines() if "50.0 kB" in line)
    assert [each.strip() for each in row.split("│")[1:5]] == ["50.0 kB, 64 in flight", "300", "0.50, 1.50, 100", "0.25, 0.70, 90"]
