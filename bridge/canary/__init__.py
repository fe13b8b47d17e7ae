"""The canary: asks for automations again and again, as a requester does, and says whether what came back is what was expected."""

from __future__ import annotations

from bridge.canary.plan import CanaryCase, load
from bridge.canary.rounds import CanaryVerdict, rounds_of

__all__ = ["CanaryCase", "CanaryVerdict", "load", "rounds_of"]
