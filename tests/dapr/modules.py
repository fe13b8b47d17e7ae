"""The sources of Dapr and its components on this machine, as Go has kept them; the sidecar is built from these very versions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.dapr.sidecar import missing
from tools.dapr import binaries

GO_MOD = (binaries.HERE / "go.mod").read_text()


def sources(module: str) -> Path:
    """The folder of a module such as `github.com/dapr/dapr`; where it is not, the test is skipped, on CI it fails."""
    version = re.findall(rf"{re.escape(module)} (v\S+)", GO_MOD)[0]
    found = _cache() / f"{module}@{version}"
    return found if found.is_dir() else missing(f"The sources of {module} {version} are not in Go's cache; `make dapr` fetches them.")


def _cache() -> Path:
    if named := os.environ.get("GOMODCACHE"):
        return Path(named)
    if go := shutil.which("go"):
        told = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=False).stdout.strip()
        if told:
            return Path(told)
    return Path(os.environ.get("GOPATH", Path.home() / "go")) / "pkg" / "mod"
