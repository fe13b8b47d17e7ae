"""Who may do what, when tokens are configured."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted

ROLES = {"olga": ["operators"], "aude": ["auditors"], "ada": ["admin"], "sam": []}
Asking = dict[str, aiohttp.ClientSession]


@pytest.fixture
async def asking(app: Scripted, tmp_path: Path) -> AsyncIterator[Asking]:
    """A session for each person, all on one bridge with tokens."""
    tokens = [
        f"{{name: {name}, sha256: {hashlib.sha256(f'token-of-{name}'.encode()).hexdigest()}, roles: {roles}}}"
        for name, roles in ROLES.items()
    ]
    config = scripted_config(app.url, f"tokens: [{', '.join(tokens)}]")
    bridge = BridgeProcess(tmp_path / "data", config, environment={"SCRIPTED_KEY": KEY})
    await bridge.start()
    sessions = {name: aiohttp.ClientSession(bridge.url, headers={"Authorization": f"Bearer token-of-{name}"}) for name in ROLES}
    sessions |= {"nobody": aiohttp.ClientSession(bridge.url)}
    sessions |= {"guesser": aiohttp.ClientSession(bridge.url, headers={"Authorization": "Bearer token-of-eve"})}
    yield sessions
    for session in sessions.values():
        await session.close()
    await bridge.stop()


async def status(session: aiohttp.ClientSession, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
    async with session.request(method, path, **arguments) as answer:
        return answer.status, await answer.json() if answer.content_type.endswith("json") else None


@pytest.mark.parametrize("path", ["/v1/requests", "/v1/automations", "/v1/deadletters", "/metrics", "/v1/requests/x", "/anything"])
async def test_without_a_known_token_every_door_is_shut(asking: Asking, path: str) -> None:
    for who in ("nobody", "guesser"):
        code, problem = await status(asking[who], "GET", path)
        assert (code, problem["code"]) == (401, "Unauthorized")


async def test_probes_and_the_description_are_open(asking: Asking) -> None:
    for path in ("/healthz/live", "/healthz/ready", "/openapi.json"):
        assert (await status(asking["nobody"], "GET", path))[0] == 200


async def test_roles_decide_who_submits_and_who_reads(asking: Asking) -> None:
    path = "/v1/automations/restricted/requests"
    assert (await status(asking["sam"], "POST", path, json={}))[1]["code"] == "Forbidden"
    code, run = await status(asking["olga"], "POST", path, json={}, headers={"Prefer": "wait=10", "X-Correlation-Id": "r-1"})
    assert (code, run["status"]) == (200, "Succeeded")
    seen = {who: (await status(asking[who], "GET", "/v1/requests/r-1"))[0] for who in ROLES}
    assert seen == {"olga": 200, "aude": 200, "ada": 200, "sam": 404}
    listed = {who: len((await status(asking[who], "GET", "/v1/requests"))[1]["items"]) for who in ROLES}
    assert listed == {"olga": 1, "aude": 1, "ada": 1, "sam": 0}


async def test_readers_do_not_change_what_they_read(asking: Asking) -> None:
    await status(
        asking["olga"], "POST", "/v1/automations/restricted/requests", json={}, headers={"Prefer": "wait=10", "X-Correlation-Id": "r-2"}
    )
    assert (await status(asking["aude"], "POST", "/v1/requests/r-2/rerun"))[0] == 403
    assert (await status(asking["aude"], "DELETE", "/v1/requests/r-2"))[0] == 403
    assert (await status(asking["sam"], "DELETE", "/v1/requests/r-2"))[0] == 404
    assert (await status(asking["olga"], "POST", "/v1/requests/r-2/rerun"))[0] == 202


async def test_the_same_id_of_another_submitter_is_a_conflict(asking: Asking) -> None:
    headers = {"X-Correlation-Id": "r-3"}
    assert (await status(asking["olga"], "POST", "/v1/automations/echo/requests", json={}, headers=headers))[0] == 202
    assert (await status(asking["sam"], "POST", "/v1/automations/echo/requests", json={}, headers=headers))[0] == 409


async def test_dead_letters_are_for_admin(asking: Asking) -> None:
    assert (await status(asking["olga"], "GET", "/v1/deadletters"))[0] == 403
    assert (await status(asking["ada"], "GET", "/v1/deadletters"))[0] == 200
