"""What stands below the tables: how it was measured, and what each row promises, so that nobody compares figures without it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.figures import Figures

NOTES = """\
"topic": Prefer: wait with a function behind a topic. "bare": the function in a bare HTTP server instead of the functions host.
"HTTP fn": req/s of the same peer where its task calls the bare HTTP function, as "bare" does, instead of giving its input back itself: one
aiohttp session for a worker with an event loop, one urllib3 pool for a process with threads. Compare "bare" with this column.
One client process sends: for all HTTP rows and for Restate's ingress a lean HTTP/1.1 client (httptools, uvloop), else the peer's library.
Client and servers share the cores.
x queue: req/s against the fastest task queue's plain column.
x raw: req/s against the raw path, which calls the same function through a front that promises nothing.
CPU: user + system of a process and all below it. "worker" runs the function; a peer's worker that calls it stands under "bridge/front".
"store" is Redis, the Restate server or the NATS server. Everybody logs warnings only.
load: one-minute average before the row. others: cores that everything else kept busy meanwhile; where it is not near 0, measure again.
Celery, saq and taskiq get one reader for all results (MGET every 2 ms), faster than their own look for each; NATS has one watch for
all results; Restate, like Prefer: wait, has one call that waits."""

ON_DAPR = """\
"on Dapr": a real daprd with components/redis, a Redis that syncs each write (appendonly yes, appendfsync always), a bare function.
bare handler: the same publishes, deliveries and state writes, each one plain call of the sidecar, without any promise: no input is checked,
no etag compared, no deadline kept, no index, no second attempt. x raw of a bridge there is its req/s against the bare handler's.
The counts are what the Redis was asked, so that a call which carries many counts as many."""

ELSEWHERE = """\
Look-up at many runs is measured by python -m tests.benchmarks.lookup, ways to ask a sidecar by python -m tests.benchmarks.sidecar."""

_REDIS = "Redis answers first and syncs its file once a second: a power cut loses up to a second of what was accepted."

#: By the start of a row's name; the longest start that fits holds.
PROMISES = {
    "bridge": (
        "bridge: the request is synced to disk before the answer (SQLite, synchronous=FULL), each attempt before its call, the outcome"
        " before anyone sees it. Input validated, deadline, retries, circuit breaker, dead letters, repeats recognised by id, every run"
        " listed."
    ),
    "raw": "raw path: nothing is stored, validated or retried.",
    "dapr": "on Dapr: the bridge's promises as far as the sidecar's components keep theirs; the bare handler makes none.",
    "restate": (
        "Restate: one node; its log is synced to disk before a request is accepted. Retries; the result is kept"
        " under the caller's key for a day. The handler only makes the call, without a step of its own,"
        " which would cost more. The input is not validated."
    ),
    "nats": (
        "NATS JetStream: one node with sync_interval always: each write of a stream or bucket is synced before it is confirmed. A"
        " request is redelivered until its worker acknowledges it, which it does once the result is stored. Its input is not validated,"
        " retries have no schedule, a run has no history."
    ),
    "saq": f"saq: {_REDIS} The result is in the job's record for ten minutes.",
    "taskiq": f"taskiq: {_REDIS} The result is kept for ten minutes.",
    "dramatiq": f"dramatiq: {_REDIS} Acknowledged after the task, retries; the result is kept for ten minutes.",
    "celery": f"Celery: {_REDIS} Acknowledged after the task (acks_late); the result is kept for a day.",
}


def promise(name: str) -> str:
    """The promise of the row with this name."""
    return next(said for start, said in sorted(PROMISES.items(), reverse=True) if name.startswith(start))


def promises(rows: Sequence[Figures]) -> list[str]:
    """The promises of the rows that were measured, each once."""
    return list(dict.fromkeys(promise(row.name) for row in rows if row.rates))
