"""Measures one row: start its servers and client, warm up, send, stop."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.benchmarks import spent
from tests.benchmarks.figures import Figures, Latency
from tests.benchmarks.load import Answer, Order
from tests.benchmarks.process import ROOT, Child, Ended, machine_cpu, started
from tests.benchmarks.rows import Row
from tests.benchmarks.subject import Subject

SCRATCH = ROOT / ".cache"
LONGEST = 180.0  #: seconds one order may take


@dataclass(frozen=True)
class Plan:
    """How much is sent. `seconds` is the length of the steady part; 0 leaves it out."""

    requests: int = 2000
    repeats: int = 3
    at_once: int = 64
    warm_up: int = 500
    rate: int = 20
    seconds: float = 20.0


class Failed(Exception):
    """The row could not be measured; the message says why."""


@dataclass(frozen=True)
class Taken:
    """What the client answered, and seconds of CPU during the bursts: of each role, and of everything else on the machine.

    `sidecar` is what one request made the sidecar do, empty for a row without one.
    """

    bursts: Sequence[Answer]
    steady: Answer | None
    cpu: Mapping[str, float]
    others: float
    sidecar: Mapping[str, float]


async def measure(row: Row, plan: Plan, doing: Callable[[str], None]) -> Figures:
    """The figures of the row, or the reason why there are none. `doing` hears what is under way."""

    def say(what: str) -> None:
        doing(f"{row.title}: {what}")

    load = os.getloadavg()[0]
    about = Figures(row.name, row.title, load, floor=row.floor, is_peer=row.is_peer, is_durable=row.is_durable, column_of=row.column_of)
    try:
        with _scratch() as folder:
            say("starts")
            async with row.open(folder) as subject, started(subject.client, folder, "client", environment=subject.environment) as client:
                taken = await _send(plan, subject, client, say)
    except (Failed, Ended, OSError) as fault:
        return replace(about, skipped=str(fault))
    bursts, steady = taken.bursts, taken.steady
    return replace(
        about,
        rates=tuple(plan.requests / burst["seconds"] for burst in bursts),
        busy=Latency(median(burst["p50"] for burst in bursts), median(burst["p99"] for burst in bursts)),
        steady=Latency(steady["p50"], steady["p99"]) if steady else None,
        cpu={role: seconds * 1000 / (plan.requests * plan.repeats) for role, seconds in taken.cpu.items()},
        others=max(0.0, taken.others) / sum(burst["seconds"] for burst in bursts),
        sidecar=taken.sidecar,
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


async def _send(plan: Plan, subject: Subject, client: Child, doing: Callable[[str], None]) -> Taken:
    """Send everything that is planned."""
    children = [*subject.servers, client]
    doing("warms up")
    await order(client, {"count": plan.warm_up, "at_once": plan.at_once})
    called = await subject.called() if subject.called else {}
    before, machine, bursts = _cpu(children), machine_cpu(), []
    for number in range(plan.repeats):
        doing(f"{plan.requests:,} requests, {plan.at_once} in flight, {number + 1} of {plan.repeats}")
        bursts.append(await order(client, {"count": plan.requests, "at_once": plan.at_once}))
    cpu = {role: seconds - before[role] for role, seconds in _cpu(children).items()}
    others = machine_cpu() - machine - sum(cpu.values())
    sidecar = spent.per_request(called, await subject.called(), plan.requests * plan.repeats) if subject.called else {}
    steady = None
    if plan.seconds:
        doing(f"{plan.rate} requests a second for {plan.seconds:g} s")
        steady = await order(client, {"rate": plan.rate, "seconds": plan.seconds})
    return Taken(bursts, steady, cpu, others, sidecar)


def _cpu(children: Sequence[Child]) -> dict[str, float]:
    """Seconds of CPU so far, by role. Raises Ended."""
    total: dict[str, float] = {}
    for child in children:
        child.check()
        for role, seconds in child.cpu().items():
            total[role] = total.get(role, 0.0) + seconds
    return total


async def order(client: Child, order: Order) -> Answer:
    """What the client answers. Raises Failed."""
    told, answers = client.process.stdin, client.process.stdout
    if told is None or answers is None:
        raise Failed("the client has no pipes")
    try:
        async with asyncio.timeout(LONGEST):
            told.write(json.dumps(order).encode() + b"\n")
            await told.drain()
            line = await answers.readline()
    except TimeoutError:
        raise Failed(f"the client was not ready after {LONGEST:g} s with {order}") from None
    if not line:
        raise Failed(f"the client ended:\n{client.last_lines()}")
    answer: Answer = json.loads(line)
    if "error" in answer:
        raise Failed(f"a request failed: {answer['error'][:500]}")
    return answer
