"""The shipped PowerShell functions in the local functions host, behind a real bridge."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.acceptance.test_functions import Http, ask, need_functions
from tests.local.functions.conftest import need
from tests.local.functions.powershell_kit import pwsh

MONTHS_AGO = 1_700_000_000  #: seconds since 1970


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A root for files.retention with an old file in `logs`, and beside it links that lead out."""
    root, outside = tmp_path / "archive", tmp_path / "outside"
    for path in (root / "logs" / "old.log", root / "logs" / "new.log", outside / "precious"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    for path in (root / "logs" / "old.log", outside / "precious"):
        os.utime(path, (MONTHS_AGO, MONTHS_AGO))
    (root / "away").symlink_to(outside)
    (root / "logs" / "away").symlink_to(outside)
    return root


@pytest.fixture
async def http(tmp_path: Path, archive: Path) -> AsyncIterator[Http]:
    need_functions()
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    functions = ("--functions", str(ROOT / "functions"), "--functions-port", "0")
    environment = {"BRIDGE_PWSH": str(pwsh()), "RETENTION_ROOT": str(archive)}
    bridge = await BridgeProcess(tmp_path / "data", arguments=functions, environment=environment).start()
    for _ in range(600):
        known = bridge.data_dir / "functions.json"
        if known.exists() and "python-functions" in known.read_text():  # the last of the two
            break
        await asyncio.sleep(0.1)
    async with Http(bridge.url) as session:
        yield session
    await bridge.stop()


async def test_the_powershell_samples_do_their_work(http: Http, archive: Path) -> None:
    run = await ask(http, "fleet.inventory", {"top": 2}, "fleet-1", wait=50)
    assert run["status"] == "Succeeded", run
    assert run["output"]["powershell"]["system"]["powershell"].startswith("7.")
    assert len(run["output"]["powershell"]["processes"]["top"]) == 2
    assert run["output"]["python"]["processors"] == run["output"]["powershell"]["processors"]

    run = await ask(http, "text.redact", {"text": "password = hunter22 and more"}, "text-1")
    assert run["output"] == {"text": "password = [namedSecret] and more", "redacted": {"namedSecret": 1}}

    run = await ask(http, "files.retention", {"path": "logs", "olderThanDays": 30}, "files-1")
    assert (run["output"]["whatIf"], run["output"]["found"], run["output"]["removed"]) == (True, 1, 0), run
    assert (archive / "logs" / "old.log").exists()
    for number, path in enumerate(("away", "logs/away", "../outside", "logs/../..", str(archive))):
        run = await ask(http, "files.retention", {"path": path, "olderThanDays": 30, "whatIf": False}, f"refused-{number}")
        assert run["error"]["code"] == "PathRefused", run
    run = await ask(http, "files.retention", {"path": "logs", "olderThanDays": 30, "whatIf": False}, "files-2")
    assert (run["output"]["removed"], run["output"]["bytes"]) == (1, len("content"))
    assert sorted(path.name for path in (archive / "logs").iterdir()) == ["away", "new.log"]
    assert (archive.parent / "outside" / "precious").exists()
