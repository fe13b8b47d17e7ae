"""A Dapr sidecar for one bridge on this machine: which program, how it is started, and what the bridge must know of it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local import programs
from bridge.local.freeports import free_ports

APP_ID = "automation-bridge"  #: what the scopes of all resources name
_PORTS = ("dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "metrics-port", "app-port")


def find(named: Path | None) -> Path:
    """The program daprd: the one that is named, else the nearest one. Raises ConfigurationError."""
    if named:
        if not programs.runs(named):
            raise ConfigurationError([f"daprd {named}: cannot be run. Correct BRIDGE_DAPRD, or unset it."])
        return named
    if (found := programs.nearest("daprd", programs.built("daprd"))) is None:
        raise ConfigurationError(
            ["daprd is not on this machine. `make dapr` builds it with Go; `dapr init --slim` downloads it; or set BRIDGE_DAPRD."]
        )
    return found


@dataclass(frozen=True)
class Daprd:
    """One sidecar: its ports on loopback, and the tokens of both directions, which it is given anew each time."""

    program: Path
    resources: Path
    data_dir: Path
    ports: Mapping[str, int]
    protocol: str = "grpc"  #: how it brings events: over "http" Dapr 1.18 takes some that nobody has got for done
    app_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    api_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @classmethod
    def plan(cls, program: Path, resources: Path, data_dir: Path) -> Daprd:
        """With ports that are free at the moment. Raises ConfigurationError if the folder of resources is not one."""
        if not (resources / "configuration.yaml").is_file():
            raise ConfigurationError([f"resources {resources}: there is no configuration.yaml; name a folder such as components/local."])
        return cls(program, resources.absolute(), data_dir.absolute(), dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)))

    @property
    def address(self) -> str:
        """Of its HTTP API."""
        return f"http://127.0.0.1:{self.ports['dapr-http-port']}"

    @property
    def log(self) -> Path:
        """What it says; at 10 MB a new one is begun, and one old one is kept."""
        return self.data_dir / "daprd.log"

    def known_to_the_bridge(self) -> dict[str, str]:
        """The variables that `dapr run` would set."""
        return {
            "DAPR_HTTP_ENDPOINT": self.address,
            "DAPR_API_TOKEN": self.api_token,
            "APP_API_TOKEN": self.app_token,
            "APP_PORT": str(self.ports["app-port"]),
        }

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Its own variables beside those in `environ`, which components may refer to."""
        own = {"DAPR_API_TOKEN": self.api_token, "APP_API_TOKEN": self.app_token, "BRIDGE_STATE_FILE": str(self.data_dir / "dapr.db")}
        return {"GOGC": "400", **environ, **own}

    def command(self) -> Sequence[str]:
        """How it is started: by a program that ends it when this process is gone, and keeps its log small."""
        flags: Mapping[str, object] = {
            "app-id": APP_ID,
            **self.ports,
            "app-protocol": self.protocol,
            "app-channel-address": "127.0.0.1",
            "dapr-listen-addresses": "127.0.0.1",
            "dapr-internal-grpc-listen-address": "127.0.0.1",
            "metrics-listen-address": "127.0.0.1",
            "resources-path": self.resources,
            "config": self.resources / "configuration.yaml",
            "max-body-size": "16Mi",
            "dapr-graceful-shutdown-seconds": 2,
        }
        keeper = [sys.executable, "-m", "bridge.local.keeper", str(os.getpid()), str(self.log)]
        return [*keeper, str(self.program), *(f"--{name}={value}" for name, value in flags.items())]
