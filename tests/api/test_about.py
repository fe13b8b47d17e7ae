"""What the bridge tells about its own readiness."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from bridge.api.about import About
from bridge.certificates import WatchedCertificates
from bridge.resilience import Policies
from bridge.settings import Settings
from tests.dapr import authority
from tests.pipeline_kit import world

DAY = timedelta(days=1)


async def told(tmp_path: Path, components: Mapping[str, str], *certificates: Path) -> tuple[int, Any]:
    """Status and body of `GET /healthz/ready` where the components are like that."""

    async def ready() -> Mapping[str, str]:
        return components

    services = (await world(tmp_path)).bridge.services
    watched = WatchedCertificates(list(map(str, certificates)))
    about = About(services.catalog, Policies(), ready, services.unserved, Settings(), certificates=watched)
    answer = await about.ready(Request({"type": "http"}))
    return answer.status_code, json.loads(bytes(answer.body))


@pytest.mark.parametrize(("life", "verb"), [(-DAY, "ended"), (DAY / 2, "ends")])
async def test_a_certificate_that_ends_is_a_reason_and_takes_no_replica_out_of_service(tmp_path: Path, life: timedelta, verb: str) -> None:
    authority.write(tmp_path / "made", root=life, issuer=400 * DAY)
    root, issuer = (tmp_path / "made" / name for name in ("ca.crt", "issuer.crt"))
    status, body = await told(tmp_path, {"bus": ""}, root, issuer)
    assert (status, body["status"], body["parts"]) == (200, "degraded", {"bus": "ok"})
    (reason,) = body["reasons"]
    assert reason.startswith(f"the certificate CN=root of {root} {verb} at {authority.end(root):%Y-%m-%d %H:%M:%S} UTC: ")


async def test_what_is_away_makes_it_not_ready_whatever_certificates_do(tmp_path: Path) -> None:
    authority.write(tmp_path / "made", root=400 * DAY, issuer=400 * DAY)
    assert (await told(tmp_path, {"bus": "is away"}, tmp_path / "made" / "ca.crt")) == (
        503,
        {"status": "not ready", "parts": {"bus": "is away"}},
    )
