"""The key by which events that the doors have checked are told from others: one for all replicas.

From a file if one is named, such as a mounted secret. The sidecar is not asked for it: who may read one secret there may read all function
keys. Otherwise the first replica makes one and keeps it in the state store. Who can write there can change any run anyway; who can only
read there, and publish, could pass for a door. Name a file where somebody can.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from bridge.errors import ConfigurationError, PortError, Unavailable
from bridge.ports import Store

KEY = "signing-key"
SHORTEST = 32  #: characters of a key that is given


def from_file(path: Path) -> bytes:
    """What the file holds. Raises ConfigurationError if it cannot be read or is too short."""
    try:
        value = path.read_bytes().strip()
    except OSError as fault:
        raise ConfigurationError([f"signing_key_file {path}: cannot be read ({fault.strerror})."]) from None
    if len(value) < SHORTEST:
        raise ConfigurationError([f"signing_key_file {path}: has {len(value)} characters, expected {SHORTEST} or more."])
    return value


async def from_state(store: Store) -> bytes:
    """The key in the store; made at the first call of all replicas. Raises Unavailable."""
    found = await store.get(KEY)
    if found is None:
        made = secrets.token_hex(32).encode()
        try:
            await store.create(KEY, made)
        except PortError as fault:
            # Another replica was first, or the outcome is not known: what stands there decides.
            found = await store.get(KEY)
            if found is None:
                raise Unavailable(f"The signing key could not be stored: {fault}") from None
    return found.value if found else made
