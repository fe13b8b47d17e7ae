from __future__ import annotations

import json
from dataclasses import replace as changed
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic_core import from_json

from bridge.outcome import Accepted, Failed, Succeeded
from bridge.recorder import redacted
from bridge.redaction import MAX_MESSAGE, SHORTEST
from bridge.run import Run
from tests.core_kit import a_run, moderate

PASSWORD = 'hunter2 "and\\more'
KEY = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\nabcdefghijklmnop\n-----END KEY-----\n"


def asked(data: Any, *paths: tuple[str, ...]) -> Run:
    run = a_run(data=data)
    return replace(run, control=replace(run.control, secret_paths=paths))


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
def test_the_secrets_of_the_input_are_redacted_in_the_output(output, expected):
    assert redacted(Succeeded.of(output), RUN) == Succeeded.of(expected)


def test_they_are_redacted_in_code_message_and_hint_of_a_failure():
    failed = Failed(code=PASSWORD, message=f"{PASSWORD} is wrong", hint=f"not {PASSWORD}", retriable=True, status=422)
    assert redacted(failed, RUN) == changed(failed, code="***", message="*** is wrong", hint="not ***")


@pytest.mark.parametrize("ending", ["", "…"])
def test_a_secret_that_was_cut_off_with_the_message_is_hidden_to_its_beginning(ending):
    for length in range(SHORTEST, len(PASSWORD)):
        message = ("x" * MAX_MESSAGE)[: MAX_MESSAGE - length - len(ending)] + PASSWORD[:length] + ending
        shown = redacted(Failed("Cut", message), RUN)
        assert isinstance(shown, Failed)
        assert shown.message.endswith("x***")


@pytest.mark.parametrize("run", [RUN, a_run()], ids=["with secrets", "without"])
def test_the_token_of_an_invocation_is_a_secret_of_its_run(run):
    token = run.invocations[0].control.token
    assert token not in repr(redacted(Succeeded.of({"headers": {"x-invocation-token": token}}), run))
    assert token not in repr(redacted(Failed("Echo", token), run))


def test_what_repeats_nothing_stays_the_very_same():
    outcome = Succeeded.of({"password": "another", "user": "root"})
    assert redacted(outcome, RUN) is outcome
    assert redacted(Accepted(), RUN) == Accepted()
    assert redacted(Failed("Busy", "try later"), RUN) == Failed("Busy", "try later")


def test_texts_too_short_to_be_told_from_others_are_left():
    assert redacted(Succeeded.of("prod5, 123456"), asked({"a": "prod5", "b": 123456}, ("a",), ("b",))) == Succeeded.of("prod5, 123456")


def test_secrets_behind_a_reference_to_itself_are_found():
    run = asked({"next": {"next": {"password": "deep-secret"}}}, ("**", "password"))
    assert redacted(Succeeded.of("it was deep-secret"), run) == Succeeded.of("it was ***")


@moderate
@given(st.text(min_size=SHORTEST, max_size=30), st.text(max_size=20), st.sampled_from(["{}", '{{"a": {}}}', "a{}b{}c"]))
def test_no_secret_text_is_left_whatever_stands_around_it(secret, other, frame):
    run = asked({"secret": secret}, ("secret",))
    known = [line.strip() for line in secret.splitlines() if len(line.strip()) >= SHORTEST]
    shown = redacted(Succeeded.of({"a": frame.format(secret, secret), "b": [json.dumps(secret)], "c": other}), run)
    assert isinstance(shown, Succeeded)
    output = from_json(bytes(shown.output_json))
    assert not [line for line in known if line in output["a"] or line in output["b"][0]]
