"""The part of the scripted app that answers 202 and goes on working: Durable Functions as recorded, and the pattern with `Location`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

WEBHOOKS = "/runtime/webhooks/durabletask/instances"
CODE = "code-of-the-durable-extension=="


@dataclass
class Work:
    """One piece of work: how often its status is polled before it has ended, and how it ends."""

    looks: int
    ends: str
    input: Any
    terminated: bool = False


@dataclass
class Accepting:
    """All work that was begun, by its id, and the requests for its status."""

    work: dict[str, Work] = field(default_factory=dict)
    polls: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def begin(self, kind: str, body: Mapping[str, Any] | None, own: str) -> web.Response:
        """The 202. `own` is the app's origin; the input may name another one for the addresses."""
        asked = body or {}
        number = f"id {len(self.work)}"
        self.work[number] = Work(asked.get("looks", 0), asked.get("ends", "Completed"), asked)
        origin = asked.get("host", own)
        if kind == "location":
            return web.Response(status=202, headers={"Location": f"{origin}/api/status/{number}", "Retry-After": "1"})
        instance, query = f"{origin}{WEBHOOKS}/{number}", f"taskHub=H&connection=Storage&code={CODE}"
        links = {
            "id": number,
            "statusQueryGetUri": f"{instance}?{query}",
            "terminatePostUri": f"{instance}/terminate?reason={{text}}&{query}",
            "purgeHistoryDeleteUri": f"{instance}?{query}",
        }
        return web.json_response(links, status=202, headers={"Location": links["statusQueryGetUri"], "Retry-After": "1"})

    async def status(self, request: web.Request) -> web.Response:
        """The answer of a status address, or of the one that terminates."""
        self.polls.append((request.path_qs, {name.lower(): value for name, value in request.headers.items()}))
        durable = request.path.startswith(WEBHOOKS)
        number, _, command = request.path.rpartition("/instances/" if durable else "/status/")[2].partition("/")
        if durable and request.query.get("code") != CODE:
            return web.Response(status=401)
        work = self.work[number]
        if command == "terminate":
            work.terminated = True
            return web.Response(status=202)
        work.looks -= 1
        return self._durable(work) if durable else self._location(work)

    def _durable(self, work: Work) -> web.Response:
        if work.terminated:
            return web.json_response({"runtimeStatus": "Terminated", "output": "Canceled"})
        if work.looks >= 0:
            return web.json_response({"runtimeStatus": "Running", "output": None}, status=202, headers={"Retry-After": "1"})
        output = {"Failed": "Orchestrator function failed: boom"}.get(work.ends, work.input)
        return web.json_response({"runtimeStatus": work.ends, "output": output})

    def _location(self, work: Work) -> web.Response:
        if work.looks >= 0:
            return web.Response(status=202, headers={"Retry-After": "1"})
        if work.ends == "loop":
            return web.Response(status=302, headers={"Location": "?again"})
        if work.ends == "redirect":
            work.ends = "Completed"
            return web.Response(
                status=303, headers={"Location": "/api/status/" + next(each for each, known in self.work.items() if known is work)}
            )
        return web.json_response(work.input)
