"""Decides when a run with several targets has succeeded: `all`, `any`, `quorum:N` or `best-effort`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether the run has succeeded, has failed, or is still open."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Rule:
    """How many of the targets must succeed, and whether the run waits for the others."""

    text: str
    needed: int
    waits_for_all: bool


def rule(text: str, targets: int) -> Rule:
    """Read `succeedsWhen` for an automation with `targets` targets.

    Raises ValueError for an unknown rule or a quorum out of reach.
    """
    quorum = re.fullmatch(r"quorum:([1-9][0-9]{0,5})", text)
    if text == "all":
        return Rule(text, targets, waits_for_all=True)
    if text == "best-effort":
        return Rule(text, 1, waits_for_all=True)
    if text == "any":
        return Rule(text, 1, waits_for_all=False)
    if quorum is None:
        raise ValueError(f"{text[:40]!r} is not a rule; use all, any, quorum:N or best-effort")
    needed = int(quorum[1])
    if needed > targets:
        raise ValueError(f"{text} can never be reached with {targets} target{'s' if targets > 1 else ''}")
    return Rule(text, needed, waits_for_all=False)


def verdict(rule: Rule, *, succeeded: int, outstanding: int) -> Verdict:
    """Decide from the number of invocations that succeeded and the number of those that have not ended."""
    if rule.waits_for_all and outstanding:
        return Verdict.OPEN
    if succeeded >= rule.needed:
        return Verdict.SUCCEEDED
    if succeeded + outstanding < rule.needed:
        return Verdict.FAILED
    return Verdict.OPEN
