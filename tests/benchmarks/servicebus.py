"""`python -m tests.benchmarks.servicebus`: the queue's Service Bus face, with azure-servicebus, through daprd and with Go's client.

Sends one by one (16 at once), sends in batches of 100, and receives and completes; bodies of 500 bytes. CPU is that of the broker, which is
on disk before it answers; for Go it is that of all three steps. `--million` puts a million messages into one queue, starts the broker anew
on them and receives some. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient
from rich.console import Console
from rich.table import Table

from bridge.local.freeports import free_ports
from tests.acceptance.namespace_process import ROOT, NamespaceProcess
from tests.benchmarks import machine
from tests.benchmarks.process import started
from tests.fuzz.memory import Memory
from tests.servicebus import foreign
from tools.dapr import binaries

ENTITIES = ROOT / "tests" / "adapters" / "embedded" / "amqp" / "entities.json"
BODY, BATCH, AT_ONCE, TAKEN = bytes(500), 100, 16, 200
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Figures:
    """Rows of the table: the path, messages a second, broker CPU in µs a message, its memory in MB."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    @contextmanager
    def row(self, title: str, count: int, process_id: int) -> Iterator[None]:
        """Measure what is done to `count` messages in the block."""
        began, spent = time.perf_counter(), _cpu(process_id)
        yield
        seconds, memory = time.perf_counter() - began, Memory()
        memory.look(process_id)
        self.add(title, count / seconds, (_cpu(process_id) - spent) * 1e6 / count, memory.last)

    def add(self, title: str, rate: float, cpu: float, memory: float) -> None:
        self.rows.append((title, f"{rate:,.0f}", f"{cpu:,.0f}" if cpu else "", f"{memory:.0f}" if memory else ""))


def _cpu(process_id: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def each(client: ServiceBusClient, count: int) -> None:
    """Send one by one, some at the same time."""
    left = iter(range(count))

    async def some() -> None:
        async with client.get_queue_sender("plain") as sender:
            for _ in left:
                await sender.send_messages(ServiceBusMessage(BODY))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def batches(client: ServiceBusClient, count: int) -> None:
    async with client.get_queue_sender("plain") as sender:
        for _ in range(count // BATCH):
            await sender.send_messages([ServiceBusMessage(BODY) for _ in range(BATCH)])


async def receive(client: ServiceBusClient, count: int) -> None:
    """Receive and complete."""
    async with client.get_queue_receiver("plain", prefetch_count=TAKEN) as receiver:
        while count > 0:
            found = await receiver.receive_messages(max_message_count=min(TAKEN, count), max_wait_time=10)
            await asyncio.gather(*(receiver.complete_message(message) for message in found))
            count -= len(found)


async def python(namespace: NamespaceProcess, count: int, figures: Figures) -> None:
    steps: dict[str, tuple[Callable[[ServiceBusClient, int], Awaitable[None]], int]] = {
        f"Python, send one by one, {AT_ONCE} at once": (each, count),
        f"Python, send in batches of {BATCH}": (batches, count),
        "Python, receive and complete": (receive, 2 * count),
    }
    async with ServiceBusClient.from_connection_string(namespace.connection_string) as client:
        for title, (act, number) in steps.items():
            with figures.row(title, number, namespace.process.pid):  # type: ignore[union-attr]
                await act(client, number)


async def go(namespace: NamespaceProcess, count: int, figures: Figures) -> None:
    names = {"send": "one by one, 16 at once", "batches": f"in batches of {BATCH}", "receive": "receive and complete"}
    assert namespace.process is not None
    spent = _cpu(namespace.process.pid)
    told = await foreign.said([await foreign.go(), "speed", str(count)], namespace.connection_string)
    spent, memory = _cpu(namespace.process.pid) - spent, Memory()
    memory.look(namespace.process.pid)
    for line in told.splitlines():
        name, _, rate = line.partition(" ")
        figures.add(f"Go, {names[name]}", float(rate), spent * 1e6 / (4 * count) if name == "receive" else 0, memory.last)


COMPONENT = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: bus}}
spec:
  type: pubsub.azure.servicebus.topics
  version: v1
  metadata:
  - {{name: connectionString, value: "{connection_string}"}}
  - {{name: consumerID, value: all}}
  - {{name: disableEntityManagement, value: "true"}}
  - {{name: maxConcurrentHandlers, value: "64"}}
