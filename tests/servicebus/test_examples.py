"""The programs in docs/service-bus.md, as they stand there: requesters with Azure's client, and their replies."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest

from bridge.local.freeports import free_ports
from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.acceptance.scripted import KEY, scripted

PAGE = (ROOT / "docs" / "service-bus.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REPLIES: dict[str, Any] = next(
    json.loads(each) for each in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "-replies" in each
)
CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: table.summarize, description: Gives its input back}
spec:
  deadline: 1m
  input: {type: object, required: [csv], properties: {csv: {type: string}}}
  targets:
  - name: echo
    http: {app: scripted, path: /api/echo}
"""


def settings(folder: Path, url: str) -> str:
    """With the entities that the page tells to create beside those that the bridge brings."""
    document = json.loads((ROOT / "components" / "servicebus.json").read_text())
    namespace = document["UserConfig"]["Namespaces"][0]
    namespace["Topics"] = [REPLIES, *(topic for topic in namespace["Topics"] if topic["Name"] != REPLIES["Name"])]
    (folder / "entities.json").write_text(json.dumps(document))
    (folder / "automations.yaml").write_text(CATALOGUE)
    return (
        f"catalogue: {folder / 'automations.yaml'}\nentities: {folder / 'entities.json'}\n"
        f"function_apps: {{scripted: {{url: '{url}', key_env: SCRIPTED_KEY}}}}\n"
        "topics: {automation-requests: {submitter: bus, roles: []}}\n"
    )


async def printed(program: str, folder: Path) -> list[str]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=folder, stdout=PIPE, stderr=STDOUT)
    async with asyncio.timeout(60):
        told = (await process.communicate())[0].decode()
    assert process.returncode == 0, told
    return told.splitlines()


@pytest.mark.parametrize(
    ("place", "replies"), [(0, 1), (1, 1), (2, 2)], ids=["in the body", "in binary mode, by session", "with cloudevents"]
)
async def test_a_requester_of_the_page_gets_its_reply(tmp_path: Path, place: int, replies: int) -> None:
    arguments = ("--servicebus-port", str(free_ports(1)[0]))
    async with (
        scripted() as app,
        BridgeProcess(tmp_path / ".bridge", settings(tmp_path, app.url), arguments, {"SCRIPTED_KEY": KEY}),
    ):
        assert await printed(PROGRAMS[place], tmp_path) == ["table.summarize automation.succeeded"] * replies


def test_every_program_of_the_page_is_run() -> None:
    assert len(PROGRAMS) == 3
