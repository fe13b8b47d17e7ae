"""A PowerShell worker for tests, and the values that are recorded of Microsoft's own."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.local.functions import powershell
from tests import sharedtools

from .namespace import SUBSCRIPTION, TOPIC

Json = dict[str, Any]

HTTP = [
    {"type": "httpTrigger", "direction": "in", "name": "Request", "authLevel": "anonymous"},
    {"type": "http", "direction": "out", "name": "Response"},
]
BUS = [
    {
        "type": "serviceBusTrigger",
        "direction": "in",
        "name": "message",
        "topicName": TOPIC,
        "subscriptionName": SUBSCRIPTION,
        "connection": "Bus",
    },
    {"type": "serviceBus", "direction": "out", "name": "result", "topicName": "results", "connection": "Bus"},
]
ANSWER = "param($Request)\nPush-OutputBinding -Name Response -Value @{ Body = 'here' }\n"


@cache
def pwsh() -> str | None:
    """The pwsh for tests: what users would use, else the one that lies beside the checkout."""
    beside = sharedtools.find("pwsh")
    named = {powershell.VARIABLE: str(beside / "pwsh")} if beside is not None and not os.environ.get(powershell.VARIABLE) else {}
    try:
        return powershell.find({**os.environ, **named})
    except ConfigurationError:
        return None


def write_files(app: Path, files: Mapping[str, Any]) -> None:
    """Write an app's files; a file is text or `{base64}`."""
    for name, content in files.items():
        path = app / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b64decode(content["base64"]) if isinstance(content, dict) else content.encode())


def to_value(recorded: Json) -> Json | None:
    """The value that the worker takes for recorded typed data."""
    kind = recorded["kind"]
    if kind == "none":
        return None
    value = recorded["value"]
    if kind == "http":
        body = value.get("body")
        value = {"headers": {}, "query": {}, "params": {}, "method": "", "url": "", **value, "body": to_value(body) if body else None}
    return {kind: value}


def to_recorded(value: Json | None) -> Json:
    """Typed data as it is recorded, for a value of the worker."""
    if value is None:
        return {"kind": "none"}
    ((kind, content),) = value.items()
    if kind == "http":
        http = {"statusCode": content["status"], "headers": dict(content["headers"]), "body": to_recorded(content["body"])}
        if content["enableContentNegotiation"]:
            http["enableContentNegotiation"] = True
        return {"kind": "http", "value": http}
    return {"kind": kind, "value": content}


def function(script: str | None, bindings: list[dict[str, Any]] | None = None) -> dict[str, str]:
    """The files of a function's folder."""
    described = {"function.json": json.dumps({"bindings": HTTP if bindings is None else bindings})}
    return described if script is None else {**described, "run.ps1": script}
