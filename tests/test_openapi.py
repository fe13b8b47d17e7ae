from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from bridge import errors, openapi
from bridge.api import _Api
from bridge.settings import Settings

DOCUMENT = openapi.describe(Settings())


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def test_the_description_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_route_is_described_and_nothing_else() -> None:
    routes = _Api.routes(_Api.__new__(_Api))
    assert {(route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}} == {
        (path, method) for path, method, _ in operations()
    }


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_parameter_of_a_path_is_declared(path: str, method: str, operation: Any) -> None:
    parameters = DOCUMENT["components"]["parameters"]
    declared = {parameters[each["$ref"].rpartition("/")[2]]["name"] for each in operation.get("parameters", [])}
    assert {part[1:-1] for part in path.split("/") if part.startswith("{")} <= declared


def test_every_problem_of_a_refusal_is_described() -> None:
    def below(kind: type[errors.BridgeError]) -> Iterator[type[errors.BridgeError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    described = {
        (int(name.removeprefix("Problem")), code)
        for name, answer in DOCUMENT["components"]["responses"].items()
        for code in answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }
    assert {(each.status, each.code) for each in below(errors.Refusal) if each is not errors.Refusal} <= described


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["Run", "Event", "Result"])
def test_examples_fit_their_schemas(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    validator = jsonschema_rs.Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})
    assert all(validator.is_valid(example) for example in schema["examples"])


def test_limits_are_those_of_the_settings() -> None:
    assert "4,321 bytes" in json.dumps(openapi.describe(Settings(max_input_bytes=4_321)))
