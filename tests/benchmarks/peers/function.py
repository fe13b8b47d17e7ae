"""What a peer's task does: it gives its input back, or the bare HTTP function at BENCH_FUNCTION_URL does, the one behind the bridge.

A worker with an event loop calls it with aiohttp and one session; a worker with threads calls it with urllib3 and one pool a process.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import urllib3

URL = os.environ.get("BENCH_FUNCTION_URL", "")
HEADERS = {"content-type": "application/json"}
THREADS = 16  #: connections that a process with threads keeps: no peer here runs more tasks in one
LONGEST = 30.0  #: seconds one call may take


class Function:
    """Called from an event loop."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Function]:
        """A session with as many connections as there are calls at a time."""
        limits = {"connector": aiohttp.TCPConnector(limit=0), "timeout": aiohttp.ClientTimeout(total=LONGEST)}
        async with aiohttp.ClientSession(**limits) as session:
            yield cls(session)

    async def __call__(self, value: Any) -> Any:
        if not URL:
            return value
        async with self._session.post(URL, data=_bytes(value), headers=HEADERS) as answer:
            answer.raise_for_status()
            return json.loads(await answer.read())


def function(value: Any) -> Any:
    """Called from threads."""
    if not URL:
        return value
    answer = _pool().request("POST", URL, body=_bytes(value), headers=HEADERS, timeout=LONGEST, retries=False)
    if answer.status != 200:
        raise ValueError(f"the function answered {answer.status}")
    return answer.json()


@functools.cache
def _pool() -> urllib3.PoolManager:
    """Made at the first call, so that each process of a worker that forks has its own."""
    return urllib3.PoolManager(maxsize=THREADS)


def _bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
