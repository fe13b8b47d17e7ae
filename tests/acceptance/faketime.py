"""A wall clock that a test sets while a real process runs on it, by libfaketime. Time passes there as it does here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

_PLACES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")


@dataclass(frozen=True)
class FakeTime:
    """Processes started with `prefix` see the clock that `set` has set, by so many seconds ahead of the true one."""

    file: Path
    prefix: tuple[str, ...]

    def set(self, seconds: float) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.0f}")
        fresh.rename(self.file)


def fake_time(folder: Path) -> FakeTime:
    """Skips the test where libfaketime is not installed, unless it is required that nothing is skipped (CI)."""
    library = next((str(path) for place in _PLACES for path in Path(place).glob("**/libfaketimeMT.so.1")), None)
    if library is None:
        said = "libfaketime is not installed (Debian and Ubuntu: apt-get install faketime)"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    settings = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"), "FAKETIME_NO_CACHE": "1"}
    settings |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    made = FakeTime(folder / "clock", ("env", *(f"{name}={value}" for name, value in settings.items())))
    made.set(0)
    return made
