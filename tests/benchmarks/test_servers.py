from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.benchmarks import servers
from tests.benchmarks.peerhome import Missing
from tests.benchmarks.servers import NATS, RESTATE, Server

MAKES = "import pathlib, sys; home = pathlib.Path(sys.argv[1]); home.mkdir(); (home / 'engine').write_text(sys.argv[1])"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(servers, "CACHE", tmp_path)
    return tmp_path


def _engine(code: str) -> Server:
    return Server("engine", "1.0", (sys.executable, "-c", code, "{home}"), "engine")


def _left(cache: Path) -> list[Path]:
    return list(cache.iterdir())


async def test_a_missing_server_is_installed_into_the_cache_and_no_second_time(cache: Path) -> None:
    engine = _engine(MAKES)
    await engine.prepare()
    installed = engine.path.read_text()
    await engine.prepare()
    assert (engine.path, engine.path.read_text()) == (cache / "engine-1.0/engine", installed)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('no network')", "failed: no network"),
        ("import os, sys; os.mkdir(sys.argv[1])", "engine 1.0 has no build for this"),
    ],
)
async def test_an_installation_that_fails_is_told_and_leaves_nothing(code: str, reason: str, cache: Path) -> None:
    with pytest.raises(Missing, match=reason):
        await _engine(code).prepare()
    assert _left(cache) == []


@pytest.mark.parametrize(("server", "tool"), [(RESTATE, "npm"), (NATS, "go")])
async def test_without_the_tool_that_installs_it_a_server_is_missing_at_once(
    server: Server, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing, match=f"{re.escape(server.name)} {server.version} .* {tool}, which installs it, is not on PATH"):
        await server.prepare()
