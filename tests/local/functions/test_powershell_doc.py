"""docs/powershell.md, as a reader follows it: the files of its two examples, its commands, and what it says comes of them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli import app
from bridge.local.freeports import free_ports
from tests import docexamples

from .conftest import CHECKOUT, need, wait_until
from .powershell_kit import pwsh

PAGE = docexamples.DOCS / "powershell.md"
COMMANDS = docexamples.commands_of(PAGE)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a reader's commands, with a bridge beside the files of the page."""
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    folder, port = tmp_path_factory.mktemp("mail"), free_ports(1)[0]
    for name, blocks in docexamples.files_of(PAGE).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n".join(blocks))
    shutil.copytree(CHECKOUT / "functions" / "powershell" / "Modules", folder / "functions" / "mail" / "Modules")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    environment = {**clean, "BRIDGE_URL": f"http://127.0.0.1:{port}", "BRIDGE_PWSH": str(pwsh()), "NO_COLOR": "1", "COLUMNS": "200"}
    up = [sys.executable, "-m", "bridge", "up", "--port", str(port), "--functions", "functions", "--functions-port", "0"]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(up, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            known = folder / ".bridge" / "functions.json"
            wait_until(lambda: ready(known) or process.poll() is not None, "the functions", 60)
            assert process.poll() is None, (folder / "up.log").read_text()
            yield environment
        finally:
            process.terminate()
            process.wait(30)


def ready(known: Path) -> bool:
    return known.exists() and "mail-functions" in json.loads(known.read_text())


@pytest.mark.parametrize(("command", "outcome"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_of_the_page_has_the_outcome_that_it_says(reader: dict[str, str], command: str, outcome: str) -> None:
    said = CliRunner().invoke(app, shlex.split(command)[1:], env=reader).output
    assert outcome in said


def test_the_page_has_its_commands() -> None:
    assert len(COMMANDS) == 5
