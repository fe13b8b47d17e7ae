"""A script of faults: the shares that were asked for, the same from the same seed, and a rate above which it breaks."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from bridge.hammer.faults import Faults, FaultScript


def shares(faults: Faults, rate: float, number: int = 5000, seed: int = 1) -> dict[int | None, float]:
    script = FaultScript(faults, seed)
    seen = Counter(script.next(each / rate).status for each in range(number))
    return {status: count / number for status, count in seen.items()}


def test_errors_and_hangs_are_as_frequent_as_asked_for() -> None:
    seen = shares(Faults(errors=0.2, hangs=0.02), rate=40)
    assert 0.18 < seen[503] < 0.22
    assert 0.015 < seen[None] < 0.025
    assert set(seen) == {200, 503, None}


def test_above_its_rate_every_call_is_refused_and_below_none_of_these() -> None:
    whole = Faults(errors=0, hangs=0, breaks_at=50)
    assert shares(whole, rate=49) == {200: 1}
    assert shares(whole, rate=100)[503] > 0.98


def test_a_function_that_was_broken_answers_again_a_second_later() -> None:
    script = FaultScript(Faults(errors=0, hangs=0, breaks_at=10), 1)
    assert [script.next(0.001 * each).status for each in range(20)].count(503) == 10
    assert script.next(1.5).status == 200


def test_a_function_without_faults_has_none() -> None:
    assert shares(Faults(errors=0, hangs=0, breaks_at=None), rate=10_000) == {200: 1}


def test_the_same_seed_gives_the_same_faults() -> None:
    one, other, third = (FaultScript(Faults(), seed) for seed in (7, 7, 8))
    drawn = [[script.next(each / 10) for each in range(200)] for script in (one, other, third)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_half_of_the_answers_come_within_the_latency() -> None:
    script = FaultScript(Faults(latency=timedelta(milliseconds=80), breaks_at=None), 1)
    times = sorted(script.next(float(each)).after for each in range(2001))
    assert 0.075 < times[1000] < 0.085