"""


async def dapr(namespace: NamespaceProcess, count: int, figures: Figures) -> None:
    """From an HTTP request to a sidecar over the broker, and back through the sidecar to an application."""
    try:
        program = binaries.find()
    except binaries.NotThere as reason:
        raise foreign.Missing(str(reason)) from None
    app_port, http_port, *others = free_ports(5)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bus.yaml").write_text(COMPONENT.format(connection_string=namespace.connection_string))
        command = _daprd(program, folder, (app_port, http_port, *others))
        async with _counting(app_port, count) as came, started(command, Path(folder), "daprd"):
            url = f"http://127.0.0.1:{http_port}/v1.0"
            async with aiohttp.ClientSession() as http:
                await _healthy(http, f"{url}/healthz")
                with figures.row("daprd → broker → daprd → application", count, namespace.process.pid):  # type: ignore[union-attr]
                    await asyncio.gather(*(_publish(http, f"{url}/publish/bus/events", count // AT_ONCE) for _ in range(AT_ONCE)))
                    async with asyncio.timeout(60):
                        await came.wait()


def _daprd(program: Path, folder: str, ports: Sequence[int]) -> list[str | Path]:
    names = ("app-port", "dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "metrics-port")
    words = [word for name, port in zip(names, ports, strict=True) for word in (f"--{name}", str(port))]
    for name in ("dapr-listen-addresses", "dapr-internal-grpc-listen-address", "metrics-listen-address"):
        words += [f"--{name}", "127.0.0.1"]
    return [program, "--app-id", "bench", "--resources-path", folder, "--log-level", "error", *words]


@asynccontextmanager
async def _counting(port: int, count: int) -> AsyncIterator[asyncio.Event]:
    """An application that is subscribed to the topic; the event is set when `count` events have come."""
    came, seen = asyncio.Event(), 0

    async def subscribe(_: web.Request) -> web.Response:
        return web.json_response([{"pubsubname": "bus", "topic": "events", "route": "/got"}])

    async def got(request: web.Request) -> web.Response:
        nonlocal seen
        await request.read()
        seen += 1
        if seen == count:
            came.set()
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/dapr/subscribe", subscribe), web.post("/got", got)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield came
    finally:
        await runner.cleanup()


async def _healthy(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(aiohttp.ClientError):
                async with http.get(url) as response:
                    if response.ok:
                        return
            await asyncio.sleep(0.2)


async def _publish(http: aiohttp.ClientSession, url: str, count: int) -> None:
    for _ in range(count):
        async with http.post(url, json={"text": "x" * 200}) as response:
            response.raise_for_status()


async def million(folder: Path, count: int, figures: Figures) -> None:
    """Many messages in one queue, and a start on them."""
    namespace = NamespaceProcess(folder, ENTITIES, ("--queue-limit", str(count)))
    async with namespace:
        with figures.row(f"Go, {count:,} messages into one queue, in batches", count, namespace.process.pid):  # type: ignore[union-attr]
            await foreign.said([await foreign.go(), "fill", str(count)], namespace.connection_string)
    began = time.perf_counter()
    async with namespace, ServiceBusClient.from_connection_string(namespace.connection_string) as client:
        ready = time.perf_counter() - began
        some = min(count, 10_000)
        title = f"with {count:,} in it (started in {ready:.1f} s): receive and delete {some:,}"
        with figures.row(title, some, namespace.process.pid):  # type: ignore[union-attr]
            await _take(client, some)


async def _take(client: ServiceBusClient, count: int) -> None:
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with client.get_queue_receiver("plain", receive_mode=mode) as receiver:
        while count > 0:
            count -= len(await receiver.receive_messages(max_message_count=min(TAKEN, count), max_wait_time=10))


async def main(arguments: argparse.Namespace, console: Console) -> None:
    """Measure and show."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if arguments.million:
                await million(Path(folder), arguments.million, figures)
            for act in () if arguments.million else (python, dapr, go):
                async with NamespaceProcess(Path(folder) / act.__name__, ENTITIES) as namespace:
                    await act(namespace, arguments.count, figures)
        except foreign.Missing as reason:
            console.print(f"skipped: {reason}", markup=False)
    table = Table("path", "msg/s", "broker CPU µs", "broker MB")
    for row in figures.rows:
        table.add_row(*row)
    console.print(table)
    for name, fact in machine.facts().items():
        console.print(f"{name}: {fact}", highlight=False, markup=False)


def read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.servicebus", description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="messages of each step (%(default)s)")
    parser.add_argument("--million", type=int, nargs="?", const=1_000_000, metavar="N", help="only this: N messages in one queue")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(read(), Console(width=None if sys.stdout.isatty() else 120)))
