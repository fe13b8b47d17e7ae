"""Every row of the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks import durable, ondapr, peerhome
from tests.benchmarks.servers import NATS, RESTATE
from tests.benchmarks.subject import Subject, bridge, peer, raw

#: Installs what a row needs. Raises Missing.
Need = Callable[[], Awaitable[None]]
Open = Callable[[Path], AbstractAsyncContextManager[Subject]]


@dataclass(frozen=True)
class Row:
    """One way to get an echo. `floor` is the row that does the same without any promise.

    `column_of` names the row of the same peer whose task gives its input back itself; this one calls the bare HTTP function.
    `is_durable`: a peer that has each request on disk before it answers.
    """

    name: str
    title: str
    open: Open
    floor: str = ""
    is_peer: bool = False
    is_durable: bool = False
    column_of: str = ""
    needs: tuple[Need, ...] = ()


def _peer(
    name: str, title: str, opens: Callable[..., AbstractAsyncContextManager[Subject]], *needs: Need, is_durable: bool
) -> Iterator[Row]:
    """The row of a peer, and the one in which its worker calls the function over HTTP."""
    needed = (*needs, peerhome.peers)
    yield Row(name, title, opens, is_peer=True, is_durable=is_durable, needs=needed)
    http = partial(opens, http=True)
    yield Row(f"{name}-http", f"{title}, HTTP function", http, is_peer=True, is_durable=is_durable, column_of=name, needs=needed)


def _queue(name: str, title: str, module: str, *variant: str) -> Iterator[Row]:
    """A task queue on Redis."""

    def opens(folder: Path, *, http: bool = False) -> AbstractAsyncContextManager[Subject]:
        return peer(folder, module, *variant, http=http)

    return _peer(name, title, opens, peerhome.redis, is_durable=False)


ROWS = (
    Row("bridge-get", "bridge, POST + GET", partial(bridge, way="twice", automation="echo"), "raw"),
    Row("bridge-wait", "bridge, Prefer: wait", partial(bridge, way="once", automation="echo"), "raw"),
    Row("bridge-topic", "bridge, topic", partial(bridge, way="once", automation="echo.topic"), "raw"),
    Row("bridge-bare", "bridge, bare", partial(bridge, way="once", automation="echo", bare=True), "raw-bare"),
    Row("bridge-bare-get", "bridge, bare, POST + GET", partial(bridge, way="twice", automation="echo", bare=True), "raw-bare"),
    Row("raw", "raw path", raw),
    Row("raw-bare", "raw path, bare", partial(raw, bare=True)),
    Row("dapr-get", "bridge on Dapr, POST + GET", partial(ondapr.bridge, way="twice"), "dapr-bare-get"),
    Row("dapr-wait", "bridge on Dapr, Prefer: wait", partial(ondapr.bridge, way="once"), "dapr-bare-wait"),
    Row("dapr-bare-get", "bare handler on Dapr, POST + GET", partial(ondapr.bare, way="twice", protocol="grpc")),
    Row("dapr-bare-wait", "bare handler on Dapr, wait", partial(ondapr.bare, way="once", protocol="grpc")),
    Row("dapr-bare-http", "bare handler on Dapr, wait, HTTP", partial(ondapr.bare, way="once", protocol="http")),
    *_peer("restate", "Restate", durable.restate, RESTATE.prepare, is_durable=True),
    *_peer("nats", "NATS JetStream", durable.nats, NATS.prepare, is_durable=True),
    *_queue("saq", "saq", "saq"),
    *_queue("taskiq", "taskiq", "taskiq"),
    *_queue("dramatiq", "dramatiq", "dramatiq"),
    *_queue("celery-threads", "Celery, threads", "celery", "threads"),
    *_queue("celery-prefork", "Celery, prefork", "celery", "prefork"),
)


def named(name: str) -> list[Row]:
    """The rows whose name is, or starts with, `name`."""
    return [row for row in ROWS if row.name == name] or [row for row in ROWS if row.name.startswith(name)]
