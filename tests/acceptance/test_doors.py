"""Who may do what, when tokens are configured."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.runtimes import Runtime
from tests.acceptance.scripted import KEY, Scripted

ROLES = {"olga": ["operators"], "aude": ["auditors"], "ada": ["admin"], "sam": []}
OPEN = ("/healthz/", "/openapi.json", "/v1/invocations/")
HANDSHAKE = ("options", "/v1/events")
Asking = dict[str, aiohttp.ClientSession]


@pytest.fixture
async def asking(runtime: Runtime, app: Scripted, tmp_path: Path) -> AsyncIterator[Asking]:
    """A session for each person, all on one bridge with tokens."""
    tokens = [
        f"{{name: {name}, sha256: {hashlib.sha256(f'token-of-{name}'.encode()).hexdigest()}, roles: {roles}}}"
        for name, roles in ROLES.items()
    ]
    config = scripted_config(app.url, f"tokens: [{', '.join(tokens)}]")
    bridge = await runtime.bridge(tmp_path, config, {"SCRIPTED_KEY": KEY}).start()
    sessions = {name: aiohttp.ClientSession(bridge.url, headers={"Authorization": f"Bearer token-of-{name}"}) for name in ROLES}
    sessions |= {"nobody": aiohttp.ClientSession(bridge.url)}
    sessions |= {"guesser": aiohttp.ClientSession(bridge.url, headers={"Authorization": "Bearer token-of-eve"})}
    sessions |= {"cookie": aiohttp.ClientSession(bridge.url, headers={"Cookie": "token=token-of-ada; Authorization=Bearer token-of-ada"})}
    yield sessions
    for session in sessions.values():
        await session.close()
    await bridge.stop()


async def status(session: aiohttp.ClientSession, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
    async with session.request(method, path, **arguments) as answer:
        return answer.status, await answer.json() if answer.content_type.endswith("json") else None


async def test_without_a_known_token_every_door_is_shut(asking: Asking) -> None:
    paths: dict[str, dict[str, Any]] = (await status(asking["nobody"], "GET", "/openapi.json"))[1]["paths"]
    doors = [(method, path) for path, methods in paths.items() for method in methods if method != "parameters"]
    assert HANDSHAKE in doors
    doors = [door for door in doors if not door[1].startswith(OPEN) and door != HANDSHAKE] + [
        ("get", "/anything"),
        ("get", "/console"),
        ("get", "/"),
    ]
    assert len(doors) > 15
    for who in ("nobody", "guesser", "cookie", "query"):
        for method, path in doors:
            asked = f"{path}?access_token=token-of-ada&code=token-of-ada" if who == "query" else path
            code, problem = await status(asking.get(who, asking["nobody"]), method, asked)
            assert (who, method, path, code, problem["code"]) == (who, method, path, 401, "Unauthorized")


async def test_a_running_function_shows_the_token_of_its_invocation_and_no_other(asking: Asking) -> None:
    for who in ("nobody", "ada"):
        code, problem = await status(asking[who], "GET", "/v1/invocations/x/y")
        assert (code, problem["code"]) == (401, "Unauthorized")


async def test_probes_and_the_description_are_open(asking: Asking) -> None:
    for path in ("/healthz/live", "/healthz/ready", "/openapi.json"):
        assert (await status(asking["nobody"], "GET", path))[0] == 200
    for who in ("nobody", "guesser"):
        assert (await status(asking.get(who, asking["nobody"]), *HANDSHAKE)) == (200, None)


async def test_a_run_of_somebody_else_is_not_there(asking: Asking) -> None:
    await status(asking["olga"], "POST", "/v1/automations/echo/requests", json={}, headers={"Prefer": "wait=10", "X-Correlation-Id": "r-0"})
    for method, path in (("GET", ""), ("GET", "/output"), ("GET", "/events"), ("DELETE", ""), ("POST", "/rerun")):
        theirs = await status(asking["sam"], method, f"/v1/requests/r-0{path}")
        nobodys = await status(asking["sam"], method, f"/v1/requests/none{path}")
        assert (theirs[0], theirs[1]["detail"].replace("r-0", "none")) == (nobodys[0], nobodys[1]["detail"])
        assert theirs[0] == 404


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


async def test_dead_letters_and_the_audit_are_for_admin(asking: Asking) -> None:
    doors = [("GET", "/v1/deadletters"), ("GET", "/v1/audit"), ("GET", "/v1/deadletters/x"), ("DELETE", "/v1/deadletters/x")]
    for method, path in [*doors, ("POST", "/v1/deadletters/x/replay")]:
        for who in ("olga", "aude", "sam"):
            assert (method, path, (await status(asking[who], method, path))[0]) == (method, path, 403)
        assert (await status(asking["ada"], method, path))[0] in (200, 404)


async def test_a_token_that_stands_in_the_settings_by_mistake_is_not_repeated(tmp_path: Path) -> None:
    wrong = "tokens: [{name: ada, sha256: marked-plain-token, roles: [admin]}, {name: eve, token: marked-plain-token}]\n"
    bridge = BridgeProcess(tmp_path / "data", wrong)
    with pytest.raises(AssertionError, match="sha256") as refused:
        await bridge.start()
    assert bridge.process is not None
    assert await bridge.process.wait() == 2
    assert "marked-plain-token" not in str(refused.value)


async def test_any_other_address_than_loopback_needs_tokens(tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path / "data", "host: 0.0.0.0\n")
    with pytest.raises(AssertionError, match="loopback address"):
        await bridge.start()
    assert bridge.process is not None
    assert await bridge.process.wait() == 2
