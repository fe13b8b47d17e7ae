from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge import catalog
from tests.functions.conftest import make_certificate

CATALOGUE = catalog.load(Path(__file__).parents[2] / "functions" / "automations.yaml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("certificate.inspect", {"pem": make_certificate()}),
        ("table.summarize", {"csv": "a\tb\n", "delimiter": "\t", "pause": 2000}),
        ("fleet.certificates", {"bundle": make_certificate(), "warnDays": 3650}),
    ],
)
def test_inputs_that_the_functions_take_fit_the_schemas(name: str, value: dict[str, Any]) -> None:
    assert CATALOGUE.get(name).violations(value) == []


@pytest.mark.parametrize(
    ("name", "value", "pointer"),
    [
        ("certificate.inspect", {"certificate": "x"}, ""),
        ("certificate.inspect", {"pem": "-----BEGIN PRIVATE KEY-----"}, "/pem"),
        ("fleet.certificates", {"bundle": "-----BEGIN RSA PRIVATE KEY-----"}, "/bundle"),
        ("fleet.certificates", {"bundle": "x", "warnDays": 0}, "/warnDays"),
        ("table.summarize", {"csv": "a", "delimiter": "x"}, "/delimiter"),
        ("table.summarize", {"csv": "a", "pause": 2001}, "/pause"),
    ],
)
def test_inputs_that_no_function_should_see_are_refused(name: str, value: dict[str, Any], pointer: str) -> None:
    assert pointer in {violation["pointer"] for violation in CATALOGUE.get(name).violations(value)}


def test_everything_in_the_catalogue_is_explained() -> None:
    for automation in CATALOGUE:
        assert automation.description
        fields = automation.input_schema["properties"].values()
        assert all(field["title"] and field["description"] for field in fields)
        assert automation.input_schema["additionalProperties"] is False
