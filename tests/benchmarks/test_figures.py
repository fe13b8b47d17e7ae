from __future__ import annotations

from xml.etree import ElementTree as ET

from rich.console import Console

from tests.benchmarks.chart import KINDS, chart, kind
from tests.benchmarks.figures import Figures, Latency, alone, best_peer, floor_of
from tests.benchmarks.markdown import END, START, markdown, page
from tests.benchmarks.table import cpu, speed

BRIDGE = Figures(
    "bridge-get", "bridge", 0.5, (90.0, 100.0, 120.0), Latency(8, 9), None, {"bridge": 0.7, "worker": 0.2, "client": 0.1}, "", "raw"
)
RAW = Figures("raw", "raw path", 0.5, (400.0,), Latency(1, 2), Latency(1, 2), {"front": 0.2})
SLOW = Figures("celery", "Celery <threads>", 0.5, (50.0,), Latency(1, 2), is_peer=True)
FAST = Figures("saq", "saq", 0.5, (200.0,), Latency(1, 2), is_peer=True)
HTTP = Figures("saq-http", "saq, HTTP function", 0.5, (150.0,), Latency(1, 2), is_peer=True, column_of="saq")
ENGINE = Figures("nats", "NATS", 0.5, (300.0,), Latency(1, 2), None, {"worker": 0.3, "nats": 0.4}, is_peer=True, is_durable=True)
SKIPPED = Figures("taskiq", "taskiq", 0.0, skipped="redis-server is not on PATH", is_peer=True)
ROWS = [BRIDGE, RAW, SLOW, FAST, HTTP, ENGINE, SKIPPED]


def _shown(table: object) -> dict[str, list[str]]:
    console = Console(width=160)
    with console.capture() as said:
        console.print(table)
    return {line.split("  ")[0].strip(): line.split() for line in said.get().splitlines() if line.strip()}


def test_the_best_peer_is_the_task_queue_with_the_most_requests_and_the_floor_is_the_rows_own() -> None:
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
    assert [bar.get("class") for bar in bars if bar.get("height") == "18"] == ["bridge", "raw", "peer", "peer", "peer http", "durable"]


def test_the_picture_says_what_the_colours_mean_and_has_colours_for_a_dark_page() -> None:
    drawn = chart(ROWS, "Requests")
    assert all(said in drawn for said in KINDS.values())
    assert "prefers-color-scheme: dark" in drawn


def test_a_row_on_dapr_can_be_drawn() -> None:
    rows = [Figures("dapr-get", "bridge on Dapr", 0.0, (1.0,)), Figures("dapr-bare-get", "bare handler", 0.0, (1.0,))]
    assert [kind(row) for row in rows] == ["bridge", "raw"]


def test_the_second_column_of_a_peer_stands_in_its_line() -> None:
    shown = _shown(speed(ROWS, 64, 20))
    assert shown["saq"][1:6] == ["200", "200", "200", "150", "1.00"]
    assert "saq, HTTP function" not in shown


def test_a_second_column_without_its_first_has_a_line_of_its_own() -> None:
    assert alone([BRIDGE, HTTP]) == [BRIDGE, HTTP]


def test_the_cpu_of_an_engine_is_told_apart_from_its_workers() -> None:
    assert _shown(cpu(ROWS))["NATS"][1:] == ["0.30", "0.40", "0.70", "0.00"]


def test_the_tables_of_the_docs_have_speed_aims_and_promises() -> None:
    drawn = markdown(ROWS, 20)
    assert "| saq | 200 (200 to 200) | 150 (150 to 150) |  |" in drawn
    assert "| bridge | 100 (90 to 120) |  |  | 0.90 (bridge 0.70) |" in drawn
    assert "| bridge-get / saq | 0.50 | at least 0.5 | yes |" in drawn
    assert "- saq: Redis answers first" in drawn


def test_new_figures_replace_those_of_a_page_and_nothing_else() -> None:
    assert page(f"# Speed\n{START}\nold\n{END}\n## More\n", "new") == f"# Speed\n{START}\nnew\n{END}\n## More\n"


def test_a_page_without_a_place_for_figures_has_the_figures_alone() -> None:
    assert page("", "new") == "new\n"
