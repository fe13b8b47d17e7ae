"""Azure's clients for other languages, unmodified, against `bridge local servicebus`: the list of what they must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.namespace_process import ROOT, NamespaceProcess
from tests.servicebus import foreign

ENTITIES = ROOT / "tests" / "adapters" / "embedded" / "amqp" / "entities.json"


async def outcome(folder: Path, command: Sequence[str | Path], **environment: str) -> list[str]:
    """What the program said of its scenarios, without those that passed."""
    async with NamespaceProcess(folder / "data", ENTITIES) as namespace:
        told = await foreign.said(command, namespace.connection_string, **environment)
    return [line for line in told.splitlines() if not line.startswith("ok ")]


async def test_every_scenario_of_the_javascript_client_passes(tmp_path: Path) -> None:
    try:
        command, environment = await foreign.javascript()
    except foreign.Missing as reason:
        foreign.missing(f"@azure/service-bus cannot be tried: {reason}")
    assert await outcome(tmp_path, command, **environment) == ["21 passed, 0 failed"]


async def test_every_scenario_of_the_go_client_passes(tmp_path: Path) -> None:
    try:
        client = await foreign.go()
    except foreign.Missing as reason:
        foreign.missing(f"azservicebus cannot be tried: {reason}")
    assert await outcome(tmp_path, [client, "scenarios"]) == ["17 passed, 0 failed"]
