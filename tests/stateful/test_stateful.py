from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harsh_kit import quiet
from tests.stateful.deadlines import RUNS, fuzzed
from tests.stateful.machine import Bridge, explore


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


def test_no_sequence_of_events_breaks_a_promise() -> None:
    before = Bridge.steps
    explore(60)
    assert Bridge.steps - before > 2000


def test_nothing_starts_late_and_no_promise_breaks_where_everything_takes_its_time() -> None:
    # The seed 420 leaves a run without its reply where who finds a deadline passed leaves the end to the timer.
    assert sum(fuzzed(seed) for seed in range(400, 450)) == 50 * RUNS
