"""An app with `app_offline.htm` in its folder, seen over HTTP."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from .conftest import Hosts
from .powershell_kit import write_files

PAGE = "<p>back at noon</p>"


async def test_an_app_that_is_offline_answers_with_its_page_and_starts_no_worker(
    tmp_path: Path, data_dir: Path, hosts: Hosts, http: aiohttp.ClientSession
) -> None:
    write_files(tmp_path / "apps" / "sample", {"function_app.py": "raise SystemExit(3)", "host.json": "{}", "app_offline.htm": PAGE})
    host = hosts.start(data_dir, tmp_path / "apps", tmp_path / "host.json")
    url, master = host.app["url"], {"x-functions-key": host.app["masterKey"]}

    for path in ("/api/anything", "/", "/runtime/webhooks/x"):
        async with http.post(url + path) as answer:
            assert (answer.status, answer.headers["Content-Type"], await answer.text()) == (503, "text/html", PAGE)
    async with http.get(f"{url}/admin/host/status", headers=master) as answer:
        assert (await answer.json())["state"] == "Offline"
    for headers, status in ({}, 401), (master, 503):
        async with http.post(f"{url}/admin/functions/f", json={}, headers=headers) as answer:
            assert answer.status == status
    assert "app_offline.htm in its folder takes it offline" in host.log
