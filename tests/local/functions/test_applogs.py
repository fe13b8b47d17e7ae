"""Each app has a log of its own."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from bridge.local.functions.applogs import AppLogs
from bridge.local.functions.apps import AppFolder

from .conftest import APPS, StartHost, wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def log(folder: Path, tmp_path: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.applogs")
    logger.setLevel(logging.INFO)
    apps = [AppFolder(f"{name}-functions", tmp_path / name) for name in ("one", "two")]
    handler = AppLogs(folder, apps, logging.Formatter("%(levelname)s %(message)s"), largest=1000)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_a_line_goes_to_the_log_of_the_app_that_it_names(log: logging.Logger, folder: Path, tmp_path: Path) -> None:
    log.info("%s: by its name", "one-functions")
    log.error("%s: by its folder", tmp_path / "one")
    log.info("Stopping.")
    log.info("%s: of another", "two-functions")

    assert (folder / "one.log").read_text() == f"INFO one-functions: by its name\nERROR {tmp_path / 'one'}: by its folder\n"
    assert (folder / "two.log").read_text() == "INFO two-functions: of another\n"


def test_a_log_is_begun_anew_at_its_size_and_only_its_owner_reads_it(log: logging.Logger, folder: Path) -> None:
    for number in range(100):
        log.info("%s: line %d", "one-functions", number)

    files = sorted(folder.glob("one.log*"))
    assert [each.name for each in files] == ["one.log", "one.log.1"]
    for each in files:
        assert each.stat().st_size <= 1000
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert (folder / "one.log").read_text().endswith("line 99\n")


def test_a_log_that_cannot_be_written_stops_nothing(log: logging.Logger, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "one.log").mkdir()

    log.info("%s: to a folder", "one-functions")

    assert capsys.readouterr().err == ""


async def test_what_an_app_says_is_in_its_log_and_in_the_log_of_the_host(start_host: StartHost, data_dir: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "apps" / name).mkdir(parents=True)
        (tmp_path / "apps" / name / "function_app.py").write_text((APPS / "sample" / "function_app.py").read_text())
    host = start_host("--apps", str(tmp_path / "apps"))
    wait_until(lambda: len(json.loads((data_dir / "functions.json").read_text())) == 2, "both apps")
    entry = json.loads((data_dir / "functions.json").read_text())["one-functions"]
    async with aiohttp.ClientSession() as http, http.post(f"{entry['url']}/api/talk", headers={"x-functions-key": entry["key"]}) as answer:
        assert answer.status == 200

    host.wait_for_log("talk | a printed word")
    one, two = ((data_dir / "function-logs" / f"{name}.log").read_text() for name in ("one", "two"))
    assert "talk | a printed word" in one
    assert "talk" not in two.replace("'api/talk'", "").replace("to 'talk'", "")
