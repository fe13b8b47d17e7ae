"""Tries mutants: a copy of the tree, one fault at a time, the fast tests on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant, mutants

FIRST_LIMIT = 900  #: seconds for the tests without a fault
SEED = "--hypothesis-seed=1"
#: The whole flow on ports in memory.
FLOW = {"tests/test_pipeline.py", "tests/test_lastdelivery.py", "tests/targets/test_http.py", "tests/targets/test_bus.py"}
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?::\w+)", re.MULTILINE)


class Verdict(StrEnum):
    """What became of a mutant. Stale: its text is not in the code once. Broken: the tests could not even be collected."""

    KILLED = "killed"
    SURVIVED = "survived"
    STALE = "stale"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Trial:
    """A mutant, what became of it, the test that noticed, and the time that took."""

    mutant: Mutant
    verdict: Verdict
    by: str
    seconds: float


class Tree:
    """A copy of what the tests of the core need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._limit = float(FIRST_LIMIT)
        for part in ("bridge", "tests", "functions", "components"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)

    def check(self) -> str:
        """Run every fast test without a fault, which also fills the bytecode cache. What is wrong, or nothing."""
        where = self._python("-c", "import bridge; print(bridge.__file__)").stdout.strip()
        if Path(where) != (self.folder / "bridge" / "__init__.py").resolve():
            return f"the tests would run on {where}, not on the copy"
        started = time.monotonic()
        try:
            done = self._tests(fast_tests(), "--tb=short")
        except subprocess.TimeoutExpired:
            return f"the tests without any fault take more than {FIRST_LIMIT} s"
        # Tests that take three times as long as without a fault have met something that never ends.
        self._limit = 60 + 3 * (time.monotonic() - started)
        return "" if done.returncode == 0 else f"the tests fail without any fault:\n{done.stdout}"

    def attempt(self, mutant: Mutant) -> Trial:
        """Seed the fault and run the tests until one notices."""
        started = time.monotonic()
        verdict, by = Verdict.STALE, f"its text stands {mutant.places(self.folder)} times in {mutant.file}"
        if mutant.places(self.folder) == 1:
            with mutant.seeded(self.folder):
                verdict, by = self._noticed(mutant)
        return Trial(mutant, verdict, by, time.monotonic() - started)

    def _noticed(self, mutant: Mutant) -> tuple[Verdict, str]:
        # Its own tests first: they notice nearly every fault, and nothing else has to be loaded for it. Then those of the whole flow.
        own = list(mutant.tests)
        flow = sorted(FLOW.difference(own))
        for tests in (own, flow, [each for each in fast_tests() if each not in own and each not in flow]):
            if not tests:
                continue
            try:
                done = self._tests(tests, PYTHONDONTWRITEBYTECODE="1")
            except subprocess.TimeoutExpired:
                return Verdict.KILLED, f"no end within {self._limit:.0f} s"
            if done.returncode == 1:
                failed = _FAILED.search(done.stdout)
                return Verdict.KILLED, failed[1] if failed else "a test without a name"
            if done.returncode != 0:
                return Verdict.BROKEN, done.stdout[-1_000:]
        return Verdict.SURVIVED, "no test notices"

    def _tests(self, tests: list[str], traces: str = "--tb=no", **environment: str) -> subprocess.CompletedProcess[str]:
        return self._python(*("-m", "pytest", "-x", traces, "-rfE", "-p", "no:cacheprovider", SEED), *tests, **environment)

    def _python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "PYTEST_"))}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**clean, **environment},
            capture_output=True,
            text=True,
            timeout=self._limit,
            check=False,
        )


def fast_tests() -> list[str]:
    """The tests of every module that has a mutant, and those of the whole flow on ports in memory."""
    return sorted({each for mutant in mutants() for each in mutant.tests} | FLOW)
