from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tests.benchmarks.__main__ import main, read, run
from tests.benchmarks.figures import Figures
from tests.benchmarks.measure import Plan
from tests.benchmarks.peerhome import Missing
from tests.benchmarks.record import Measured, as_json
from tests.benchmarks.rows import Row

SILENT = Console(quiet=True, width=150)


async def test_a_row_that_lacks_something_is_skipped_with_the_reason_and_it_is_looked_for_once() -> None:
    asked: list[str] = []

    async def engine() -> None:
        asked.append("engine")
        raise Missing("go is not on PATH")

    def never(_: Path) -> None:
        raise AssertionError("a row that lacks something was opened")

    rows = [
        Row("nats", "NATS", never, is_peer=True, needs=(engine,)),  # type: ignore[arg-type]
        Row("nats-http", "NATS, HTTP", never, column_of="nats", needs=(engine,)),  # type: ignore[arg-type]
    ]
    measured = await run(rows, Plan(), SILENT)
    assert [row.skipped for row in measured] == ["go is not on PATH"] * 2
    assert asked == ["engine"]


async def test_an_earlier_run_is_written_into_the_page_with_its_picture(tmp_path: Path) -> None:
    rows = [Figures("bridge-bare", "bridge, bare", 0.1, (90.0, 100.0)), Figures("saq", "saq", 0.1, (80.0,), is_peer=True)]
    record, page, picture = tmp_path / "run.json", tmp_path / "docs" / "speed.md", tmp_path / "speed.svg"
    record.write_text(as_json(Measured({"machine": "2 cores"}, Plan(), rows)))
    page.parent.mkdir()
    await main(read(["--read", str(record), "--markdown", str(page), "--svg", str(picture)]), SILENT)
    said = page.read_text()
    assert "| bridge-bare / saq | 1.19 | at least 0.7 | yes |" in said
    assert "![Requests a second of each row](../speed.svg)" in said
    assert "2,000 requests 3 times, 64 in flight. Machine: 2 cores." in said
    assert "bridge, bare" in picture.read_text()
