"""What the ways to ask a sidecar read and write: the same keys and the same 2 kB, whichever way it is."""

from __future__ import annotations

import json

KEYS = 500  #: that are written in turn, so that no two writes of a key meet
MANY = 10  #: keys of one bulk read
BODY = json.dumps({"text": "automation " * 180}, separators=(",", ":")).encode()


def key(of: str, number: int) -> str:
    """The key whose turn it is."""
    return f"{of}-{number % KEYS}"


def keys(of: str, number: int) -> list[str]:
    """Those of a bulk read."""
    return [key(of, number + each) for each in range(MANY)]
