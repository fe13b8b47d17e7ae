"""Outputs that the local functions host had nothing to send to are named in the attempt, which has succeeded all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.outcome import Failed, Succeeded, outputsnotsent
from bridge.ports import FunctionResponse
from bridge.run import AttemptOutcome
from tests.pipeline_kit import world

DONE = Succeeded.of("stored")


def test_a_success_names_each_binding_with_its_size() -> None:
    noted = outputsnotsent.noted(DONE, "copy=10, $return=2500")
    assert noted == Succeeded(
        DONE.output_json, not_sent="The local functions host did not send 10 bytes on copy, 2,500 bytes on $return; Azure does."
    )


@pytest.mark.parametrize("text", ["", "copy", "copy=", "copy=-1", "a b=1", "copy=1\r\nX: 1", "=" * 100, "copy=" + "9" * 400])
def test_text_in_another_form_says_nothing(text: str) -> None:
    assert outputsnotsent.noted(DONE, text) is DONE


def test_a_failure_says_why_it_failed_and_no_more() -> None:
    failed = Failed("Http500", "It broke.")
    assert outputsnotsent.noted(failed, "copy=10") is failed


async def test_the_attempt_of_the_run_says_so(tmp_path: Path) -> None:
    started = await world(tmp_path)
    headers = {"content-type": "application/json", outputsnotsent.HEADER: "copy=10"}
    started.functions.answers["/api/one"] = [FunctionResponse(200, headers, b'"stored"')]
    await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    (attempt,) = run.invocations[0].attempts
    assert (run.output, attempt.outcome, attempt.code) == ("stored", AttemptOutcome.SUCCEEDED, "OutputNotSent")
    assert attempt.message == "The local functions host did not send 10 bytes on copy; Azure does."
