"""What clients ask for: every kind of run there is, most often the plain one."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wish:
    """An automation of tests/acceptance/automations.yaml and its input; `fits`: nothing is wrong with it."""

    automation: str
    input: Any
    weight: int
    fits: bool = True


WISHES = (
    Wish("echo", {"text": "x", "number": 2**60, "password": "hidden"}, 40),
    Wish("fan.all", {"right": "works"}, 6),
    Wish("fan.all", {"right": "fails"}, 2),
    Wish("fan.any", {"seconds": 0.3}, 4),
    Wish("fan.best-effort", {"right": "fails"}, 4),
    Wish("brisk", {"n": 1}, 4),
    Wish("slow", {"seconds": 0.2}, 2),
    Wish("act", {"act": "broken-once"}, 3),
    Wish("act", {"act": "broken"}, 1),
    Wish("act", {"act": "busy-once"}, 1),
    Wish("act", {"act": "hangs-up"}, 1),
    Wish("act", {"act": "refuses"}, 2),
    Wish("act", {"act": "accepted"}, 1),
    Wish("topic.work", {"do": "succeed"}, 8),
    Wish("topic.work", {"do": "retry"}, 3),
    Wish("topic.work", {"do": "fail"}, 1),
    Wish("topic.work", {"do": "throw"}, 1),
    Wish("topic.work", {"do": "progress"}, 2),
    Wish("topic.work", {"do": "twice"}, 2),
    Wish("topic.work", {"do": "forge"}, 1),
    Wish("topic.two", {"do": "succeed"}, 4),
    Wish("topic.unheard", {}, 1),
    Wish("echo", {"text": 7}, 2, fits=False),
    Wish("act", {}, 1, fits=False),
    Wish("no.such", {}, 1, fits=False),
)
_WEIGHTS = [wish.weight for wish in WISHES]


def draw(chance: random.Random) -> Wish:
    """One of them."""
    return chance.choices(WISHES, _WEIGHTS)[0]
