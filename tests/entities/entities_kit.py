"""Lists of entities, as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge import entities
from bridge.errors import ConfigurationError


def load(tmp_path: Path, *topics: Any, queues: Any = ()) -> entities.Entities:
    file = tmp_path / "entities.json"
    file.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": topics}]}}))
    return entities.load(file)


def problems(tmp_path: Path, *topics: Any, queues: Any = ()) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, *topics, queues=queues)
    return caught.value.problems


def topic(name: str = "orders", **subscription: Any) -> dict[str, Any]:
    return {"Name": name, "Subscriptions": [{"Name": "all", **subscription}]}


def correlation(name: str = "rule", **fields: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": {"FilterType": "Correlation", "CorrelationFilter": fields}}


def sql(expression: str, **more: Any) -> dict[str, Any]:
    return {"Name": "sql", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": expression}, **more}}
