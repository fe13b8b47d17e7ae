"""What error records mean that a function wrote without failing."""

from __future__ import annotations

import pytest

from bridge.outcome import Accepted, Failed, Outcome, Succeeded
from bridge.outcome.errorswritten import HEADER, count_in, judged

DONE = Succeeded.of({"done": 3})
BROKEN = Failed("Broken", "it broke", retriable=True)


@pytest.mark.parametrize(
    ("text", "count"), [("2", 2), ("0", 0), ("", 0), ("-1", 0), ("two", 0), ("²", 0), ("٣", 0), ("1" * 10, 0), ("9" * 5000, 0)]
)
def test_the_header_of_an_answer_has_the_number_and_nonsense_is_none(text: str, count: int) -> None:
    assert count_in({HEADER: text}) == count


def test_an_answer_without_the_header_has_none() -> None:
    assert count_in({}) == 0


@pytest.mark.parametrize("errors", [None, "ignore"])
@pytest.mark.parametrize("outcome", [DONE, Accepted(), BROKEN])
def test_errors_are_counted_and_change_nothing(outcome: Outcome, errors: None) -> None:
    counted = judged(outcome, 2, errors)
    assert (type(counted), counted.errors_written) == (type(outcome), 2)
    assert judged(outcome, 0, errors) is outcome


@pytest.mark.parametrize(("count", "words"), [(1, "wrote 1 error."), (1_200, "wrote 1,200 errors.")])
@pytest.mark.parametrize("outcome", [DONE, Accepted("https://status")])
def test_where_errors_fail_they_end_what_has_not_failed_for_good(outcome: Outcome, count: int, words: str) -> None:
    failed = judged(outcome, count, "fail")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retriable, failed.unknown, failed.errors_written) == ("ErrorsWritten", False, False, count)
    assert failed.message.endswith(words)


def test_where_errors_fail_a_function_without_them_has_not_failed_and_a_failure_keeps_its_own_words() -> None:
    assert judged(DONE, 0, "fail") is DONE
    assert judged(BROKEN, 2, "fail") == Failed("Broken", "it broke", retriable=True, errors_written=2)
