"""Bridges as processes of their own on machines with Redis and a sidecar."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.dapr.machine import Machine
from tests.dapr.sidecar import API_TOKEN, APP_TOKEN


def beside(machine: Machine, folder: Path, config: str, environment: Mapping[str, str]) -> BridgeProcess:
    """A bridge that is not started yet, beside the machine's sidecar; its log is in `folder`."""
    ports = {"DAPR_HTTP_PORT": str(machine.port), "APP_PORT": str(machine.app_port)}
    tokens = {"APP_API_TOKEN": APP_TOKEN, "DAPR_API_TOKEN": API_TOKEN}
    return BridgeProcess(folder / "data", config, ("--runtime", "dapr"), {**environment, **ports, **tokens})


def bridge_on(machine: Machine, folder: Path, app: Scripted, *settings: str) -> BridgeProcess:
    """The same with the automations of the tests."""
    return beside(machine, folder, scripted_config(app.url, *settings), {"SCRIPTED_KEY": KEY})
