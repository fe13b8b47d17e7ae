"""`python -m tests.benchmarks.handlers`: custom handlers in the local functions host, beside what was recorded of Microsoft's host.

The first answer after the start; warm calls, one at a time; calls a second, 4 and 32 in flight; what a call costs the host; and the memory
of the host after it all. Nothing is asserted: `aim` has the bound, and `others` how much of the machine was busy with something else
meanwhile. Microsoft's figures are those of a quiet machine with two cores, which the client shared, with a handler in Python.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.benchmarks import machine
from tests.benchmarks.functionshost import Host, host, others
from tests.benchmarks.load import percentile
from tests.benchmarks.process import machine_cpu
from tests.fuzz.memory import Memory

STARTS, WARM_UP, CALLS, ROUNDS = 5, 200, 500, 5
HTTP = [
    {"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous", "methods": ["post"]},
    {"type": "http", "direction": "out", "name": "res"},
]
#: Answers calls of the host, and with `forwards` requests themselves; as little as a handler can do.
HANDLER = """import asyncio, json, os

def answer(path, body):
    if path == "/Echo":
        name = json.loads(json.loads(body)["Data"]["req"]["Body"])["name"]
        out = {"statusCode": 200, "body": json.dumps({"name": name}), "headers": {"content-type": "application/json"}}
        return json.dumps({"Outputs": {"res": out}, "Logs": []})
    return json.dumps({"name": json.loads(body)["name"]})

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
            if "transfer-encoding: chunked" in head:
                body = b""
                while size := int(await reader.readline(), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readline()
            else:
                body = await reader.readexactly(int(head.partition("content-length:")[2].split()[0] if "content-length:" in head else 0))
            path = "/Echo" if head.startswith("post /echo ") else "/"
            said = answer(path, body).encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(said) + said)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"]))
    await server.serve_forever()

asyncio.run(main())
"""


@dataclass(frozen=True)
class Figures:
    """What one kind of handler came to; times in ms, memory in MiB."""

    first: float
    p50: float
    p99: float
    rate_of_4: float
    rate_of_32: float
    cpu: float
    memory: float


def write_app(folder: Path, *, forwards: bool) -> Path:
    """The folder with an app of one function."""
    app = folder / ("forwarding" if forwards else "handler") / "speed"
    (app / "Echo").mkdir(parents=True)
    (app / "Echo" / "function.json").write_text(json.dumps({"bindings": HTTP}))
    description = {"defaultExecutablePath": sys.executable, "arguments": ["handler.py"]}
    handler = {"description": description, "enableForwardingHttpRequest": forwards}
    (app / "host.json").write_text(json.dumps({"version": "2.0", "customHandler": handler}))
    (app / "handler.py").write_text(HANDLER)
    return app.parent


async def measured(apps: Path) -> Figures:
    """The figures of the app in `apps`."""
    first = []
    for _ in range(STARTS):
        async with host(apps) as one:
            await one.call("Echo")
            first.append((time.perf_counter() - one.began) * 1000)
    async with host(apps) as one:
        await one.calls("Echo", WARM_UP)
        took = await one.calls("Echo", CALLS)
        before = one.child.cpu()["host"]
        of_4, of_32 = await rate(one, 4), await rate(one, 32)
        cpu = (one.child.cpu()["host"] - before) * 1000 / (2 * ROUNDS * 1000)
        memory = Memory()
        memory.look(one.child.process.pid)
    p50, p99 = percentile(took, 50) * 1000, percentile(took, 99) * 1000
    return Figures(median(first), p50, p99, of_4, of_32, cpu, memory.last)


async def rate(one: Host, at_once: int) -> float:
    """Calls a second, in the median of some rounds of a thousand."""
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await asyncio.gather(*(one.calls("Echo", 1000 // at_once) for _ in range(at_once)))
        rates.append(1000 // at_once * at_once / (time.perf_counter() - began))
    return median(rates)


def table(handler: Figures, forwarding: Figures, busy: str) -> Table:
    """Both kinds, with what Microsoft's host came to for each, and the aim."""
    shown = Table("what", "handler", "Microsoft's", "forwarding", "Microsoft's", "aim", title=f"busy with others: {busy}")
    shown.add_row("first answer, ms", f"{handler.first:,.0f}", "1,100-1,400", f"{forwarding.first:,.0f}", "1,000-1,200", "sooner")
    warm = [f"{each.p50:.1f}/{each.p99:.1f}" for each in (handler, forwarding)]
    shown.add_row("warm call, p50/p99 ms", warm[0], "2.1/7.3", warm[1], "0.9/1.4", "")
    of_4 = [f"{each.rate_of_4:,.0f}" for each in (handler, forwarding)]
    shown.add_row("calls/s, 4 in flight", of_4[0], "799-1,260", of_4[1], "2,504-3,732", "at least half")
    of_32 = [f"{each.rate_of_32:,.0f}" for each in (handler, forwarding)]
    shown.add_row("calls/s, 32 in flight", of_32[0], "1,240-1,384", of_32[1], "3,755-3,792", "at least half")
    shown.add_row("CPU of the host a call, ms", f"{handler.cpu:.2f}", "", f"{forwarding.cpu:.2f}", "", "")
    shown.add_row("memory of the host, MiB", f"{handler.memory:.0f}", "190", f"{forwarding.memory:.0f}", "181", "less than half")
    return shown


def main() -> int:
    """Measure, and show what came out."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        busy, began, ours = machine_cpu(), time.perf_counter(), os.times()
        found = [asyncio.run(measured(write_app(Path(folder), forwards=forwards))) for forwards in (False, True)]
        console.print(table(found[0], found[1], others(machine_cpu() - busy, ours, time.perf_counter() - began)))
    console.print("; ".join(f"{name}: {value}" for name, value in machine.facts().items()), highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
