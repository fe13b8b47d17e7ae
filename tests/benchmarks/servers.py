"""The servers of the durable rows: programs of one version each, installed into the cache of this user when they are missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.peerhome import CACHE, Missing, install

LONGEST = 900.0  #: seconds; building the NATS server takes two minutes of CPU


@dataclass(frozen=True)
class Server:
    """A program and how it is installed: `{home}` in command and environment is the folder that it goes to."""

    name: str
    version: str
    command: Sequence[str]
    program: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Its folder. Another version goes to another one."""
        return CACHE / f"{self.name}-{self.version}"

    @property
    def path(self) -> Path:
        """The program, once it is installed."""
        return self.home / self.program

    async def prepare(self) -> None:
        """Install it unless it is there. Raises Missing."""
        if self.path.exists():
            return
        tool = self.command[0]
        if shutil.which(tool) is None:
            raise Missing(f"{self.name} {self.version} is not in {self.home.parent}, and {tool}, which installs it, is not on PATH")
        # Beside its place and moved there as a whole: one that was stopped on the way leaves nothing that looks installed.
        part = self.home.with_name(f"{self.home.name}.{os.getpid()}")
        environment = {name: value.format(home=part) for name, value in self.environment.items()}
        try:
            await install(*(word.format(home=part) for word in self.command), environment=environment, longest=LONGEST)
            if not (part / self.program).exists():
                raise Missing(f"{self.name} {self.version} has no build for this machine")
            if not self.path.exists():
                part.rename(self.home)
        finally:
            shutil.rmtree(part, ignore_errors=True)


_MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_BUILD = f"@restatedev/restate-server-{platform.system().lower()}-{_MACHINE}"

#: The package with the binary alone: the one around it is a start script in JavaScript and a package that reports installations.
RESTATE = Server(
    "restate-server",
    "1.7.12",
    ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--prefix", "{home}", f"{_BUILD}@1.7.12"),
    f"node_modules/{_BUILD}/bin/restate-server",
)

NATS = Server(
    "nats-server",
    "2.15.3",
    ("go", "install", "github.com/nats-io/nats-server/v2@v2.15.3"),
    "nats-server",
    {"GOBIN": "{home}", "GOFLAGS": "-buildvcs=false"},
)
