"""Processes that are measured: started in a session of their own, their CPU read from /proc, and stopped by id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
GRACE = 15.0  #: seconds between the signal to stop and SIGKILL
TICKS = os.sysconf("SC_CLK_TCK")  #: of /proc, in a second


class Ended(Exception):
    """A process ended that should not have; the message has its last lines."""


@dataclass(frozen=True)
class Child:
    """One process with all it starts. `roles` names it, its children, their children and so on; the last name holds for all below."""

    process: Process
    roles: tuple[str, ...]
    log: Path

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU so far, user and system, of each role."""
        spent = dict.fromkeys(self.roles, 0.0)
        for depth, seconds in _family(self.process.pid):
            spent[self.roles[min(depth, len(self.roles) - 1)]] += seconds
        return spent

    def check(self) -> None:
        """Raises Ended if it has ended."""
        if self.process.returncode is not None:
            raise Ended(f"{self.roles[0]} ended with exit code {self.process.returncode}:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """What it said last."""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-8:])


@asynccontextmanager
async def started(
    command: Sequence[str | Path],
    folder: Path,
    *roles: str,
    environment: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> AsyncIterator[Child]:
    """A process in the checkout that runs while the context is open, with a log file in `folder`. The role `client` has pipes.

    `stop` is the signal that ends it.
    """
    log = folder / f"{roles[0].replace(' ', '-')}.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_") or name == "BRIDGE_FUNCTIONS_PYTHON"}
    is_client = roles == ("client",)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=PIPE if is_client else DEVNULL,
            stdout=PIPE if is_client else output,
            stderr=output,
            cwd=ROOT,
            env={**clean, "NO_COLOR": "1", **(environment or {})},
            start_new_session=True,
        )
    try:
        yield Child(process, roles, log)
    finally:
        await _stop(process, stop)


async def _stop(process: Process, by: signal.Signals) -> None:
    """End the process and whatever it left behind in its session."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(by)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _family(root: int) -> Iterator[tuple[int, float]]:
    """The process and everything below it: how far below, and its CPU in seconds with that of its children that have ended."""
    children: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            # proc(5): the name in parentheses may hold anything, so fields are counted from behind it; 4 is the parent, 14 to 17 the CPU.
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            pid = int(entry.parent.name)
            children.setdefault(int(fields[1]), []).append(pid)
            spent[pid] = sum(int(ticks) for ticks in fields[11:15]) / TICKS
    generation, depth = [root], 0
    while generation:
        yield from ((depth, spent[pid]) for pid in generation if pid in spent)
        generation, depth = [child for pid in generation for child in children.get(pid, ())], depth + 1


def machine_cpu() -> float:
    """Seconds of CPU that the whole machine has spent so far on anything, all cores together."""
    # proc(5): user, nice, system, idle, iowait, irq, softirq, steal
    fields = [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def listening(port: int, child: Child, seconds: float = 40.0) -> None:
    """Return once somebody listens on the loopback port. Raises Ended, also if nobody does within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                child.check()
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Ended(f"{child.roles[0]} does not listen after {seconds:g} s:\n{child.last_lines()}") from None
