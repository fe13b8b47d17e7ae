from __future__ import annotations

import pytest

from tests.benchmarks import peerhome
from tests.benchmarks.rows import ROWS, Row, named
from tests.benchmarks.servers import NATS, RESTATE

PEERS = [row for row in ROWS if row.is_peer and not row.column_of]


def _names(name: str) -> list[str]:
    return [row.name for row in named(name)]


def test_no_name_is_taken_twice() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    "name", ["bridge-bare", "bridge-get", "bridge-wait", "bridge-topic", "raw", "raw-bare", "saq", "taskiq", "dramatiq"]
)
def test_a_whole_name_means_that_row_alone(name: str) -> None:
    assert _names(name) == [name]


def test_the_start_of_a_name_means_all_that_start_so() -> None:
    assert _names("celery") == ["celery-threads", "celery-threads-http", "celery-prefork", "celery-prefork-http"]


@pytest.mark.parametrize("peer", PEERS, ids=lambda row: row.name)
def test_every_peer_has_a_second_column_with_the_http_function(peer: Row) -> None:
    (http,) = [row for row in ROWS if row.column_of == peer.name]
    assert (http.name, http.is_durable, http.needs) == (f"{peer.name}-http", peer.is_durable, peer.needs)


def test_a_durable_row_needs_its_server_and_no_redis() -> None:
    needs = {row.name: row.needs for row in PEERS}
    assert (needs["restate"], needs["nats"]) == ((RESTATE.prepare, peerhome.peers), (NATS.prepare, peerhome.peers))
    assert peerhome.redis in needs["saq"]
