"""Dead letters: events that could not be handled. They are kept with the reason, listed, replayed and discarded.

`deadletter.py` is the record, `store.py` keeps and replays records, and `replay.py` decides what a replay publishes. `parked.py`,
`subqueue.py` and `brokerletters.py` do the same for messages in the broker's dead-letter queues. `everywhere.py` combines both into one
list.
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
