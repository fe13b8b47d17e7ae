"""The canary against a running bridge: it publishes on the bus and reads its reply, and asks over HTTP; the bridge counts its runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted

TOKEN = "token-of-the-canary"
PAGE = (ROOT / "docs" / "operations.md").read_text()
#: What the page tells to add to the list of entities, topic by topic.
(ADDED,) = (json.loads(each) for each in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def entities(folder: Path) -> Path:
    """The list of the other tests, with what the page adds to it."""
    listed = json.loads((HERE / "servicebus.json").read_text())
    topics = {each["Name"]: each for each in listed["UserConfig"]["Namespaces"][0]["Topics"]}
    for each in ADDED:
        topics.setdefault(each["Name"], {"Name": each["Name"], "Subscriptions": []})["Subscriptions"] += each["Subscriptions"]
    listed["UserConfig"]["Namespaces"][0]["Topics"] = list(topics.values())
    (folder / "entities.json").write_text(json.dumps(listed))
    return folder / "entities.json"


@pytest.fixture
async def bridge(app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    config = scripted_config(app.url, f"tokens: [{{name: canary, sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}}}]")
    config = config.replace(str(HERE / "servicebus.json"), str(entities(tmp_path)))
    config = config.replace("topics: {", "topics: {automation-canary: {submitter: canary}, ")
    async with BridgeProcess(tmp_path / ".bridge", config, environment={"SCRIPTED_KEY": KEY}) as started:
        yield started


async def canary(bridge: BridgeProcess, plan: str, *more: str) -> tuple[int, str]:
    """The exit code of one round, and what it printed."""
    file = bridge.data_dir.parent / "canary.yaml"
    file.write_text(plan)
    bus = ("--connection-string-file", str(bridge.data_dir / "servicebus.json"))
    command = (sys.executable, "-m", "bridge", "--url", bridge.url, "--token", TOKEN, "canary", str(file), "--once", *bus, *more)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    async with asyncio.timeout(90):
        told, errors = await process.communicate()
    return process.returncode or 0, told.decode() + errors.decode()


async def counted(bridge: BridgeProcess) -> dict[str, dict[tuple[str, ...], float]]:
    """The metrics of the canary: for each the values by their labels."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
        session.get(f"{bridge.url}/metrics") as answer,
    ):
        samples = [each for family in text_string_to_metric_families(await answer.text()) for each in family.samples]
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for each in samples:
        if each.name.startswith("bridge_canary_") and "le" not in each.labels:
            found.setdefault(each.name, {})[tuple(each.labels.values())] = each.value
    return found


async def test_what_works_is_as_expected_over_bus_and_http_and_counts_as_the_canarys(bridge: BridgeProcess) -> None:
    code, told = await canary(bridge, "- {automation: echo, input: {text: hello}, output: {text: hello}}", "--json")
    verdicts = json.loads(told)
    assert [(each["automation"], each["way"], each["why"]) for each in verdicts] == [("echo", "http", ""), ("echo", "bus", "")]
    assert code == 0
    metrics = await counted(bridge)
    assert metrics["bridge_canary_runs_ended_total"] == {("echo", "Succeeded"): 2}
    assert metrics["bridge_canary_run_seconds_count"] == {("echo",): 2}
    assert metrics["bridge_canary_last_success_timestamp_seconds"][("echo",)] > 1.7e9


async def test_another_output_than_expected_ends_with_exit_code_1_and_both(bridge: BridgeProcess) -> None:
    code, told = await canary(bridge, "- {automation: echo, input: {text: hello}, output: {text: bye}}")
    assert code == 1
    assert told.count('the output is {"text": "hello"}, and not {"text": "bye"}') == 2


async def test_an_automation_that_fails_or_is_not_there_is_named(bridge: BridgeProcess) -> None:
    code, told = await canary(bridge, "[{automation: act, input: {act: '500'}}, {automation: no.such}]")
    assert code == 1
    assert told.count("Failed: ") == 3, told
    assert "no.such" in told


async def test_a_subscription_that_nobody_made_is_named(bridge: BridgeProcess) -> None:
    code, told = await canary(bridge, "- {automation: echo}", "--replies", "automation-replies/nobody")
    assert code == 1
    assert "The namespace has no automation-replies/nobody" in told


async def test_a_plan_or_an_option_that_cannot_be_used_is_a_usage_error(bridge: BridgeProcess) -> None:
    for plan, more in (("[]", ()), ("- {automation: echo}", ("--interval", "soon")), ("- {automation: echo}", ("--replies", "one"))):
        assert (await canary(bridge, plan, *more))[0] == 2
    assert (await canary(bridge, "- {automation: echo}", "--namespace", "x.servicebus.windows.net"))[0] == 2
