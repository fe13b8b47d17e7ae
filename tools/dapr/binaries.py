"""Finds Dapr's programs on this machine, or builds the official ones: `python3 -m tools.dapr.binaries`, or `make dapr`.

Needs nothing but Python, and nothing of the bridge that needs more. What is found: the program named by BRIDGE_DAPRD (for daprd alone),
one on the PATH, one of the Dapr CLI in ~/.dapr/bin, one that was built before in .cache/dapr/<version>/bin.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bridge.local import programs

HERE = Path(__file__).resolve().parent
PROGRAMS = ("daprd", "placement", "sentry")
VERSION = re.findall(r"github\.com/dapr/dapr v(\S+)", (HERE / "go.mod").read_text())[0]
BUILT = HERE.parents[1] / ".cache" / "dapr" / VERSION / "bin"
_GO = ("/usr/local/go/bin", str(Path.home() / "go" / "bin"))


class NotThere(Exception):
    """A program is not on this machine; the message says what to do."""


def find(program: str = "daprd") -> Path:
    """The program. Raises NotThere."""
    named = os.environ.get("BRIDGE_DAPRD") if program == "daprd" else None
    if named:
        if not programs.runs(Path(named)):
            raise NotThere(f"BRIDGE_DAPRD names {named}, which cannot be run. Correct it, or unset it.")
        return Path(named)
    found = programs.nearest(program, [BUILT / program])
    if found is None:
        raise NotThere(
            f"{program} is not on this machine. `make dapr` builds it with Go; `dapr init --slim` of the Dapr CLI downloads daprd."
        )
    return found


def build() -> None:
    """Build all programs into the cache. Raises NotThere if Go is missing, CalledProcessError if it fails."""
    go = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", ""), *_GO]))
    if go is None:
        raise NotThere("Go is needed to build Dapr: install it from https://go.dev/dl, or download daprd with `dapr init --slim`.")
    BUILT.mkdir(parents=True, exist_ok=True)
    # The tag chooses the components; without one daprd does not start. -X makes it tell its version instead of "edge".
    flags = ["-trimpath", "-tags", "stablecomponents", "-ldflags", f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={VERSION}"]
    packages = [f"github.com/dapr/dapr/cmd/{program}" for program in PROGRAMS]
    subprocess.run([go, "build", *flags, "-o", f"{BUILT}{os.sep}", *packages], cwd=HERE, check=True)  # noqa: S603 - fixed words


def version(daprd: Path) -> str:
    """What a daprd says it is."""
    told = subprocess.run([daprd, "--version"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - found above
    return told.stdout.strip() or "unknown"


def main() -> int:
    """Say what there is, building it where there is nothing; the exit code."""
    try:
        try:
            daprd = find()
        except NotThere:
            if os.environ.get("BRIDGE_DAPRD"):
                raise
            print(f"Building Dapr {VERSION} into {BUILT} (about ten minutes on two cores, and 3 GB for Go's own caches)", flush=True)  # noqa: T201
            build()
            daprd = find()
    except (NotThere, subprocess.CalledProcessError) as fault:
        print(fault, file=sys.stderr)  # noqa: T201
        return 1
    found = version(daprd)
    print(f"daprd {found}: {daprd}")  # noqa: T201
    if found != VERSION:
        print(f"The tests are written against {VERSION}; what they find with another version may differ.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
