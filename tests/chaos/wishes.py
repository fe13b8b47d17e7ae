"""What clients ask for: every kind of run there is, most often the plain one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReplayRequest:
    """An automation of tests/acceptance/automations.yaml and its input; `fits`: nothing is wrong with it."""

    automation: str
    input: Any
    weight: int
    fits: bool = True


WISHES = (
    ReplayRequest("echo", {"text": "x", "number": 2**60, "password": "hidden"}, 40),
    ReplayRequest("fan.all", {"right": "works"}, 6),
    ReplayRequest("fan.all", {"right": "fails"}, 2),
    ReplayRequest("fan.any", {"seconds": 0.3}, 4),
    ReplayRequest("fan.best-effort", {"right": "fails"}, 4),
    ReplayRequest("brisk", {"n": 1}, 4),
    ReplayRequest("slow", {"seconds": 0.2}, 2),
    ReplayRequest("act", {"act": "broken-once"}, 3),
    ReplayRequest("act", {"act": "broken"}, 1),
    ReplayRequest("act", {"act": "busy-once"}, 1),
    ReplayRequest("act", {"act": "hangs-up"}, 1),
    ReplayRequest("act", {"act": "refuses"}, 2),
    ReplayRequest("act", {"act": "accepted"}, 1),
    ReplayRequest("topic.work", {"do": "succeed"}, 8),
    ReplayRequest("topic.work", {"do": "retry"}, 3),
    ReplayRequest("topic.work", {"do": "fail"}, 1),
    ReplayRequest("topic.work", {"do": "throw"}, 1),
    ReplayRequest("topic.work", {"do": "progress"}, 2),
    ReplayRequest("topic.work", {"do": "twice"}, 2),
    ReplayRequest("topic.work", {"do": "forge"}, 1),
    ReplayRequest("topic.two", {"do": "succeed"}, 4),
    ReplayRequest("topic.unheard", {}, 1),
    ReplayRequest("echo", {"text": 7}, 2, fits=False),
    ReplayRequest("act", {}, 1, fits=False),
    ReplayRequest("no.such", {}, 1, fits=False),
)
#: Only where a functions host runs the C# function that tests/chaos/csharp.yaml names.
CSHARP = ReplayRequest("topic.settled", {"do": "succeed"}, 8)


def draw(chance: random.Random, wishes: Sequence[ReplayRequest]) -> ReplayRequest:
    """One of them."""
    return chance.choices(wishes, [wish.weight for wish in wishes])[0]
