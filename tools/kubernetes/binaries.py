"""Finds an API server of Kubernetes, its etcd and kubectl, or builds them: `python3 -m tools.kubernetes.binaries`.

So it does with the injector of Dapr. It needs nothing but Python. They are kept in ~/.cache/automation-bridge/<version>.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bridge.local import programs
from tools import goprograms
from tools.dapr import binaries as dapr
from tools.goprograms import NotThere

HERE = Path(__file__).resolve().parent
VERSION = goprograms.version(HERE, "k8s.io/kubernetes")
#: Each with the folder of its main.go.
PROGRAMS = {"kube-apiserver": "./apiserver", "etcd": "./etcd", "kubectl": "./kubectl"}
OF_DAPR = ("sentry", "injector")


def find(program: str) -> Path:
    """The program that was built from this version; one of another place may be of another. Raises NotThere."""
    found = programs.cache(VERSION) / program
    if not programs.runs(found):
        raise NotThere(f"{program} {VERSION} is not on this machine. `make kubernetes` builds it with Go.")
    return found


def build() -> None:
    """Build what is missing. Raises NotThere if Go is missing, CalledProcessError if it fails."""
    missing = {name: package for name, package in PROGRAMS.items() if not programs.runs(programs.cache(VERSION) / name)}
    if missing:
        print(f"Building Kubernetes {VERSION} (six minutes on two cores)", flush=True)  # noqa: T201
        version, (major, minor, _) = "-X k8s.io/component-base/version.git", VERSION.split(".")
        told = f"{version}Version=v{VERSION} {version}Major={major} {version}Minor={minor}"
        goprograms.build(HERE, missing, programs.cache(VERSION), ["-ldflags", f"-s -w {told}"])
    of_dapr = [name for name in OF_DAPR if not programs.runs(programs.cache(dapr.VERSION) / name)]
    if of_dapr:
        print(f"Building {' and '.join(of_dapr)} of Dapr {dapr.VERSION}", flush=True)  # noqa: T201
        dapr.build(of_dapr)


def main() -> int:
    """Say what there is, building what is missing; the exit code."""
    return goprograms.report(_all)


def _all() -> Iterator[Path]:
    build()
    yield from map(find, PROGRAMS)
    yield from map(dapr.find, OF_DAPR)


if __name__ == "__main__":
    sys.exit(main())
