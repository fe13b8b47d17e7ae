from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.discretion import discreet
from bridge.masking import SHORTEST
from bridge.outcome import MAX_MESSAGE, Accepted, Failed, Succeeded
from bridge.run import Run
from tests.core_kit import a_run, moderate

PASSWORD = 'hunter2 "and\\more'
KEY = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\nabcdefghijklmnop\n-----END KEY-----\n"


def asked(data: Any, *paths: tuple[str, ...]) -> Run:
    run = a_run(data=data)
    return run.model_copy(update={"control": run.control.model_copy(update={"secret_paths": paths})})


RUN = asked({"user": "root", "password": PASSWORD, "keys": [KEY]}, ("password",), ("keys", "*"))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (f"wrong: {PASSWORD}!", "wrong: ***!"),
        ({"deep": [{"er": PASSWORD}], "user": "root"}, {"deep": [{"er": "***"}], "user": "root"}),
        ({PASSWORD: 1}, {"***": 1}),
        (json.dumps({"password": PASSWORD}), '{"password": "***"}'),
        (json.dumps(json.dumps(PASSWORD)), json.dumps(json.dumps(PASSWORD))),
        (KEY, "***\n***\n***\n***\n"),
        (" ".join(KEY.split("\n")), "*** *** *** *** "),
        (2**60, 2**60),
        (None, None),
    ],
    ids=["text", "nested", "key", "as JSON", "written twice over", "lines", "lines in one", "number", "nothing"],
)
def test_an_output_says_the_secrets_of_its_input_no_more(output, expected):
    assert discreet(Succeeded(output), RUN) == Succeeded(expected)


def test_a_failure_says_them_neither_in_its_code_nor_in_its_message_nor_in_its_hint():
    failed = Failed(code=PASSWORD, message=f"{PASSWORD} is wrong", hint=f"not {PASSWORD}", retriable=True, status=422)
    assert discreet(failed, RUN) == replace(failed, code="***", message="*** is wrong", hint="not ***")


@pytest.mark.parametrize("ending", ["", "…"])
def test_a_secret_that_was_cut_off_with_the_message_is_hidden_to_its_beginning(ending):
    for length in range(SHORTEST, len(PASSWORD)):
        message = ("x" * MAX_MESSAGE)[: MAX_MESSAGE - length - len(ending)] + PASSWORD[:length] + ending
        shown = discreet(Failed("Cut", message), RUN)
        assert isinstance(shown, Failed)
        assert shown.message.endswith("x***")


@pytest.mark.parametrize("run", [RUN, a_run()], ids=["with secrets", "without"])
def test_the_token_of_an_invocation_is_a_secret_of_its_run(run):
    token = run.invocations[0].control.token
    assert token not in repr(discreet(Succeeded({"headers": {"x-invocation-token": token}}), run))
    assert token not in repr(discreet(Failed("Echo", token), run))


def test_what_repeats_nothing_stays_the_very_same():
    output = {"password": "another", "user": "root"}
    shown = discreet(Succeeded(output), RUN)
    assert isinstance(shown, Succeeded)
    assert shown.output is output
    assert discreet(Accepted(), RUN) == Accepted()
    assert discreet(Failed("Busy", "try later"), RUN) == Failed("Busy", "try later")


def test_texts_too_short_to_be_told_from_others_are_left():
    assert discreet(Succeeded("prod5, 123456"), asked({"a": "prod5", "b": 123456}, ("a",), ("b",))) == Succeeded("prod5, 123456")


def test_secrets_behind_a_reference_to_itself_are_found():
    run = asked({"next": {"next": {"password": "deep-secret"}}}, ("**", "password"))
    assert discreet(Succeeded("it was deep-secret"), run) == Succeeded("it was ***")


@moderate
@given(st.text(min_size=SHORTEST, max_size=30), st.text(max_size=20), st.sampled_from(["{}", '{{"a": {}}}', "a{}b{}c"]))
def test_no_text_that_was_secret_is_said_in_any_frame(secret, other, frame):
    run = asked({"secret": secret}, ("secret",))
    known = [line.strip() for line in secret.splitlines() if len(line.strip()) >= SHORTEST]
    shown = discreet(Succeeded({"a": frame.format(secret, secret), "b": [json.dumps(secret)], "c": other}), run)
    assert isinstance(shown, Succeeded)
    assert not [line for line in known if line in shown.output["a"] or line in shown.output["b"][0]]
