"""Bridges as processes of their own on machines with Redis and a sidecar."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.dapr.machine import Machine
from tests.dapr.sidecar import API_TOKEN, APP_TOKEN


def bridge_on(machine: Machine, folder: Path, app: Scripted, *settings: str) -> BridgeProcess:
    """A bridge that is not started yet, beside the machine's sidecar; its log is in `folder`."""
    environment = {
        "SCRIPTED_KEY": KEY,
        "DAPR_HTTP_PORT": str(machine.port),
        "APP_PORT": str(machine.app_port),
        "APP_API_TOKEN": APP_TOKEN,
        "DAPR_API_TOKEN": API_TOKEN,
    }
    return BridgeProcess(folder / "data", scripted_config(app.url, *settings), ("--runtime", "dapr"), environment)
