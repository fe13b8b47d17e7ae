from __future__ import annotations

from xml.etree import ElementTree as ET

from rich.console import Console

from tests.benchmarks.chart import chart
from tests.benchmarks.figures import Figures, Latency, best_peer, floor_of
from tests.benchmarks.table import cpu, speed

BRIDGE = Figures(
    "bridge-get", "bridge", 0.5, (90.0, 100.0, 120.0), Latency(8, 9), None, {"bridge": 0.7, "worker": 0.2, "client": 0.1}, "", "raw"
)
RAW = Figures("raw", "raw path", 0.5, (400.0,), Latency(1, 2), Latency(1, 2), {"front": 0.2})
SLOW = Figures("celery", "Celery <threads>", 0.5, (50.0,), Latency(1, 2), is_peer=True)
FAST = Figures("saq", "saq", 0.5, (200.0,), Latency(1, 2), is_peer=True)
SKIPPED = Figures("taskiq", "taskiq", 0.0, skipped="redis-server is not on PATH", is_peer=True)
ROWS = [BRIDGE, RAW, SLOW, FAST, SKIPPED]


def _shown(table: object) -> dict[str, list[str]]:
    console = Console(width=160)
    with console.capture() as said:
        console.print(table)
    return {line.split("  ")[0].strip(): line.split() for line in said.get().splitlines() if line.strip()}


def test_the_best_peer_is_the_one_with_the_most_requests_and_the_floor_is_the_rows_own() -> None:
    assert (best_peer(ROWS), floor_of(BRIDGE, ROWS)) == (FAST, RAW)


def test_without_peers_or_floor_there_is_no_ratio() -> None:
    assert (best_peer([BRIDGE, SKIPPED]), floor_of(RAW, ROWS)) == (None, None)


def test_the_table_gives_the_median_and_the_ratios_to_peer_and_floor() -> None:
    assert _shown(speed(ROWS, 64, 20))["bridge"][1:6] == ["90", "100", "120", "0.50", "0.25"]


def test_the_cpu_of_the_servers_leaves_the_client_out() -> None:
    assert _shown(cpu(ROWS))["bridge"][1:] == ["0.70", "0.20", "0.90", "0.10"]


def test_a_row_that_was_skipped_has_no_figures() -> None:
    assert _shown(speed(ROWS, 64, 20))["taskiq"] == ["taskiq", "skipped"]


def test_the_picture_has_a_bar_for_each_measured_row() -> None:
    bars = ET.fromstring(chart(ROWS, "Requests & more")).findall("{http://www.w3.org/2000/svg}rect")  # noqa: S314 - our own
    assert [bar.get("fill") for bar in bars[1:]] == ["#2563eb", "#94a3b8", "#d97706", "#d97706"]
