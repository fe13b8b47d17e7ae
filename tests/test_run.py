from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given

from bridge import run as runs
from bridge.errors import Unavailable
from bridge.lifecycle import begin
from bridge.outcome import Failed, Succeeded
from bridge.run import AttemptOutcome, Status
from bridge.testing import NOON
from tests.core_kit import MINUTE, a_run, http, json_values, moderate, topic
from tests.lifecycle_kit import done


def test_the_last_four_statuses_are_final():
    assert [status.value for status in Status if status.final] == ["Succeeded", "Failed", "Canceled", "TimedOut"]


def test_running_and_accepted_attempts_are_open():
    assert [outcome.value for outcome in AttemptOutcome if outcome.open] == ["Running", "Accepted"]


# The record.


@moderate
@given(json_values, json_values)
def test_a_record_comes_back_as_it_was_stored(given_input, output):
    run = done(a_run(http("a"), topic("b", 3), rule="any", data=given_input), "a", Succeeded.of(output))
    assert runs.load(runs.dump(run)) == run
    assert runs.dump(runs.load(runs.dump(run))) == runs.dump(run)


def test_large_integers_come_back_exactly():
    run = done(a_run(data=2**60), outcome=Succeeded.of([2**100]))
    assert (runs.load(runs.dump(run)).input, runs.load(runs.dump(run)).output) == (2**60, [2**100])


# Outputs.


def test_the_output_of_one_target_is_its_own():
    assert done(a_run(), outcome=Succeeded.of(7)).output == 7


def test_the_output_of_several_names_those_that_succeeded():
    run = done(done(a_run(http("a"), http("b"), http("c"), rule="best-effort"), "a", Succeeded.of(None)), "b", Failed("Boom", "it broke"))
    run = done(run, "c", Succeeded.of(3))
    assert (run.status, run.output) == (Status.SUCCEEDED, {"a": None, "c": 3})


def test_a_failed_run_of_several_still_gives_what_succeeded():
    run = done(done(a_run(http("a"), http("b")), "a", Succeeded.of(1)), "b", Failed("Boom", "it broke"))
    assert (run.status, run.has_output, run.output) == (Status.FAILED, True, {"a": 1})


@pytest.mark.parametrize("run", [a_run(), done(a_run(), outcome=Failed("Boom", "")), done(a_run(http("a"), http("b")), "a")])
def test_before_its_end_or_without_a_success_there_is_nothing_to_give(run):
    assert not run.has_output


def test_an_invocation_is_found_by_its_target():
    run = a_run(http("a"), http("b"))
    assert run.invocation("b") is run.invocations[1]
    assert run.invocation("c") is None


# Records of other releases.


def test_a_record_without_a_version_is_read():
    record = json.loads(runs.dump(a_run(data={"a": 1})))
    del record["version"]
    assert runs.load(json.dumps(record).encode()).input == {"a": 1}


@pytest.mark.parametrize("target", [http(), topic()], ids=["http", "topic"])
def test_a_field_of_a_target_that_a_later_release_wrote_is_kept(target):
    record = json.loads(runs.dump(a_run(target)))
    plan = record["invocations"][0]["control"]["target"]
    (kind,) = set(plan) - {"name"}
    plan["zone"] = plan[kind]["priority"] = 2**60
    run = runs.load(json.dumps(record).encode())
    assert run.invocations[0].control.target == target
    begun = begin(run, "main", now=NOON, until=NOON + MINUTE)
    assert json.loads(runs.dump(begun))["invocations"][0]["control"]["target"] == plan


def test_a_later_record_that_cannot_be_read_is_left_to_its_release():
    record = {**json.loads(runs.dump(a_run())), "status": "Paused", "version": runs.VERSION + 1}
    with pytest.raises(Unavailable, match=r"order-1 was written by a later release \(records of version 2\)"):
        runs.load(json.dumps(record).encode())


@pytest.mark.parametrize("record", [b"{", b"{}", b"[]", b'{"correlationId": "a", "version": 1}', b'{"version": "x"}'])
def test_what_is_no_record_is_an_error(record):
    with pytest.raises(msgspec.DecodeError):
        runs.load(record)
