"""The shipped functions in the local functions host, behind a real bridge."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.acceptance.bridge_process import ROOT, BridgeProcess

Http = aiohttp.ClientSession
ROWS = "a,b\n" + "".join(f"{number},{number * 2}\n" for number in range(25_000))
MINUTES = 1_000  #: milliseconds between two parts of the table, which has a hundred


def need_functions() -> None:
    if not (ROOT / ".venv-functions").exists():
        assert not os.environ.get("CI"), "make setup makes .venv-functions"
        pytest.skip("there is no .venv-functions: make setup")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    need_functions()
    functions = ("--functions", str(ROOT / "functions"), "--functions-port", "0")
    bridge = await BridgeProcess(tmp_path / "data", arguments=functions).start()
    for _ in range(200):
        if (bridge.data_dir / "functions.json").exists():
            break
        await asyncio.sleep(0.1)
    async with Http(bridge.url) as session:
        yield session
    await bridge.stop()


async def ask(http: Http, automation: str, value: Any, correlation_id: str, wait: int = 20) -> Any:
    headers = {"X-Correlation-Id": correlation_id, **({"Prefer": f"wait={wait}"} if wait else {})}
    async with http.post(f"/v1/automations/{automation}/requests", json=value, headers=headers) as answer:
        return await answer.json()


async def changes(http: Http, correlation_id: str) -> AsyncIterator[Any]:
    async with http.get(f"/v1/requests/{correlation_id}/events") as stream:
        async for line in stream.content:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def certificate(days: int) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web-17.example")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(17)
    signed = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days, hours=1)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


async def test_a_certificate_is_inspected_over_http(http: Http) -> None:
    run = await ask(http, "certificate.inspect", {"pem": certificate(30)}, "cert-1")
    assert (run["status"], run["output"]["daysLeft"], run["output"]["keyType"]) == ("Succeeded", 30, "EC")
    run = await ask(http, "certificate.inspect", {"pem": "no certificate"}, "cert-2")
    assert (run["status"], run["error"]["code"]) == ("Failed", "NotACertificate")


async def test_a_bundle_is_looked_at_from_two_sides(http: Http) -> None:
    run = await ask(http, "fleet.certificates", {"bundle": certificate(10) + certificate(400)}, "fleet-1")
    assert (run["status"], run["output"]["expiry"]["withinWarnDays"], run["output"]["strength"]["certificates"]) == ("Succeeded", 1, 2)


async def test_progress_of_long_work_is_seen_before_it_ends(http: Http) -> None:
    await ask(http, "table.summarize", {"csv": ROWS, "pause": 20}, "table-1", wait=0)
    seen = [run async for run in changes(http, "table-1")]
    assert (seen[-1]["status"], seen[-1]["output"]["rows"]) == ("Succeeded", 25_000)
    assert any(run["status"] == "Running" and 0 < run.get("progress", {}).get("percent", 0) < 100 for run in seen)


async def cancel(http: Http, correlation_id: str) -> None:
    async with http.delete(f"/v1/requests/{correlation_id}") as answer:
        assert answer.status == 202


async def test_a_cancel_reaches_the_running_function_long_before_its_end_and_the_end_of_the_grace(http: Http) -> None:
    await ask(http, "table.summarize", {"csv": ROWS, "pause": MINUTES}, "table-2", wait=0)
    await seen(http, "table-2", lambda run: "progress" in run)
    await cancel(http, "table-2")
    run = [run async for run in changes(http, "table-2")][-1]
    assert (run["status"], run["progress"]["percent"] < 100) == ("Canceled", True)
    # The function's own words: had the grace ended the run, they would be the bridge's.
    assert run["invocations"][0]["error"]["message"] == "The work was stopped because its run was canceled."


async def test_work_that_was_canceled_before_there_was_a_host_never_starts(tmp_path: Path) -> None:
    need_functions()
    bridge = await BridgeProcess(tmp_path / "data", "cancel_grace: 100ms\n").start()
    async with Http(bridge.url) as http:
        await ask(http, "table.summarize", {"csv": ROWS}, "table-3", wait=0)
        await seen(http, "table-3", lambda run: run["invocations"][0].get("attempts"))
        await cancel(http, "table-3")
        await seen(http, "table-3", lambda run: run["status"] == "Canceled")
        async with host(bridge.data_dir):
            run = await seen(http, "table-3", lambda run: "lateResult" in run["invocations"][0])
    await bridge.stop()
    assert run["invocations"][0]["lateResult"]["error"]["message"] == "The work was stopped because its run was canceled."


async def seen(http: Http, correlation_id: str, fact: Callable[[Any], object]) -> Any:
    """The run as soon as this can be said of it."""
    async with asyncio.timeout(30):
        while True:
            async with http.get(f"/v1/requests/{correlation_id}") as answer:
                if fact(run := await answer.json()):
                    return run
            await asyncio.sleep(0.02)


@asynccontextmanager
async def host(data_dir: Path) -> AsyncIterator[None]:
    """The functions host as a program of its own."""
    command = (sys.executable, "-m", "bridge.local.functions", "--data-dir", str(data_dir), "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, "--log", str(data_dir / "functions.log"), cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0
