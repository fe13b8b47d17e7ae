from __future__ import annotations

import pytest
from hypothesis import given

from bridge.errors import Malformed
from bridge.outcome import Failed, Succeeded
from bridge.outcome.resultevent import Result, read_result
from tests.core_kit import json_values, moderate

LIMIT = 1_000


def read(**data: object) -> Result:
    return read_result(data, LIMIT)


@moderate
@given(json_values)
def test_an_output_is_taken_as_it_is(output):
    assert read_result({"status": "succeeded", "output": output}, 10**6) == Result(Succeeded.of(output))


def test_a_success_without_output_has_null():
    assert read(status="succeeded") == Result(Succeeded.of(None))


def test_what_a_result_says_beyond_the_contract_is_ignored():
    assert read(status="succeeded", output=1, error={"code": "x"}, more=True) == Result(Succeeded.of(1))


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        ({}, Failed("FunctionFailed", "The function failed and gave no message.")),
        ({"code": "Boom", "message": "it broke"}, Failed("Boom", "it broke")),
        ({"message": "m", "hint": "h", "retriable": True}, Failed("FunctionFailed", "m", "h", retriable=True)),
    ],
)
def test_a_failure_is_told_in_the_functions_words(error, failed):
    assert read(status="failed", error=error) == Result(failed)


def test_a_failure_without_an_error_is_one():
    assert read(status="failed").outcome == Failed("FunctionFailed", "The function failed and gave no message.")


@pytest.mark.parametrize(
    ("progress", "percent", "message"),
    [({}, None, None), ({"percent": 40}, 40, None), ({"percent": 0, "message": "half"}, 0, "half"), ({"message": ""}, None, "")],
)
def test_progress_is_no_outcome(progress, percent, message):
    assert read(status="running", progress=progress) == Result(None, percent, message)


def test_the_settlement_of_a_message_is_no_outcome_by_itself():
    assert read(status="running", settlement="completed") == Result(None, settled=True)


def test_a_delivery_that_failed_is_no_outcome_either():
    error = {"code": "ValueError", "message": "boom", "hint": "look", "retriable": False}
    assert read(status="running", error=error) == Result(None, failure=Failed("ValueError", "boom", "look"))


@pytest.mark.parametrize("status", ["running", "failed", "succeeded"])
def test_the_errors_that_a_function_wrote_are_a_number_beside_every_status(status):
    assert read(status=status, errorsWritten=2).errors_written == 2
    assert read(status=status).errors_written is None


@pytest.mark.parametrize("count", [-1, 1.5, "2", True, 10**9 + 1])
def test_what_is_no_number_of_errors_is_refused_with_its_place(count):
    with pytest.raises(Malformed, match="/data/errorsWritten"):
        read(status="running", errorsWritten=count)


@pytest.mark.parametrize(("characters", "fits"), [(LIMIT - 2, True), (LIMIT - 1, False)])
def test_an_output_over_the_limit_is_a_failure_with_both_sizes(characters, fits):
    outcome = read(status="succeeded", output="x" * characters).outcome
    assert isinstance(outcome, Succeeded) is fits
    if isinstance(outcome, Failed):
        assert (outcome.code, outcome.retriable) == ("OutputTooLarge", False)
        assert "1,001 bytes; 1,000 are allowed" in outcome.message


@pytest.mark.parametrize("data", [None, [], [{"status": "succeeded"}], "succeeded", 1])
def test_a_result_is_one_object(data):
    with pytest.raises(Malformed, match="one JSON object"):
        read_result(data, LIMIT)


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({}, "/data/status"),
        ({"status": "Succeeded"}, "/data/status"),
        ({"status": "done"}, "/data/status"),
        ({"status": "running", "progress": {"percent": 101}}, "/data/progress/percent"),
        ({"status": "running", "progress": {"percent": -1}}, "/data/progress/percent"),
        ({"status": "running", "progress": {"percent": True}}, "/data/progress/percent"),
        ({"status": "running", "progress": {"percent": "40"}}, "/data/progress/percent"),
        ({"status": "running", "progress": {"message": 7}}, "/data/progress/message"),
        ({"status": "failed", "error": "text"}, "/data/error"),
        ({"status": "failed", "error": {"code": 7}}, "/data/error/code"),
        ({"status": "failed", "error": {"retriable": "maybe"}}, "/data/error/retriable"),
        ({"status": "failed", "error": {"retriable": "true"}}, "/data/error/retriable"),
    ],
)
def test_what_is_wrong_is_named_with_its_pointer(data, pointer):
    with pytest.raises(Malformed) as caught:
        read_result(data, LIMIT)
    assert [each["pointer"] for each in caught.value.errors] == [pointer]
    assert pointer in caught.value.detail


def test_a_value_that_is_wrong_is_not_repeated():
    with pytest.raises(Malformed) as caught:
        read(status="hunter2")
    assert "hunter2" not in str(caught.value) + str(caught.value.errors)


@pytest.mark.parametrize("error", [{"message": "x" * 10_001}, {"code": "x" * 101}, {"code": ""}, {"hint": "x" * 2_001}])
def test_a_failure_that_says_much_is_still_a_failure(error):
    assert isinstance(read(status="failed", error=error).outcome, Failed)


@pytest.mark.parametrize(
    "data", [{"status": "succeeded", "error": None}, {"status": "succeeded", "progress": None}, {"status": "failed", "error": None}]
)
def test_null_is_the_same_as_absent(data):
    assert read_result(data, LIMIT).outcome is not None
