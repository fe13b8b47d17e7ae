"""`bridge check` against a bridge that runs, with runs in hand."""

from __future__ import annotations

import hashlib
import json
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from pathlib import Path
from typing import Any

import yaml

from bridge.client import BridgeClient
from tests.acceptance.bridge_process import HERE, BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, scripted
from tests.rollout.kit import TOPIC, automation


async def check(bridge: BridgeProcess, *words: str, token: str = "") -> tuple[int | None, Any]:
    command = (sys.executable, "-m", "bridge", "--json", "--url", bridge.url, "--token", token, "check", *words)
    process = await create_subprocess_exec(*command, stdout=PIPE)
    said, _ = await process.communicate()
    return process.returncode, json.loads(said)


def changed(folder: Path) -> Path:
    """The catalogue of the tests without its first automation, and with a shorter deadline for the rest."""
    documents = [each for each in yaml.safe_load_all((HERE / "automations.yaml").read_text()) if each]
    first, *others = documents
    for each in others:
        each["spec"]["deadline"] = "1s"
    (folder / "new.yaml").write_text(yaml.safe_dump_all(others))
    (folder / "first").write_text(first["metadata"]["name"])
    return folder / "new.yaml"


async def test_the_files_that_run_break_nothing_and_changed_ones_do(tmp_path: Path) -> None:
    async with scripted() as app, BridgeProcess(tmp_path / "data", scripted_config(app.url), environment={"SCRIPTED_KEY": KEY}) as bridge:
        same = ("--catalogue", str(HERE / "automations.yaml"), "--resiliency", str(HERE / "resiliency.yaml"))
        assert await check(bridge, *same) == (0, {"changes": [], "accepted": [], "skipped": [SETTINGS], "inHand": {}, "inHandAtLeast": []})
        with_settings = (*same, "--config", str(tmp_path / "bridge.yaml"))
        assert await check(bridge, *with_settings) == (0, {"changes": [], "accepted": [], "skipped": [], "inHand": {}, "inHandAtLeast": []})
        code, found = await check(bridge, "--catalogue", str(changed(tmp_path)), "--resiliency", str(HERE / "resiliency.yaml"))
        assert code == 1
        kinds = {(each["kind"], each["subject"]) for each in found["changes"]}
        assert ("automation-removed", (tmp_path / "first").read_text()) in kinds
        assert ("deadline-shorter", "act") in kinds


async def test_runs_in_hand_of_what_changes_are_counted(tmp_path: Path) -> None:
    kept, gone = automation("kept", targets=[TOPIC]), automation("gone", deadline="10m", targets=[TOPIC])  # nobody does the work
    (tmp_path / "old.yaml").write_text(yaml.safe_dump_all([kept, gone]))
    (tmp_path / "new.yaml").write_text(yaml.safe_dump_all([kept]))
    config = scripted_config("http://127.0.0.1:9").replace(str(HERE / "automations.yaml"), str(tmp_path / "old.yaml"))
    async with BridgeProcess(tmp_path / "data", config, environment={"SCRIPTED_KEY": KEY}) as bridge:
        async with BridgeClient(bridge.url) as client:
            for name in ("gone", "gone", "gone", "kept"):
                await client.submit(name, {})
        code, found = await check(bridge, "--catalogue", str(tmp_path / "new.yaml"))
        assert code == 1
        assert found["inHand"] == {"gone": 3}


async def test_a_caller_without_the_role_admin_compares_the_catalogue_alone(tmp_path: Path) -> None:
    token = "check-token-of-the-tests"
    sha = hashlib.sha256(token.encode()).hexdigest()
    config = scripted_config("http://127.0.0.1:9", f"tokens: [{{name: ci, sha256: {sha}, roles: []}}]")
    async with BridgeProcess(tmp_path / "data", config, environment={"SCRIPTED_KEY": KEY}) as bridge:
        code, found = await check(bridge, "--catalogue", str(HERE / "automations.yaml"), token=token)
        assert code == 0
        assert found["skipped"] == ["policies and settings that run are not compared: it needs the role admin"]


SETTINGS = "the settings are not compared, because no file with new ones is named"
