from __future__ import annotations

import pytest

from tests.benchmarks.figures import Figures
from tests.benchmarks.notes import promise, promises
from tests.benchmarks.rows import ROWS, Row


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_every_row_says_what_it_promises(name: str) -> None:
    assert promise(name)


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_durable], ids=lambda row: row.name)
def test_a_durable_row_says_that_a_request_is_synced_before_the_yes(row: Row) -> None:
    assert "synced" in promise(row.name)
    assert "before" in promise(row.name)


@pytest.mark.parametrize("name", ["saq", "taskiq", "dramatiq", "celery-threads"])
def test_a_queue_on_redis_says_what_a_power_cut_loses(name: str) -> None:
    assert "a power cut loses up to a second" in promise(name)


def test_a_promise_is_told_once_and_only_of_what_was_measured() -> None:
    rows = [
        Figures("saq", "saq", 0.0, (1.0,)),
        Figures("saq-http", "saq, HTTP function", 0.0, (1.0,)),
        Figures("nats", "NATS", 0.0, skipped="no go"),
    ]
    assert promises(rows) == [promise("saq")]
