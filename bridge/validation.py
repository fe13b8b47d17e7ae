"""Validates inputs against the schemas of their automations, within limits of time and memory.

Schemas that are known to be fast, which are nearly all, are checked here. The others are checked by worker processes, which are killed if
they take too long. So no combination of schema and input can block the event loop or use up the memory of the bridge.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bridge.catalog import Automation
from bridge.cloudevents import Event
from bridge.errors import InvalidInput, TooComplex, Unavailable, Violation
from bridge.schemas import schemaworker
from bridge.schemas.inputschema import as_violation

SECONDS = 2.0  #: processor time that the judgement of one input may take
WORDS_SECONDS = 0.5  #: processor time that the search for words may take after it
CLOCK = 5.0  #: how many times as long either may take by the clock, on a machine that does other work
WAIT_SECONDS = 5.0  #: how long an input may wait for a process
START_SECONDS = 20.0  #: how long a process may take to start
WORKERS = 2  #: processes at the most
MOST = 20  #: violations that are told
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG")  #: all that a worker gets to see


class Validation:
    """Validates inputs. Its worker processes start when they are first needed, and end with `close`."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._free = asyncio.Semaphore(WORKERS)

    async def require_fit(self, automation: Automation, event: Event) -> None:
        """Raises InvalidInput if the event's data does not fit, TooComplex if checking takes too long, Unavailable."""
        schema, size = automation.schema, len(event.data_json)
        violations: list[Violation] | None = None
        if not schema.judges_at_once(size):
            violations = await self._judge(automation, event, wait=WAIT_SECONDS)
        elif schema.fits(event.data):
            violations = []
        elif schema.explains_at_once(size):
            violations = schema.violations(event.data, MOST)
        else:
            with contextlib.suppress(TooComplex, Unavailable):
                violations = await self._judge(automation, event, wait=WORDS_SECONDS)
        if violations == [] and automation.maps:
            violations = automation.unmappable(event.data)
        if violations is None or violations:
            raise _unfit(automation, violations or [])

    async def close(self) -> None:
        """End the worker processes."""
        for worker in self._idle:
            await worker.end()
        self._idle.clear()

    async def _judge(self, automation: Automation, event: Event, *, wait: float) -> list[Violation] | None:
        """The violations; none if the input fits, None if it does not and there was no time to find out why."""
        async with self._worker(wait) as worker:
            try:
                return await worker.judge(automation, event)
            except (TimeoutError, OSError, EOFError):
                raise TooComplex(
                    f"Whether this input fits the schema of {automation.name} cannot be found out within {SECONDS:g} s "
                    f"and {schemaworker.MEMORY >> 20} MiB of memory.",
                    hint="Send a smaller or less nested input. Its owner can simplify the schema: fewer recursive definitions.",
                ) from None

    @asynccontextmanager
    async def _worker(self, wait: float) -> AsyncIterator[_Worker]:
        try:
            async with asyncio.timeout(wait):
                await self._free.acquire()
        except TimeoutError:
            raise Unavailable("Too many inputs wait to be held against a schema.", retry_after=5) from None
        try:
            while self._idle and not self._idle[-1].is_alive:
                self._idle.pop()
            worker = self._idle.pop() if self._idle else await _Worker.start()
            try:
                yield worker
            finally:
                if worker.is_ready:
                    self._idle.append(worker)
                else:
                    await worker.end()
        finally:
            self._free.release()


class _Worker:
    """One worker process. It can take a question once it has answered all earlier ones."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        assert process.stdin is not None  # noqa: S101 - it was started with both
        assert process.stdout is not None  # noqa: S101
        self._questions, self._answers = process.stdin, process.stdout
        self._knows: set[str] = set()
        self._has_ended = self.is_ready = False

    @classmethod
    async def start(cls) -> _Worker:
        """Start a process. Raises Unavailable."""
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        command = (sys.executable, "-P", str(Path(schemaworker.__file__)))
        worker: _Worker | None = None
        try:
            worker = cls(
                await asyncio.create_subprocess_exec(
                    *command, stdin=pipe, stdout=pipe, stderr=nothing, env=environment, start_new_session=True
                )
            )
            async with asyncio.timeout(START_SECONDS):
                await worker._answer()
                worker.is_ready = True
        except (OSError, EOFError) as fault:
            raise Unavailable(f"The process that holds inputs against schemas does not start ({fault}).") from None
        finally:
            if worker is not None and not worker.is_ready:
                await worker.end()
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended, as far as is known."""
        return self._process.returncode is None

    async def judge(self, automation: Automation, event: Event) -> list[Violation] | None:
        """Like `Validation._judge`. Raises TimeoutError, or EOFError and OSError if the process ended."""
        self.is_ready = False
        schema = None if automation.name in self._knows else automation.schema.json
        question = msgspec.msgpack.encode([automation.name, schema, event.data_json, MOST, SECONDS, WORDS_SECONDS])
        async with asyncio.timeout(SECONDS * CLOCK):
            self._questions.write(len(question).to_bytes(4, "big") + question)
            await self._questions.drain()
            fits = (await self._answer())["fits"]
        self._knows.add(automation.name)
        found: list[Violation] | None = [] if fits else None
        with contextlib.suppress(TimeoutError, OSError, EOFError):
            async with asyncio.timeout(WORDS_SECONDS * CLOCK):
                while (told := await self._answer()) is not None:
                    found = [as_violation(each) for each in told]
                self.is_ready = True
        return found

    async def _answer(self) -> Any:
        try:
            head = await self._answers.readexactly(4)
            message = await self._answers.readexactly(int.from_bytes(head, "big"))
        except EOFError:
            self._has_ended = True
            raise
        return msgspec.msgpack.decode(message) if message else None

    async def end(self) -> None:
        """Kill the process."""
        if not self._has_ended:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()


def _unfit(automation: Automation, violations: list[Violation]) -> InvalidInput:
    what = violations[0]["detail"] if violations else f"where and why could not be found out within {WORDS_SECONDS:g} s"
    detail = f"The input does not fit the schema of {automation.name}: {what}."
    return InvalidInput(detail, hint=f"GET /v1/automations/{automation.name} shows the schema.", errors=violations)
