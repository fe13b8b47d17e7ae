"""Dead letters: events that led nowhere, kept with the reason, listed, replayed and discarded.

`deadletter.py` is the record, `store.py` keeps and replays records, `replay.py` says what a replay publishes. `parked.py`, `subqueue.py`
and `brokerletters.py` do the same with what is in the broker's dead-letter sub-queues; `everywhere.py` is the one list of both.
"""

from __future__ import annotations

from bridge.deadletters.brokerletters import BrokerDeadLetters
from bridge.deadletters.deadletter import DeadLetter, Replay
from bridge.deadletters.everywhere import AllDeadLetters
from bridge.deadletters.filter import DeadLetterFilter
from bridge.deadletters.replay import ReplayRequest
from bridge.deadletters.store import DeadLetters, DeadLetterSettings, ReplayResult, broker_reason

__all__ = [
    "AllDeadLetters",
    "BrokerDeadLetters",
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterSettings",
    "DeadLetters",
    "Replay",
    "ReplayRequest",
    "ReplayResult",
    "broker_reason",
]
