"""Functions that answer as the test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from bridge.errors import CallFailed
from bridge.ports import FunctionCall, FunctionResponse

Scripted = FunctionResponse | CallFailed | Callable[[FunctionCall], Awaitable[FunctionResponse]]
"""The script of one call: return a response, raise the error, or do what the callable does."""


@dataclass
class ScriptedFunctions:
    """Implements `ports.Functions`. Each call gets the next answer of its path, and the last one for ever. `calls` has all calls."""

    answers: dict[str, list[Scripted]] = field(default_factory=dict)
    calls: list[FunctionCall] = field(default_factory=list)
    loading: set[str] = field(default_factory=set)  #: apps that are being started
    nobody_at: dict[tuple[str, str, str], str] = field(default_factory=dict)  #: why nobody answers, by app, method and path

    def starting(self, app: str) -> bool:
        """Whether `loading` names the app."""
        return app in self.loading

    def unserved(self, app: str, method: str, path: str) -> str:
        """What `nobody_at` has for the path."""
        return self.nobody_at.get((app, method, path), "")

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Return the next answer of the path. Raises CallFailed if that is scripted, or if the path has no answers."""
        self.calls.append(call)
        script = self.answers.get(call.path)
        if not script:
            raise CallFailed("UnknownApp", f"No answer is scripted for {call.path}.", may_have_run=False)
        scripted = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(scripted, CallFailed):
            raise scripted
        return scripted if isinstance(scripted, FunctionResponse) else await scripted(call)


def json_answer(value: Any, status: int = 200) -> FunctionResponse:
    """A response with a JSON body."""
    return FunctionResponse(status, {"content-type": "application/json"}, to_json(value))
