"""How long the certificates of sidecars last, and where their end can be seen: Dapr itself says nothing before it is too late."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from bridge import certificates
from tests.dapr import authority
from tests.dapr.mesh import Mesh, Sentry
from tests.dapr.sidecar import COMPONENTS, missing

SECURITY = Path(__file__).parents[2] / "docs" / "dapr-security.md"
MONTH = timedelta(days=30)
EXPIRY = "dapr_sentry_issuercert_expiry_timestamp"


async def issuer_end(sentry: Sentry) -> datetime:
    """When the issuer's certificate ends, by sentry's own metric."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{sentry.metrics_port}/metrics") as answer:
        (line,) = [line for line in (await answer.text()).splitlines() if line.startswith(EXPIRY)]
    return datetime.fromtimestamp(float(line.rpartition(" ")[2]), UTC)


async def test_what_sentry_makes_ends_after_a_year_and_its_metric_says_when(mesh: Mesh):
    sentry = await mesh.sentry()
    ends = {authority.end(sentry.directory / name) for name in ("ca.crt", "issuer.crt")}
    assert all(timedelta(days=364) < end - datetime.now(UTC) <= timedelta(days=366) for end in ends)
    assert abs(await issuer_end(sentry) - authority.end(sentry.directory / "issuer.crt")) < timedelta(seconds=2)


async def test_the_metric_tells_an_issuer_that_ends_soon(mesh: Mesh):
    authority.write(mesh.directory / "sentry", root=10 * MONTH, issuer=timedelta(days=20))
    assert await issuer_end(await mesh.sentry()) - datetime.now(UTC) < MONTH


async def test_the_metric_is_silent_about_a_root_that_ends_before_its_issuer(mesh: Mesh):
    authority.write(mesh.directory / "sentry", root=timedelta(days=20), issuer=10 * MONTH)
    assert await issuer_end(await mesh.sentry()) - datetime.now(UTC) > MONTH


@pytest.mark.parametrize(("days", "code"), [(20, 1), (40, 0)])
async def test_the_documented_check_tells_a_root_that_ends_soon(tmp_path, days, code):
    openssl = shutil.which("openssl") or missing("openssl is not on this machine.")
    authority.write(tmp_path / "certificates", root=timedelta(days=days), issuer=10 * MONTH)
    command = "x509 -noout -enddate -checkend 2592000"
    assert f"openssl {command}" in SECURITY.read_text()
    process = await asyncio.create_subprocess_exec(
        openssl, *command.split(), "-in", tmp_path / "certificates" / "ca.crt", stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == code


async def test_a_sentry_whose_root_has_ended_does_not_start(mesh: Mesh):
    authority.write(mesh.directory / "sentry", root=-MONTH, issuer=10 * MONTH)
    with pytest.raises(AssertionError, match="expired"):
        await mesh.sentry()


async def test_a_sidecar_shows_its_name_and_a_certificate_of_one_day(mesh: Mesh):
    member = await mesh.member("python-functions", await mesh.sentry(), COMPONENTS / "function-app" / "configuration.yaml")
    pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", member.internal_port))
    shown = x509.load_pem_x509_certificate(pem.encode())
    (name,) = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.UniformResourceIdentifier
    )
    assert name == "spiffe://public/ns/default/python-functions"
    assert timedelta(hours=23) < shown.not_valid_after_utc - datetime.now(UTC) <= timedelta(hours=25)


async def test_a_sidecar_shows_the_bridge_when_its_issuer_ends_and_not_its_own_certificate_of_one_day(mesh: Mesh):
    authority.write(mesh.directory / "sentry", root=10 * MONTH, issuer=timedelta(days=20))
    sentry = await mesh.sentry()
    member = await mesh.member("python-functions", sentry, COMPONENTS / "function-app" / "configuration.yaml")
    (issuer,) = await certificates.of_source(f"tls://127.0.0.1:{member.internal_port}")
    assert (issuer.subject.rfc4514_string(), issuer.not_valid_after_utc) == ("CN=issuer", authority.end(sentry.directory / "issuer.crt"))
