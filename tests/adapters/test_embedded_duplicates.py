from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from bridge.adapters.embedded.duplicates import SCHEMA, forget, is_new


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCHEMA:
        opened.execute(statement)
    yield opened
    opened.close()


def test_an_id_is_new_once_within_the_window_of_its_queue(connection):
    assert is_new("jobs", "a", 100, 10, connection)
    assert not is_new("jobs", "a", 109.9, 10, connection)
    assert is_new("jobs", "b", 101, 10, connection)
    assert is_new("orders", "a", 101, 10, connection)


def test_the_window_begins_with_the_first_message_and_not_with_its_repeats(connection):
    is_new("jobs", "a", 100, 10, connection)
    is_new("jobs", "a", 109, 10, connection)
    assert is_new("jobs", "a", 110, 10, connection)
    assert not is_new("jobs", "a", 111, 10, connection)


def test_ids_are_forgotten_behind_the_window_a_limited_number_at_a_time(connection):
    for number in range(5):
        is_new("jobs", str(number), 100 + number, 10, connection)
        is_new("orders", str(number), 100 + number, 100, connection)
    windows = {"jobs": 10.0, "orders": 100.0}
    assert [forget(windows, 113, 3, connection) for _ in range(3)] == [3, 1, 0]
    assert connection.execute("SELECT source, count(*) FROM seen GROUP BY source").fetchall() == [("jobs", 1), ("orders", 5)]
