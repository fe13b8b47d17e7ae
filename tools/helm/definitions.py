"""The definitions (CustomResourceDefinition) of the kinds that the charts use, and the official charts, from the Go modules they ship in.

Go keeps the modules in its own cache. Each is checked against a sum that stands here, or for Dapr in the go.sum of its build, as Go does.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools import goprograms
from tools.dapr import binaries as dapr
from tools.goprograms import NotThere


@dataclass(frozen=True)
class Module:
    """A Go module, the sum of its files, and the folder that is wanted of it."""

    path: str
    version: str
    sum: str
    folder: str


def of_dapr(name: str, folder: str = "") -> Module:
    """One of Dapr's modules, at the version that is built here, with its sum in the go.sum of that build."""
    path, version = f"github.com/dapr/{name}", f"v{dapr.VERSION}"
    line = f"{path} {version} "
    [total] = [each.removeprefix(line) for each in (dapr.HERE / "go.sum").read_text().splitlines() if each.startswith(line)]
    return Module(path, version, total, folder)


def of_kubernetes(name: str) -> Module:
    """One of Kubernetes' modules, at the version that helm is built with, with its sum in the go.sum of that build."""
    path = f"k8s.io/{name}"
    found = [each.split() for each in (Path(__file__).parent / "go.sum").read_text().splitlines() if each.startswith(f"{path} v")]
    [(_, version, total)] = [each for each in found if not each[1].endswith("/go.mod")]
    return Module(path, version, total, "")


DAPR = of_dapr("dapr", "charts/dapr")
KEDA = Module("github.com/kedacore/keda/v2", "v2.17.2", "h1:xlrcK5TKABJF9PebK79sgL07s/csGjL3H4m72OkZXxk=", "config/crd/bases")
PROMETHEUS = Module(
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    "example/prometheus-operator-crd",
)
MODULES = (DAPR, KEDA, PROMETHEUS)


@cache
def fetch(module: Module) -> Path:
    """The folder of a module, which Go downloads where it is not there yet. Raises NotThere."""
    # In a folder of its own: the modules that a go.mod of this repository requires say nothing of the version that is wanted here.
    with tempfile.TemporaryDirectory() as elsewhere:
        command = [goprograms.go(), "mod", "download", "-json", f"{module.path}@{module.version}"]
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603 - fixed words
    told = json.loads(done.stdout) if done.stdout else {"Error": done.stderr.strip()}
    if "Error" in told:
        raise NotThere(f"{module.path} {module.version} could not be fetched: {told['Error']}")
    if told["Sum"] != module.sum:
        raise NotThere(f"{module.path} {module.version} has the sum {told['Sum']}, and not {module.sum}, with which it was checked.")
    return Path(told["Dir"]) / module.folder
