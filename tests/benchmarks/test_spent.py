from __future__ import annotations

from rich.console import Console

from tests.benchmarks import spent
from tests.benchmarks.figures import Figures
from tests.benchmarks.table import sidecar

BEFORE = "# Commandstats\r\ncmdstat_xadd:calls=10,usec=5,usec_per_call=0.5\r\ncmdstat_xack:calls=4,usec=5\r\n"
AFTER = "cmdstat_xadd:calls=40,usec=9\r\ncmdstat_xack:calls=24,usec=9\r\ncmdstat_eval:calls=15,usec=1\r\ncmdstat_evalsha:calls=20\r\n"
BRIDGE = Figures("dapr-get", "bridge on Dapr", 0.5, (50.0,), sidecar={"publishes": 3.0, "state writes": 3.24})
PEER = Figures("saq", "saq", 0.5, (50.0,), is_peer=True)


def test_the_calls_of_each_command_are_read_from_what_redis_tells() -> None:
    assert spent.read(BEFORE) == {"xadd": 10, "xack": 4}


def test_what_a_request_cost_is_the_growth_over_all_requests() -> None:
    cost = spent.per_request(spent.read(BEFORE), spent.read(AFTER), requests=10)
    assert cost == {"publishes": 3.0, "deliveries": 2.0, "state writes": 3.5, "state reads": 0.0}


def test_only_rows_with_a_sidecar_are_in_its_table() -> None:
    console = Console(width=160)
    with console.capture() as said:
        console.print(sidecar([BRIDGE, PEER]))
    assert [line.split() for line in said.get().splitlines()[2:]] == [["bridge", "on", "Dapr", "3.00", "3.24"]]


def test_without_such_a_row_there_is_no_table() -> None:
    assert sidecar([PEER]) is None
