"""The canary requests automations regularly, like any requester, and reports whether they answer as expected."""

from __future__ import annotations

from bridge.canary.plan import CanaryCase, load
from bridge.canary.rounds import CanaryVerdict, rounds_of

__all__ = ["CanaryCase", "CanaryVerdict", "load", "rounds_of"]
