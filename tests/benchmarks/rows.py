"""Every row of the table."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks import ondapr
from tests.benchmarks.subject import Subject, bridge, peer, raw


@dataclass(frozen=True)
class Row:
    """One way to get an echo. `floor` is the row that does the same without any promise."""

    name: str
    title: str
    open: Callable[[Path], AbstractAsyncContextManager[Subject]]
    floor: str = ""
    is_peer: bool = False


ROWS = (
    Row("bridge-get", "bridge, POST + GET", partial(bridge, way="twice", automation="echo"), "raw"),
    Row("bridge-wait", "bridge, Prefer: wait", partial(bridge, way="once", automation="echo"), "raw"),
    Row("bridge-topic", "bridge, topic", partial(bridge, way="once", automation="echo.topic"), "raw"),
    Row("bridge-bare", "bridge, bare", partial(bridge, way="once", automation="echo", bare=True), "raw-bare"),
    Row("raw", "raw path", raw),
    Row("raw-bare", "raw path, bare", partial(raw, bare=True)),
    Row("dapr-get", "bridge on Dapr, POST + GET", partial(ondapr.bridge, way="twice"), "dapr-bare-get"),
    Row("dapr-wait", "bridge on Dapr, Prefer: wait", partial(ondapr.bridge, way="once"), "dapr-bare-wait"),
    Row("dapr-bare-get", "bare handler on Dapr, POST + GET", partial(ondapr.bare, way="twice", protocol="grpc")),
    Row("dapr-bare-wait", "bare handler on Dapr, wait", partial(ondapr.bare, way="once", protocol="grpc")),
    Row("dapr-bare-http", "bare handler on Dapr, wait, HTTP", partial(ondapr.bare, way="once", protocol="http")),
    Row("saq", "saq", lambda folder: peer(folder, "saq"), is_peer=True),
    Row("taskiq", "taskiq", lambda folder: peer(folder, "taskiq"), is_peer=True),
    Row("dramatiq", "dramatiq", lambda folder: peer(folder, "dramatiq"), is_peer=True),
    Row("celery-threads", "Celery, threads", lambda folder: peer(folder, "celery", "threads"), is_peer=True),
    Row("celery-prefork", "Celery, prefork", lambda folder: peer(folder, "celery", "prefork"), is_peer=True),
)


def named(name: str) -> list[Row]:
    """The rows whose name is, or starts with, `name`."""
    return [row for row in ROWS if row.name == name] or [row for row in ROWS if row.name.startswith(name)]
