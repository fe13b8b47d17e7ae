"""The files and commands of a page of the documentation, and a reader who follows it in a folder, so that tests can run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from bridge.cli import app
from bridge.local.freeports import free_ports

DOCS = Path(__file__).parent.parent / "docs"
_FILE = re.compile(r"^(?:[^\n]*In )?`([^`\n]+)`:?\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(bridge (?:submit|why|functions package) .*?) {2,}# (.+)$", re.MULTILINE)


def files_of(page: Path) -> dict[str, list[str]]:
    """The blocks of each file, by the path that stands before each block."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, content in _FILE.findall(page.read_text()):
        found[name].append(content)
    return dict(found)


def commands_of(page: Path) -> list[tuple[str, str]]:
    """Each `bridge submit`, `bridge why` and `bridge functions package` with the comment behind it, which says what comes of it."""
    return _COMMAND.findall(page.read_text())


@dataclass
class Reader:
    """A reader's folder, and the environment in which the commands are run."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, folder: Path, **environment: str) -> Reader:
        """A reader whose bridge listens on a free port, and who has set no variable of the bridge but these."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        return cls(folder, {**clean, "BRIDGE_URL": url, "NO_COLOR": "1", "COLUMNS": "200", **environment})

    def run(self, *arguments: str) -> str:
        """What `bridge` with these arguments prints."""
        with chdir(self.folder):
            return CliRunner().invoke(app, arguments, env=self.environment).output

    def log(self, name: str) -> str:
        """The content of a file of the folder; empty if it is not there."""
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run `bridge up` in the folder; it logs to `up.log` there."""
        port = self.environment["BRIDGE_URL"].rpartition(":")[2]
        command = [sys.executable, "-m", "bridge", "up", "--port", port, "--functions-port", "0", *arguments]
        with (self.folder / "up.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)
