"""What opens a breaker: an expression over counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.resilience.trip import Counts, check, in_a_row, trips


@pytest.mark.parametrize(
    ("text", "counts", "opens"),
    [
        ("consecutiveFailures > 5", Counts(consecutive_failures=5), False),
        ("consecutiveFailures > 5", Counts(consecutive_failures=6), True),
        ("consecutiveFailures>=5", Counts(consecutive_failures=5), True),
        ("totalFailures > 2 && requests > 9", Counts(requests=9, total_failures=3), False),
        ("totalFailures > 2 && requests > 9", Counts(requests=10, total_failures=3), True),
        ("double(totalFailures) / double(requests) > 0.5", Counts(requests=4, total_failures=2), False),
        ("double(totalFailures) / double(requests) > 0.5", Counts(requests=4, total_failures=3), True),
        ("totalSuccesses == 0 || consecutiveSuccesses < totalSuccesses", Counts(1, 1, 0, 1, 0), False),
        ("totalFailures * 100 / requests >= 50", Counts(total_failures=1), False),
        ("totalFailures / totalSuccesses >= 2 ? true : false", Counts(total_failures=4), False),
        ("totalFailures / totalSuccesses >= 2 ? true : false", Counts(total_failures=4, total_successes=2), True),
        ("totalFailures / totalSuccesses > 1 && requests % consecutiveSuccesses == 0", Counts(requests=4, total_failures=4), False),
        ("double(totalSuccesses) / double(consecutiveSuccesses) >= 0.5", Counts(total_failures=1), False),
        ("!(double(totalSuccesses) / double(consecutiveSuccesses) < 0.5)", Counts(total_failures=1), False),
        ("double(totalFailures) / double(totalSuccesses) > 3.0", Counts(total_failures=1), True),
        ("-1.0 / double(totalSuccesses) < 0.0", Counts(total_failures=1), True),
        ("true", Counts(), True),
    ],
)
def test_an_expression_is_true_of_the_counts_or_not(text: str, counts: Counts, opens: bool) -> None:
    assert trips(check(text), counts) is opens


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not an expression in CEL"),
        ("consecutiveFailures >", "is not an expression in CEL"),
        ("nope > 5", "the names are requests, totalSuccesses"),
        ("consecutiveFailures", "is not true or false"),
        ("consecutiveFailures > '5'", "cannot be worked out"),
        ("nope / requests > 5", "cannot be worked out"),
        ("totalFailures / (requests - requests) > 5", "cannot be worked out"),
    ],
)
def test_what_is_no_such_expression_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(text)


@given(st.lists(st.booleans(), max_size=40))
def test_counts_add_up(answers: list[bool]) -> None:
    counts = Counts()
    for good in answers:
        counts = counts.permitted().succeeded() if good else counts.permitted().failed()
    row = next((place for place, good in enumerate(reversed(answers)) if good), len(answers))
    assert counts[:3] == (len(answers), sum(answers), len(answers) - sum(answers))
    assert counts.consecutive_failures == row
    assert counts.consecutive_successes == (0 if row else next((n for n, good in enumerate(reversed(answers)) if not good), len(answers)))


@given(st.integers(0, 100), st.integers(0, 100))
def test_the_short_way_and_cel_agree(least: int, failures: int) -> None:
    counts = Counts(consecutive_failures=failures)
    assert trips(in_a_row(least), counts) is trips(f"({in_a_row(least)})", counts)
