"""Schemathesis against a real bridge process, by the bridge's own description of its API."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.queue_client import queue
from tests.acceptance.scripted import KEY, scripted

CONFIG = Path(__file__).parent / "schemathesis.toml"
TOKEN = "token-of-ada"


@dataclass(frozen=True, slots=True)
class Subject:
    """A bridge with something to ask for: runs that ended, failed, are open or canceled, and a dead letter."""

    bridge: BridgeProcess
    http: aiohttp.ClientSession
    letter: str
    invocation_token: str

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as answer:
            return await answer.json()


@asynccontextmanager
async def subject(folder: Path, *, tokens: bool) -> AsyncIterator[Subject]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    settings = ["max_wait: 1s", *([f"tokens: [{{name: ada, sha256: {digest}, roles: [admin]}}]"] if tokens else [])]
    async with scripted() as app:
        bridge = BridgeProcess(folder / "data", scripted_config(app.url, *settings), environment={"SCRIPTED_KEY": KEY})
        await bridge.start()
        try:
            async with aiohttp.ClientSession(bridge.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
                yield await _prepared(bridge, http)
        finally:
            await bridge.stop()


async def _prepared(bridge: BridgeProcess, http: aiohttp.ClientSession) -> Subject:
    for automation, correlation_id, value in (
        ("echo", "ended", {"text": "x"}),
        ("act", "failed", {"act": "refuses"}),
        ("topic.work", "open", {}),
        ("topic.work", "canceled", {}),
    ):
        headers = {"X-Correlation-Id": correlation_id, "Prefer": "wait=1"}
        async with http.post(f"/v1/automations/{automation}/requests", json=value, headers=headers) as answer:
            assert answer.status in (200, 202), await answer.text()
    async with http.delete("/v1/requests/canceled") as answer:
        assert answer.status == 202
    async with queue(bridge.data_dir) as bus:
        await bus.send("automation-requests", b"no event")
        work: dict[str, Any] = {}
        while work.get("correlationid") != "open":
            work, _ = await bus.receive("work/worker")
    return Subject(bridge, http, await _letter(http), work["invocationtoken"])


async def _letter(http: aiohttp.ClientSession) -> str:
    while True:
        async with http.get("/v1/deadletters") as answer:
            letters = (await answer.json())["items"]
        if letters:
            return str(letters[0]["id"])
        await asyncio.sleep(0.05)


async def ask(of: Subject, examples: int, *options: str) -> tuple[int, str]:
    """Let schemathesis ask, so many examples of each operation in each phase. Its exit code (0: nothing found) and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(CONFIG), "run", f"{of.bridge.url}/openapi.json"),
        # Every check is made but for those that the configuration leaves out: `--checks all` would make them, too.
        *("--max-examples", str(examples), *options),
        stdout=PIPE,
        stderr=STDOUT,
        cwd=of.bridge.data_dir.parent,
        env={
            **os.environ,
            "FUZZ_TOKEN": TOKEN,
            "FUZZ_INVOCATION_TOKEN": of.invocation_token,
            "FUZZ_LETTER": of.letter,
        },
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def wrong_inside(of: Subject) -> list[str]:
    """What went wrong that no answer shows: the account does not fit, or the bridge made a mistake."""
    account = await of.get("/v1/audit")
    wrong = [f"{each['correlationId']}: {each['what']}" for each in account["misfits"]]
    if account["accepted"] != sum(account["ended"].values()) + account["unfinished"] + account["forgotten"]:
        wrong.append(f"accepted is not ended + unfinished: {account}")
    if mistakes := account["deadLetters"].get("InternalError"):
        wrong.append(f"{mistakes} dead letters say InternalError")
    return wrong + [line for line in of.bridge.log().splitlines() if "Traceback" in line]
