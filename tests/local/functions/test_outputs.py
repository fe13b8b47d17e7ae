from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from bridge.local.functions import outputs
from bridge.local.functions.bindings import DataType, Destination, Function
from bridge.local.functions.worker import InvocationResponse


def sent(value: dict[str, Any], data_type: DataType = DataType.UNDEFINED, *, handler: bool = False) -> list[str]:
    return [body.decode() for body in outputs.bodies(value, data_type, handler=handler)]


@pytest.mark.parametrize(
    ("text", "bodies"),
    [
        ('[{"a": 1}, 2, "three"]', ['{"a": 1}', "2", "three"]),
        ("[]", []),
        ('{"a": [1, 2]}', ['{"a": [1, 2]}']),
        ("plain words", ["plain words"]),
        ('"quoted"', ['"quoted"']),
        ("7", ["7"]),
        ("", [""]),
        ("{a: 1}", ['{"a": 1}']),
    ],
)
def test_only_a_top_level_array_becomes_several_messages(text: str, bodies: list[str]) -> None:
    assert [_compact(body) for body in sent({"string": text})] == [_compact(body) for body in bodies]


def test_a_json_scalar_is_sent_as_azure_writes_it_and_null_is_nothing() -> None:
    found = [sent({"json": text}) for text in ('"2026-11-28T10:00:00Z"', "true", "7", "1.50", "[true, null]", "null")]

    assert found == [["2026-11-28T10:00:00Z"], ["True"], ["7"], ["1.5"], ["True", ""], []]


def test_times_in_text_become_utc_and_those_in_json_of_a_worker_stay() -> None:
    text = '{"t": "2026-11-28T10:00:00+02:00"}'

    assert json.loads(sent({"string": text})[0]) == json.loads(sent({"json": text}, handler=True)[0]) == {"t": "2026-11-28T08:00:00+00:00"}
    assert json.loads(sent({"json": text})[0]) == json.loads(text)


def test_big_numbers_and_letters_survive() -> None:
    (body,) = sent({"string": json.dumps({"n": 2**60, "s": "ü"})})

    assert json.loads(body) == {"n": 2**60, "s": "ü"}


def test_bytes_are_sent_as_they_are() -> None:
    assert outputs.bodies({"bytes": b64encode(b"[1, 2]").decode()}) == [b"[1, 2]"]


@pytest.mark.parametrize("text", ["abcd", "aGVs bG8=\n", ""])
def test_a_text_of_a_handler_that_is_base64_is_lost_as_in_azure_unless_the_binding_takes_bytes(text: str) -> None:
    assert sent({"string": text}, handler=True) == ["System.Byte[]"]
    assert sent({"string": text}, DataType.BINARY, handler=True) == sent({"string": text}) == [text]
    assert sent({"json": json.dumps([text])}, handler=True) == [text]


def test_a_time_that_a_handler_sets_is_written_anew() -> None:
    assert sent({"string": "2026-11-28T10:00:00Z"}, handler=True) == ["11/28/2026 10:00:00"]
    assert sent({"json": '["2026-11-28T10:00:00Z"]'}, handler=True) == ["11/28/2026 10:00:00"]


def test_text_that_looks_like_json_and_is_none_is_a_problem_of_its_binding_alone() -> None:
    function = Function("f", None, {"bad": Destination("one"), "good": Destination("two")})
    response = InvocationResponse(ok=True, outputs={"bad": {"string": "{never}"}, "good": {"string": "x"}}, invocation="i-1")
    bad, good = outputs.outgoing(function, response, {})

    assert (bad.messages, "begins and ends as JSON does and is none" in bad.problem) == ((), True)
    assert [(each.entity, each.body, each.content_type, each.invocation) for each in good.messages] == [("two", b"x", "text/plain", "i-1")]


def test_the_name_of_an_entity_is_filled_in_from_the_trigger() -> None:
    function = Function("f", None, {"out": Destination("to-{Data.place}")})
    response = InvocationResponse(ok=True, outputs={"out": {"string": "x"}})

    assert [each.messages[0].entity for each in outputs.outgoing(function, response, {"data": {"PLACE": "here"}})] == ["to-here"]
    assert "{Data.place} has no value" in outputs.outgoing(function, response, {})[0].problem


def test_what_is_not_sent_is_named_with_its_size() -> None:
    function = Function("f", None, {"bus": Destination("work")}, unsent=("rows", "blob"))
    response = InvocationResponse(ok=True, outputs={"rows": {"string": "four"}, "bus": {"string": "x"}, "blob": {"string": "{never}"}})

    assert outputs.not_sent(function, response).keys() == {"rows", "blob"}
    assert outputs.not_sent(function, response)["rows"] == 4


def _compact(text: str) -> str:
    return json.dumps(json.loads(text)) if text.startswith(("{", "[")) else text
