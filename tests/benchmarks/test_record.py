from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.figures import Figures, Latency
from tests.benchmarks.measure import Plan
from tests.benchmarks.record import Measured, as_json, read_json

ROWS = (
    Figures("bridge-bare", "bridge, bare", 0.5, (90.0, 100.0), Latency(8, 9), Latency(1, 2), {"bridge": 0.7}),
    Figures("saq", "saq", 0.5, (80.0,), Latency(8, 9), is_peer=True),
    Figures("saq-http", "saq, HTTP function", 0.5, skipped="no Redis", is_peer=True, column_of="saq"),
)
RUN = Measured({"machine": "2 cores"}, Plan(requests=10), list(ROWS))


def test_a_run_that_was_written_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(as_json(RUN))
    assert read_json(path) == RUN


def test_the_record_has_the_promise_of_each_row_and_the_aims() -> None:
    said = json.loads(as_json(RUN))
    assert "synchronous=FULL" in said["rows"][0]["promise"]
    assert said["aims"][0] == {"name": "bridge-bare / saq", "value": 95 / 80, "least": 0.7, "most": None, "reached": True}
