"""A test kit with ports in memory and a clock that the test moves, for tests of the bridge and of programs that build on it.

clock = FakeClock()
bus, store = MemoryBus(clock), MemoryStore(clock)
await bus.subscribe("automation-requests/bridge", handler, concurrency=1)
await bus.publish([Message("automation-requests", body)])
await bus.deliver()
"""

from __future__ import annotations

from bridge.testing.bus import MemoryBus
from bridge.testing.clock import NOON, FakeClock
from bridge.testing.functions import Scripted, ScriptedFunctions, json_answer
from bridge.testing.runtime import MemoryOutbox, MemoryRuntime
from bridge.testing.store import MemoryStore

__all__ = [
    "NOON",
    "FakeClock",
    "MemoryBus",
    "MemoryOutbox",
    "MemoryRuntime",
    "MemoryStore",
    "Scripted",
    "ScriptedFunctions",
    "json_answer",
]
