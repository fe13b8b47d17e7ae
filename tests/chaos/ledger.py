"""What was seen from outside while the bridge was killed: by clients, by functions, by whoever reads the replies."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

FINAL = frozenset(("Succeeded", "Failed", "Canceled", "TimedOut"))
#: What stands somewhere in an event that can only become a dead letter, so that the letter can be told.
MARK = re.compile(r"bad-[0-9]+-[0-9]+")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, with the outcomes of the attempts at each target."""

    status: str
    attempts: dict[str, tuple[str, ...]]


@dataclass
class Ledger:
    """Everything is by correlation id, effects by invocation id."""

    accepted: dict[str, str] = field(default_factory=dict)  #: the way it came: "http" (202 or 200) or "topic" (the queue's ack)
    endings: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  #: every "status, created" seen anywhere
    runs: dict[str, Ended] = field(default_factory=dict)
    replies: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  #: reply id and how often it came
    effects: Counter[str] = field(default_factory=Counter)
    given: set[tuple[str, str]] = field(default_factory=set)  #: messages that functions behind topics were given, with their invocations
    redelivered: int = 0  #: work that the bus gave a program again, because its acknowledgement was lost
    refused: Counter[str] = field(default_factory=Counter)  #: by problem code
    marks: dict[str, str] = field(default_factory=dict)  #: accepted events that lead nowhere, with the reason they should be given
    letters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  #: by mark: the reasons on the dead letters
    letter_count: Counter[str] = field(default_factory=Counter)  #: by reason
    surprises: list[str] = field(default_factory=list)  #: answers that nobody should have got

    def saw(self, run: dict[str, Any]) -> bool:
        """Take note of a run that somebody was shown; whether it has ended."""
        if run["status"] not in FINAL:
            return False
        self.endings[run["correlationId"]].add(f"{run['status']}, created {run['createdAt']}")
        self.runs[run["correlationId"]] = Ended(
            run["status"], {part["target"]: tuple(attempt["outcome"] for attempt in part["attempts"]) for part in run["invocations"]}
        )
        return True

    def worked(self, invocation: str, number: str) -> None:
        """Take note of a message that a function behind a topic was given; `number` tells the messages of an invocation apart."""
        if (invocation, number) in self.given:
            self.redelivered += 1
        else:
            self.given.add((invocation, number))
            self.effects[invocation] += 1

    def replied(self, reply: dict[str, Any]) -> None:
        """Take note of a reply."""
        run = reply["data"]
        self.replies[reply["correlationid"]][reply["id"]] += 1
        self.endings[reply["correlationid"]].add(f"{run['status']}, created {run['createdAt']}")

    def kept(self, letter: dict[str, Any]) -> None:
        """Take note of a dead letter."""
        self.letter_count[letter["reason"]] += 1
        for mark in MARK.findall(str(letter)):
            self.letters[mark].add(letter["reason"])
