from __future__ import annotations

import pytest

from tests.benchmarks.aims import Aim, aims
from tests.benchmarks.figures import Figures, Latency

BARE = Figures("bridge-bare", "bridge, bare", 0.0, (700.0, 900.0, 800.0), None, Latency(4.0, 9.0), {"bridge": 1.0, "client": 0.1})
GET = Figures("bridge-get", "bridge", 0.0, (500.0,), cpu={"bridge": 1.5})
SAQ = Figures("saq", "saq", 0.0, (1000.0,), is_peer=True)
RESTATE = Figures("restate", "Restate", 0.0, (640.0,), is_peer=True, is_durable=True)
SKIPPED = Figures("nats", "NATS", 0.0, skipped="go is not on PATH", is_peer=True)


def _found(*rows: Figures) -> dict[str, Aim]:
    return {aim.name: aim for aim in aims(rows)}


def test_the_aims_are_ratios_of_medians_within_one_run() -> None:
    found = _found(BARE, GET, SAQ, RESTATE)
    ratios = {name: (aim.value, aim.least) for name, aim in found.items() if "/" in name}
    assert ratios == {
        "bridge-bare / saq": (0.8, 0.7),
        "bridge-bare / restate": (1.25, 1.5),
        "bridge-get / saq": (0.5, 0.5),
    }


def test_cpu_and_latency_are_those_of_the_bridge_alone() -> None:
    found = _found(BARE)
    assert found["bridge-bare: CPU ms a request in the bridge"] == Aim("bridge-bare: CPU ms a request in the bridge", 1.0, most=0.9)
    assert found["bridge-bare: p50 in ms, steady"].value == 4.0


def test_a_run_without_a_row_says_nothing_of_its_aims() -> None:
    assert "bridge-get" not in "".join(_found(BARE, SAQ))
    assert "bridge-bare / nats" not in _found(BARE, SKIPPED)
    assert aims([SAQ]) == []


@pytest.mark.parametrize(
    ("aim", "bound", "reached"),
    [
        (Aim("a", 0.7, least=0.7), "at least 0.7", True),
        (Aim("a", 0.69, least=0.7), "at least 0.7", False),
        (Aim("a", 0.9, most=0.9), "at most 0.9", True),
        (Aim("a", 0.91, most=0.9), "at most 0.9", False),
        (Aim("a", 0.1), "", True),
    ],
)
def test_an_aim_is_reached_at_its_bound_and_not_beyond(aim: Aim, bound: str, reached: bool) -> None:
    assert (aim.bound, aim.is_reached) == (bound, reached)
