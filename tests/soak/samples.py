"""What a process and its database take, read from outside: /proc and the file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One look. `at` is in seconds since the load began; sizes are in bytes, `p99` in ms over the time since the look before.

    `used` is what the database holds without free pages; `index` the part of it that lists ids, which is kept a day longer than the runs.
    `load` is the machine's, over a minute, with everything else that runs on it.
    """

    at: float
    rss: int
    handles: int
    threads: int
    file: int
    log: int
    used: int
    index: int
    runs: int
    p99: float
    rate: float
    load: float


@dataclass(frozen=True)
class Process:
    """What /proc says of a process."""

    pid: int

    @property
    def rss(self) -> int:
        return self._status("VmRSS") * 1024

    @property
    def threads(self) -> int:
        return self._status("Threads")

    @property
    def handles(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@dataclass(frozen=True)
class Database:
    """What the embedded runtime keeps."""

    folder: Path

    def size(self, suffix: str = "") -> int:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / f"bridge.db{suffix}").stat().st_size
        return 0

    def contents(self) -> tuple[int, int, int]:
        """Bytes in use, bytes of the indexes, and how many runs there are."""
        with contextlib.closing(sqlite3.connect(f"{(self.folder / 'bridge.db').as_uri()}?mode=ro", uri=True)) as database:

            def one(statement: str, *values: str) -> int:
                return int(database.execute(statement, values).fetchone()[0] or 0)

            pages = one("PRAGMA page_count") - one("PRAGMA freelist_count")
            index = sum(one(_BYTES, name) for name in ("index", "replies"))
            return pages * one("PRAGMA page_size"), index, one(_COUNT, "run")


_BYTES = "SELECT sum(length(value)) FROM state WHERE key >= ?1 || '/' AND key < ?1 || '0'"  #: "0" is what follows "/"
_COUNT = "SELECT count(*) FROM state WHERE key >= ?1 || '/' AND key < ?1 || '0'"


def look(process: Process, database: Database, at: float, latencies: list[float], seconds: float) -> Sample:
    """Take a sample; `latencies`, in ms, are those of the `seconds` since the one before."""
    used, index, runs = database.contents()
    ordered = sorted(latencies) or [0.0]
    return Sample(
        at,
        process.rss,
        process.handles,
        process.threads,
        database.size(),
        database.size("-wal"),
        used,
        index,
        runs,
        ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)],
        len(latencies) / seconds,
        os.getloadavg()[0],
    )


Pick = Callable[[Sample], float]


def slope(samples: list[Sample], of: Pick) -> float:
    """By how much it grows in ten minutes: the line with the least squares through all samples."""
    mean_at = sum(each.at for each in samples) / len(samples)
    mean = sum(map(of, samples)) / len(samples)
    spread = sum((each.at - mean_at) ** 2 for each in samples)
    return 600 * sum((each.at - mean_at) * (of(each) - mean) for each in samples) / spread if spread else 0.0
