"""What is said of the number of runs in hand."""

from __future__ import annotations

import pytest

from bridge.cli.inhand import RunsInHand

ANY = frozenset({"one"})
CASES = [
    (RunsInHand({"one": 3}), "one has 3 runs in hand now."),
    (RunsInHand({"one": 1}), "one has 1 run in hand now."),
    (RunsInHand({"one": 100}, ANY), "one has at least 100 runs in hand now."),
    (RunsInHand({"one": 1}, ANY, all_read=False), "one has at least 1 run in hand now, of those that you may read."),
    (RunsInHand({"one": 0}, ANY, all_read=False), "one has no runs in hand now, of those that you may read."),
]


@pytest.mark.parametrize(("runs", "told"), CASES, ids=[told for _, told in CASES])
def test_the_number_says_how_far_it_reaches(runs: RunsInHand, told: str) -> None:
    assert runs.sentence("one") == told
