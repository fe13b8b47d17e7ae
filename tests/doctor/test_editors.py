"""The schemas for editors take what the bridge takes, and know the names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from bridge.doctor import editors
from bridge.doctor.editors import EditorSchema

ROOT = Path(__file__).parents[2]
AUTOMATIONS = [
    document
    for path in (ROOT / "functions/automations.yaml", *sorted((ROOT / "tests/acceptance").glob("*.yaml")))
    for document in yaml.safe_load_all(path.read_text())
    if isinstance(document, dict) and document.get("kind") == "Automation"
]
SETTINGS: list[dict[str, Any]] = [
    {"functions": "functions", "port": 8080, "retention": "7d", "cancel_grace": "1s", "max_input_bytes": "1MiB", "data_limit": 1000000},
    {
        "runtime": "dapr",
        "tokens": [{"name": "ops", "sha256": "0" * 64, "roles": ["admin"]}],
        "function_apps": {"a": {"url": "https://a.example"}},
    },
]


def valid(which: EditorSchema, value: object) -> bool:
    return jsonschema_rs.validator_for(editors.schema(which)).is_valid(value)


@pytest.mark.parametrize("document", AUTOMATIONS, ids=lambda document: document["metadata"]["name"])
def test_every_automation_of_ours_fits(document: dict[str, Any]) -> None:
    assert valid(EditorSchema.CATALOGUE, document)
    assert not valid(EditorSchema.CATALOGUE, {**document, "spec": {**document["spec"], "dedline": "1m"}})


def test_one_sign_of_failure_may_stand_without_a_list() -> None:
    http = {"app": "a", "path": "/x", "failedWhen": {"pointer": "/error"}}
    spec = {"deadline": "1m", "targets": [{"name": "a", "http": http}]}
    assert valid(EditorSchema.CATALOGUE, {"apiVersion": "bridge/v1", "kind": "Automation", "metadata": {"name": "a"}, "spec": spec})


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_fit(settings: dict[str, Any]) -> None:
    assert valid(EditorSchema.SETTINGS, settings)
    assert not valid(EditorSchema.SETTINGS, {**settings, "prot": 8080})
