"""What the pipeline and the doors work with: the ports and the services on them, wired by `app.py`."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.calls import Calls
from bridge.deadletters import DeadLetters
from bridge.identity import Signer
from bridge.ports import Bus, Clock
from bridge.replies import Replies
from bridge.request import Rules
from bridge.results import Results
from bridge.settings import Settings


@dataclass(frozen=True)
class Parts:
    """One of each."""

    bus: Bus
    clock: Clock
    results: Results
    replies: Replies
    deadletters: DeadLetters
    calls: Calls
    rules: Rules
    signer: Signer
    settings: Settings

    @property
    def public_url(self) -> str:
        """Where functions reach the bridge; empty if it has no public address."""
        return self.settings.public_url or ""
