"""What `key=value` stands for, by the input schema of the automation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from bridge.cli import inputs
from bridge.cli.exits import Exit
from tests.cli.commands import bridge, sent
from tests.scripted_api import AUTOMATION, ScriptedApi

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": {"type": "string"},
        "whole": {"type": "integer"},
        "number": {"type": "number"},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "object": {"type": "object"},
        "nothing": {"type": "null"},
        "free": {"description": "anything"},
        "either": {"type": ["string", "integer"]},
        "maybe": {"type": ["string", "null"]},
        "choice": {"enum": ["1.10", "2", "true"]},
        "level": {"enum": [1, 2, 3]},
        "fixed": {"const": "1"},
        "union": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
        "version": {"$ref": "#/$defs/version"},
        "through": {"$ref": "#/$defs/through"},
        "anchored": {"$ref": "#plain"},
        "escaped": {"$ref": "#/$defs/a~1b%20c"},
        "both": {"allOf": [{"type": ["string", "integer"]}, {"$ref": "#/$defs/version"}]},
        "elsewhere": {"$ref": "https://example.com/schema"},
        "missing": {"$ref": "#/$defs/none"},
        "endless": {"$ref": "#/properties/endless"},
        "self": {"anyOf": [{"$ref": "#/properties/self"}, {"oneOf": [{"$ref": "#/properties/self"}, {"type": "string"}]}]},
        "count": True,
    },
    "patternProperties": {"^x-": {"type": "string"}, "(": {"type": "integer"}},
    "additionalProperties": {"type": "boolean"},
    "$defs": {
        "version": {"type": "string", "minLength": 1},
        "through": {"oneOf": [{"$ref": "#/$defs/version"}]},
        "named": {"$anchor": "plain", "type": "string"},
        "a/b c": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=1.10", "1.10"),
        ("text=true", "true"),
        ("text=null", "null"),
        ("text=[1]", "[1]"),
        ("text=", ""),
        ('text="quoted"', "quoted"),
        ("whole=5", 5),
        ("whole=-1152921504606846977", -(2**60) - 1),
        ("whole=5.0", 5),
        ("number=1.10", 1.1),
        ("number=5", 5),
        ("flag=true", True),
        ("flag=False", False),
        ('list=["1.10", 2]', ["1.10", 2]),
        ('object={"a": 1}', {"a": 1}),
        ("nothing=null", None),
        ("free=5", 5),
        ("free=db1", "db1"),
        ("either=5", 5),
        ("either=1.10", "1.10"),
        ("either=007", "007"),
        ("maybe=null", None),
        ("maybe=5", "5"),
        ("choice=1.10", "1.10"),
        ("choice=2", "2"),
        ("choice=true", "true"),
        ("level=2", 2),
        ("fixed=1", "1"),
        ("union=5", 5),
        ("union=true", True),
        ("version=1.10", "1.10"),
        ("through=1.10", "1.10"),
        ("anchored=1.10", "1.10"),
        ("escaped=1.10", "1.10"),
        ("both=1.10", "1.10"),
        ("elsewhere=1.10", 1.1),
        ("missing=1.10", 1.1),
        ("endless=1.10", 1.1),
        ("count=5", 5),
        ("x-any=1.10", "1.10"),
        ("other=true", True),
    ],
)
def test_a_word_has_the_type_that_the_schema_asks_for(word: str, value: Any) -> None:
    built = inputs.build(None, [word], SCHEMA)
    assert list(built.values()) == [value]
    assert type(next(iter(built.values()))) is type(value)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("whole=abc", "whole must be an integer, and 'abc' is not; write it like whole=5"),
        ("whole=5.5", "must be an integer"),
        ("whole=", "must be an integer"),
        ('whole="5"', "must be an integer"),
        ("number=1,5", "number must be a number"),
        ("number=NaN", "must be a number"),
        ("flag=yes", "flag must be a boolean, and 'yes' is not; write it like flag=true"),
        ("flag=1", "must be a boolean"),
        ("list=a,b", "list must be an array"),
        ("object=[1]", "object must be an object"),
        ("nothing=", "nothing must be null"),
        ("union=abc", "union must be a boolean or an integer"),
        ("level=high", "must be an integer"),
        ("other=5", "must be a boolean"),
    ],
)
def test_a_word_of_another_type_is_refused_with_what_to_write(word: str, says: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        inputs.build(None, [word], SCHEMA)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"$ref": "#/$defs/base"}], "$defs": {"base": {"properties": {"version": {"type": "string"}}}}},
        {"anyOf": [{"properties": {"version": {"type": "string"}}}, {"properties": {"version": {"const": "2.0"}}}]},
        {"$ref": "#/$defs/base", "$defs": {"base": {"additionalProperties": {"type": "string"}}}},
    ],
)
def test_the_schema_of_a_key_is_found_wherever_it_stands(schema: dict[str, Any]) -> None:
    assert inputs.build(None, ["version=1.10"], schema) == {"version": "1.10"}


@pytest.mark.parametrize("schema", [{}, {"properties": 5, "allOf": {}, "anyOf": [5], "$ref": 7}, {"properties": {"a": False}, "$defs": []}])
def test_a_schema_that_says_nothing_of_a_key_leaves_it_json_or_text(schema: dict[str, Any]) -> None:
    assert inputs.build(None, ["a=1.10", "b=db1"], schema) == {"a": 1.1, "b": "db1"}


def test_schemas_that_refer_to_each_other_again_and_again_are_followed_once() -> None:
    names = [f"s{number}" for number in range(30)]
    links = [{"$ref": f"#/$defs/{name}"} for name in names]
    schema = {"properties": {"a": links[0]}, "$defs": {name: {"anyOf": links, "oneOf": links, "allOf": links} for name in names}}
    assert inputs.build(None, ["a=1.10"], schema) == {"a": 1.1}


def test_a_file_is_text_where_text_is_asked_for_and_else_json(tmp_path: Path) -> None:
    for name, content in (("text", "5\n"), ("json", '\ufeff{"a": [1]}\r\n'), ("number", " 7\n")):
        (tmp_path / name).write_text(content)
    words = [f"text=@{tmp_path}/text", f"object=@{tmp_path}/json", f"whole=@{tmp_path}/number", f"free=@{tmp_path}/text"]
    assert inputs.build(None, words, SCHEMA) == {"text": "5\n", "object": {"a": [1]}, "whole": 7, "free": "5\n"}
    with pytest.raises(typer.BadParameter, match="object must be an object, and the file is not"):
        inputs.build(None, [f"object=@{tmp_path}/text"], SCHEMA)


def test_submit_asks_the_bridge_for_the_schema(api: ScriptedApi) -> None:
    assert AUTOMATION["name"] == "works"
    assert bridge("submit", "works", "host=1.10", "port=1.10").exit_code == Exit.OK
    assert sent(api) == {"host": "1.10", "port": 1.1}


def test_rerun_asks_for_the_schema_of_the_runs_automation(api: ScriptedApi) -> None:
    bridge("submit", "works", "host=a", "--correlation-id", "r-1")
    api.seen.clear()
    assert bridge("rerun", "r-1", "host=1.10").exit_code == Exit.OK
    assert sent(api) == {"host": "1.10"}


def test_an_automation_that_the_bridge_does_not_know_is_its_to_refuse(api: ScriptedApi) -> None:
    refused = bridge("submit", "unknown", "a=1")
    assert (refused.exit_code, "UnknownAutomation" in refused.output) == (Exit.REFUSED, True)


def test_a_word_of_the_wrong_type_is_a_mistake_on_the_command_line(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AUTOMATION, "input", SCHEMA)
    refused = bridge("submit", "works", "text=a", "whole=many")
    assert refused.exit_code == Exit.USAGE
    assert "whole must be an integer" in " ".join(refused.output.split())
    assert not [method for method, *_ in api.seen if method == "POST"]
