"""C# functions behind a topic, with messages over AMQP: on every runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, BridgeProcess
from tests.acceptance.runtimes import Runtime
from tests.local.functions import dotnet_kit
from tests.local.functions.conftest import need

CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: csharp.topic, description: "A C# function behind a topic that answers nothing"}
spec:
  input: {type: object}
  deadline: 1m
  targets:
  - {name: topic, topic: {name: topic, attempts: 1, body: input, completes: settled}}
"""
CONFIG = f"""
catalogue: {{folder}}/automations.yaml
entities: {HERE / "servicebus.json"}
functions: {{folder}}/apps
functions_port: 0
"""


@pytest.fixture
async def bridge(runtime: Runtime, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    dotnet_kit.copy_app("servicebus", tmp_path / "apps" / "bus")
    (tmp_path / "automations.yaml").write_text(CATALOGUE)
    environment = {"BRIDGE_DOTNET": str(dotnet_kit.runner())}
    config = CONFIG.format(folder=tmp_path) + runtime.functions_settings
    async with runtime.bridge(tmp_path, config, environment) as made:
        yield made


async def test_a_csharp_function_gets_its_message_and_the_run_ends(http: aiohttp.ClientSession, bridge: BridgeProcess) -> None:
    headers = {"X-Correlation-Id": "r-1", "Prefer": "wait=50"}
    async with http.post("/v1/automations/csharp.topic/requests", json={"greeting": "hällo"}, headers=headers) as answer:
        run = await answer.json()
    assert run["status"] == "Succeeded", run
    log = bridge.data_dir / "functions.log"
    async with asyncio.timeout(20):
        while "saw {" not in log.read_text():
            await asyncio.sleep(0.05)
    assert 'TopicText | saw {"function":"TopicText","what":"{' in log.read_text()
