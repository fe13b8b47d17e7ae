"""Finds Dapr's programs on this machine, or builds the official ones: `python3 -m tools.dapr.binaries`, or `make dapr`.

It needs nothing but Python, and nothing of the bridge that needs more. It looks at the program that BRIDGE_DAPRD names (for daprd alone),
then on the PATH, in the folder of the Dapr CLI (~/.dapr/bin) and in ~/.cache/automation-bridge/<version>, which holds what was built before
from any checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bridge.local import programs
from tools import goprograms
from tools.goprograms import NotThere as NotThere  # noqa: PLC0414 - what `find` raises

HERE = Path(__file__).resolve().parent
PROGRAMS = ("daprd", "placement", "sentry", "injector")
VERSION = goprograms.version(HERE, "github.com/dapr/dapr")


def find(program: str = "daprd") -> Path:
    """The program. Raises NotThere."""
    named = os.environ.get("BRIDGE_DAPRD") if program == "daprd" else None
    if named:
        if not programs.runs(Path(named)):
            raise NotThere(f"BRIDGE_DAPRD names {named}, which cannot be run. Correct it, or unset it.")
        return Path(named)
    found = programs.nearest(program, [programs.cache(VERSION) / program])
    if found is None:
        raise NotThere(
            f"{program} is not on this machine. `make dapr` builds it with Go; `dapr init --slim` of the Dapr CLI downloads daprd."
        )
    return found


def build(wanted: Sequence[str] = PROGRAMS) -> None:
    """Build programs into the cache, all of them or none. Raises NotThere if Go is missing, CalledProcessError if it fails."""
    # The tag chooses the components; without one daprd does not start. -X makes it tell its version instead of "edge".
    flags = ["-tags", "stablecomponents", "-ldflags", f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={VERSION}"]
    packages = {program: f"github.com/dapr/dapr/cmd/{program}" for program in wanted}
    try:
        goprograms.build(HERE, packages, programs.cache(VERSION), flags)
    except NotThere as fault:
        raise NotThere(f"{fault} Or download daprd with `dapr init --slim`.") from None


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
            where = programs.cache(VERSION)
            print(f"Building Dapr {VERSION} into {where} (about ten minutes on two cores, and 3 GB for Go's own caches)", flush=True)  # noqa: T201
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
