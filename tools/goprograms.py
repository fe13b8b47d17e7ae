"""Builds programs from Go modules into ~/.cache/automation-bridge, where every checkout of this user finds them.

It needs nothing but Python: the tools of this folder run before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.local import programs

_GO = ("/usr/local/go/bin", str(Path.home() / "go" / "bin"))


class NotThere(Exception):
    """A program is not on this machine; the message says what to do."""


def go() -> str:
    """Go itself. Raises NotThere."""
    found = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", ""), *_GO]))
    if found is None:
        raise NotThere("Go is needed to build it: install it from https://go.dev/dl.")
    return found


def build(module: Path, packages: Mapping[str, str], cache: Path, flags: Sequence[str]) -> None:
    """Build programs, each a name and its package, of the module in a folder. Raises NotThere and CalledProcessError.

    They appear in the cache when all of them are complete: a build that is interrupted, or two at a time, leave no half program there.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".build-") as folder:
        for name, package in packages.items():
            command = [go(), "build", "-trimpath", *flags, "-o", str(Path(folder, name)), package]
            subprocess.run(command, cwd=module, check=True)  # noqa: S603 - fixed words
        for name in packages:
            Path(folder, name).replace(cache / name)


def version(folder: Path, module: str) -> str:
    """The version, without its v, that the go.mod of a folder names for a module."""
    pattern = rf"^(?:require)?\s*{re.escape(module)} v(\S+)"
    return str(re.findall(pattern, (folder / "go.mod").read_text(), re.MULTILINE)[0])


def report(found: Callable[[], Iterable[Path]]) -> int:
    """Show what is found, or built where there is nothing; the exit code of the command."""
    try:
        paths = list(found())
    except (NotThere, subprocess.CalledProcessError) as fault:
        print(fault, file=sys.stderr)  # noqa: T201
        return 1
    print("\n".join(map(str, paths)))  # noqa: T201
    return 0


@dataclass(frozen=True)
class Tool:
    """A program that `make helm` builds where there is none: its package, in the module of a folder, at a version."""

    name: str
    module: Path
    package: str
    version: str
    takes: str  #: on two cores, in words

    def find(self) -> Path:
        """The program: on the PATH, or built before. Raises NotThere."""
        found = programs.nearest(self.name, [programs.cache(self.version) / self.name])
        if found is None:
            raise NotThere(f"{self.name} is not on this machine. `make helm` builds it with Go.")
        return found

    def ensure(self) -> Path:
        """The program, which is built where there is none. Raises NotThere if Go is missing, CalledProcessError if it fails."""
        try:
            return self.find()
        except NotThere:
            cache = programs.cache(self.version)
            print(f"Building {self.name} {self.version} into {cache} ({self.takes} on two cores)", flush=True)  # noqa: T201
            build(self.module, {self.name: self.package}, cache, ["-ldflags", "-s -w"])
            return self.find()
