"""The key for signing events that the bridge's API has validated. All replicas have the same key.

If the settings name a file, such as a mounted secret, the key is read from it. The bridge does not ask the sidecar for it, because whoever
may read one secret through the sidecar may read all function keys. Without a file, the first replica creates a key and keeps it in the
state store. Whoever can write to the store can change any run anyway. But someone who can only read it, and can publish, could forge signed
events. In that case use a file.
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
    """The key in the file. Raises ConfigurationError if the file cannot be read or the key is too short."""
    try:
        value = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError([f"signing_key_file {path}: cannot be read ({error.strerror})."]) from None
    if len(value) < SHORTEST:
        raise ConfigurationError([f"signing_key_file {path}: has {len(value)} characters, expected {SHORTEST} or more."])
    return value


async def from_state(store: Store) -> bytes:
    """The key in the store. The first replica that calls this creates it. Raises Unavailable."""
    made = secrets.token_hex(32).encode()
    try:
        stored = await update(store, KEY, lambda found: None if found else made)
    except Unavailable as error:
        raise Unavailable(f"The signing key could not be stored: {error}") from None
    return stored.value if stored else made
