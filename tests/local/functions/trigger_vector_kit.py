"""One functions host with the apps of recorded vectors of the Service Bus trigger, and what is seen of each vector."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .host_process import end_process, start_process, wait_for_apps
from .trigger_vector_broker import DEAD_LETTERS, VectorNamespace
from .trigger_vector_plan import PlannedVector, entities, write_apps

Json = dict[str, Any]

_ENDED = re.compile(r"bridge\.functions: \S+: (\S+) took .* and (succeeded|failed)")


@dataclass
class VectorHost:
    """The host with its namespace, and what is seen of each vector."""

    folder: Path
    namespace: VectorNamespace
    _log: list[str] = field(default_factory=list)
    _read: int = 0

    async def send(self, plan: PlannedVector) -> None:
        await self.namespace.send(plan.base, plan.vector["messages"])

    async def seen(self, plan: PlannedVector) -> Json:
        """What is seen of a vector up to now, in its form."""
        broker = self.namespace.broker
        sent = {name: broker.sent[name.lower()] for name in plan.outputs if name != plan.dumps}
        seen: Json = {
            "results": self._results(plan.function),
            "settlement": await self._settlement(plan),
            "outputs": {plan.outputs[name]: messages for name, messages in sent.items() if messages},
        }
        if "requests" in plan.vector["expect"]:
            seen["requests"] = self._requests(plan)
        if plan.dumps:
            seen["dumps"] = [json.loads(b64decode(each["body"]["text"])) for each in broker.sent[plan.dumps.lower()]]
        shown: Json = plan.seen(seen)
        return shown

    def refuses(self, plan: PlannedVector) -> bool:
        """Whether the host has said at its start that the function cannot be loaded, and what Azure would do with its messages."""
        lines = self._lines()
        said = (f"{plan.function} cannot be loaded", f"{plan.function}: in Azure its listener starts all the same")
        return all(any(text in line for line in lines) for text in said)

    def _results(self, function: str) -> list[str]:
        ended = (_ENDED.search(line) for line in self._lines())
        return [found[2].capitalize() for found in ended if found is not None and found[1] == function]

    def _lines(self) -> list[str]:
        text = (self.folder / "host.log").read_text(errors="replace")
        complete = text[: text.rfind("\n") + 1]
        self._log += complete[self._read :].splitlines()
        self._read = len(complete)
        return self._log

    def _requests(self, plan: PlannedVector) -> list[Json]:
        file = self.folder / f"{plan.app}.asked"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [asked for line in lines if line.endswith("\n") and (asked := json.loads(line))["path"] == f"/{plan.function}"]

    async def _settlement(self, plan: PlannedVector) -> Any:
        events = [event for name in plan.receives for event in await self._events(plan, name)]
        expected = plan.vector["expect"]["settlement"]
        if isinstance(expected, dict):
            outcomes = Counter(str(each.get("outcome") or each["event"]) for each in events)
            dead = [each["reason"] for each in events if each["event"] == "deadletter"]
            counts = {"completed": outcomes["accepted"], "abandoned": outcomes["modified"], "deadLettered": len(dead)}
            return {**{name: count for name, count in counts.items() if count}, **({"reason": dead[0]} if dead else {})}
        if not any("entity" in each for each in expected):
            events = [{name: value for name, value in each.items() if name != "entity"} for each in events]
        return events

    async def _events(self, plan: PlannedVector, name: str) -> list[Json]:
        if name.lower().endswith(DEAD_LETTERS):
            return list(self.namespace.broker.events[name.lower()])
        return [] if plan.base.lower() not in name.lower() else await self.namespace.broker.events_of(name)


@asynccontextmanager
async def running(folder: Path, plans: Sequence[PlannedVector]) -> AsyncIterator[VectorHost]:
    """One host with the apps of these vectors."""
    (folder / "data").mkdir()
    outputs = [name for plan in plans for name in plan.outputs]
    async with VectorNamespace(folder / "data", entities(plans), outputs) as namespace:
        write_apps(folder, plans, namespace.connection_string)
        (folder / "host.json").write_text('{"version": "2.0"}')
        process = start_process(folder)
        try:
            await asyncio.to_thread(wait_for_apps, folder, len({plan.app for plan in plans}))
            yield VectorHost(folder, namespace)
        finally:
            await asyncio.to_thread(end_process, process)
