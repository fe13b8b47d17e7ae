"""The key that signs events which the bridge's API has checked; all replicas have the same one.

It comes from a file if the settings name one, such as a mounted secret. The sidecar is not asked for it, because whoever may read one
secret there may read all function keys. Otherwise the first replica makes a key and keeps it in the state store. Whoever can write there
can change any run anyway; whoever can only read there, and publish, could forge signed events. Name a file where somebody can.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from bridge.adapters.dapr.updates import update
from bridge.errors import ConfigurationError, Unavailable
from bridge.ports import Store

KEY = "signing-key"
SHORTEST = 32  #: characters of a key that is given


def from_file(path: Path) -> bytes:
    """What the file holds. Raises ConfigurationError if it cannot be read or is too short."""
    try:
        value = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError([f"signing_key_file {path}: cannot be read ({error.strerror})."]) from None
    if len(value) < SHORTEST:
        raise ConfigurationError([f"signing_key_file {path}: has {len(value)} characters, expected {SHORTEST} or more."])
    return value


async def from_state(store: Store) -> bytes:
    """The key in the store; the first call of all replicas makes it. Raises Unavailable."""
    made = secrets.token_hex(32).encode()
    try:
        stored = await update(store, KEY, lambda found: None if found else made)
    except Unavailable as error:
        raise Unavailable(f"The signing key could not be stored: {error}") from None
    return stored.value if stored else made
