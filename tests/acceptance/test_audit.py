"""`bridge audit` as an operator runs it."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp

from tests.acceptance.bridge_process import BridgeProcess


async def audit(bridge: BridgeProcess, *words: str) -> tuple[int | None, str]:
    """The exit code and what was printed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bridge", "--url", bridge.url, "audit", *words, stdout=PIPE)
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def ask(http: aiohttp.ClientSession, correlation_id: str) -> None:
    headers = {"X-Correlation-Id": correlation_id, "Prefer": "wait=10"}
    async with http.post("/v1/automations/echo/requests", json={}, headers=headers) as answer:
        assert answer.status == 200


async def test_what_was_accepted_fits(bridge: BridgeProcess, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    ids = [f"id-{number}" for number in range(3)]
    for each in ids:
        await ask(http, each)
    (tmp_path / "accepted").write_text("\n".join(ids))
    code, said = await audit(bridge, "--accepted", str(tmp_path / "accepted"))
    assert (code, "It fits: accepted 3 = ended 3 + unfinished 0" in said) == (0, True), said


async def test_an_id_that_a_caller_saw_accepted_and_nobody_knows_is_named(
    bridge: BridgeProcess, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await ask(http, "id-1")
    (tmp_path / "accepted").write_text("id-1\nlost-7\n")
    code, said = await audit(bridge, "--json", "--accepted", str(tmp_path / "accepted"))
    assert (code, [misfit["correlationId"] for misfit in json.loads(said)["misfits"]]) == (1, ["lost-7"])
