"""The shipped functions in the local functions host, behind a real bridge."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
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
ROWS = "a,b\n" + "".join(f"{number},{number * 2}\n" for number in range(5_000))


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    if not (ROOT / ".venv-functions").exists():
        assert not os.environ.get("CI"), "make setup makes .venv-functions"
        pytest.skip("there is no .venv-functions: make setup")
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
    await ask(http, "table.summarize", {"csv": ROWS, "pause": 100}, "table-1", wait=0)
    seen = [run async for run in changes(http, "table-1")]
    assert (seen[-1]["status"], seen[-1]["output"]["rows"]) == ("Succeeded", 5_000)
    assert any(run["status"] == "Running" and 0 < run.get("progress", {}).get("percent", 0) < 100 for run in seen)


async def test_a_cancel_reaches_the_running_function(http: Http) -> None:
    await ask(http, "table.summarize", {"csv": ROWS, "pause": 2_000}, "table-2", wait=0)
    async for run in changes(http, "table-2"):
        if "progress" in run and run["status"] == "Running":
            async with http.delete("/v1/requests/table-2") as answer:
                assert answer.status == 202
    assert run["status"] == "Canceled"
    assert run["invocations"][0]["error"]["code"] == "Canceled"
