from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from bridge.cli.exits import Exit
from tests.cli.commands import bridge, sent
from tests.scripted_api import ScriptedApi, run


@pytest.mark.parametrize(
    ("automation", "code", "says"),
    [
        ("works", Exit.OK, "1152921504606846976"),
        ("fails", Exit.FAILED, "error: Told: It was told to end Failed."),
        ("late", Exit.TIMED_OUT, "status: TimedOut"),
        ("stops", Exit.CANCELED, "status: Canceled"),
        ("endless", Exit.TIMED_OUT, "status: Running"),
    ],
)
def test_a_run_that_was_waited_for_decides_the_exit_code(api: ScriptedApi, automation: str, code: Exit, says: str) -> None:
    wait = "0.2" if automation == "endless" else "5"
    result = bridge("submit", automation, "--correlation-id", "a", "--wait", wait)
    assert (result.exit_code, says in result.stdout) == (code, True), result.output


def test_a_run_that_was_not_waited_for_is_no_failure(api: ScriptedApi) -> None:
    result = bridge("submit", "works", "--correlation-id", "a")
    assert result.exit_code == Exit.OK
    assert "`bridge get a --wait 60` waits for it" in result.stderr


def test_a_deadline_travels_with_the_request(api: ScriptedApi) -> None:
    bridge("submit", "works", "--deadline", "2026-01-31T12:00:00Z")
    assert api.last[2]["x-deadline"] == "2026-01-31T12:00:00+00:00"


def test_the_raw_output_is_all_that_is_printed(api: ScriptedApi) -> None:
    bridge("submit", "works", "--correlation-id", "a", "--wait", "5")
    result = bridge("get", "a", "--output")
    assert (result.stdout, result.stderr) == ('{"answer":1152921504606846976}', "")


@pytest.mark.parametrize(("automation", "code"), [("fails", Exit.FAILED), ("endless", Exit.TIMED_OUT)])
def test_without_output_the_reason_is_told_beside(api: ScriptedApi, automation: str, code: Exit) -> None:
    bridge("submit", automation, "--correlation-id", "a", "--wait", "0.2")
    result = bridge("get", "a", "--output")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "so there is no output" in result.stderr


def test_a_list_without_a_terminal_is_plain_columns(api: ScriptedApi) -> None:
    api.runs = {str(number): run(str(number), "works", "Succeeded") for number in range(3)}
    result = bridge("list", "--status", "Succeeded", env={"COLUMNS": "40", "FORCE_COLOR": ""})
    header, first, *_ = result.stdout.splitlines()
    assert header.split() == ["ID", "AUTOMATION", "STATUS", "CREATED", "TOOK", "ERROR"]
    assert first.split() == ["0", "works", "Succeeded", "2026-01-01", "10:00:00", "1.5", "s"]
    assert len(result.stdout.splitlines()) == 4


def test_a_list_can_be_json(api: ScriptedApi) -> None:
    api.runs = {"a": run("a", "works", "Succeeded")}
    assert json.loads(bridge("list", "--json").stdout)[0]["output"] == {"answer": 2**60}


def test_canceling_shows_the_run(api: ScriptedApi) -> None:
    bridge("submit", "works", "--correlation-id", "a")
    result = bridge("cancel", "a")
    assert (result.exit_code, "status: Canceling" in result.stdout) == (Exit.OK, True)


def test_canceling_what_has_ended_is_refused(api: ScriptedApi) -> None:
    bridge("submit", "works", "--correlation-id", "a", "--wait", "5")
    assert bridge("cancel", "a").exit_code == Exit.REFUSED


def test_a_rerun_may_change_the_input(api: ScriptedApi) -> None:
    api.runs = {"a": run("a", "works", "Failed", {"n": 1})}
    result = bridge("rerun", "a", "n=2", "--json")
    assert (json.loads(result.stdout)["rerunOf"], sent(api)) == ("a", {"n": 2})


def test_ctrl_c_leaves_the_run_going_and_says_how_to_find_it(api: ScriptedApi) -> None:
    command = [sys.executable, "-m", "bridge", "submit", "endless", "--correlation-id", "a", "--wait", "60"]
    with subprocess.Popen(command, env={**os.environ, "BRIDGE_URL": api.url}, stderr=subprocess.PIPE, text=True) as process:
        while not any(path.endswith("/events") for _, path, _, _ in api.seen):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=10)[1]
    assert process.returncode == Exit.INTERRUPTED
    assert said.strip() == "The run goes on; `bridge get a` shows it, `bridge cancel a` stops it."
