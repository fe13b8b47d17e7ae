"""The key by which events that the doors have checked are told from others: one for all replicas.

From a secret store if one is named. Otherwise the first replica makes one and keeps it in the state store: who can write there can change
any run anyway, but who can read there and publish could pass for a door. Name a secret where readers are not trusted with that.
"""

from __future__ import annotations

import secrets

from bridge.adapters.dapr.sidecar import Sidecar
from bridge.errors import ConfigurationError, PortError, Unavailable
from bridge.ports import Store

KEY = "signing-key"
SHORTEST = 32  #: characters of a secret


async def from_secret(sidecar: Sidecar, store: str, name: str) -> bytes:
    """The secret of that name. Raises ConfigurationError if it is too short or has several values, Unavailable if it cannot be read."""
    values = await sidecar.secret(store, name)
    value = values.get(name) or (next(iter(values.values())) if len(values) == 1 else "")
    if len(value) < SHORTEST:
        raise ConfigurationError([f"signing_secret {name}: expected one value of {SHORTEST} characters or more."])
    return value.encode()


async def from_state(store: Store) -> bytes:
    """The key in the store; made at the first call of all replicas. Raises Unavailable."""
    found = await store.get(KEY)
    if found is None:
        try:
            await store.create(KEY, secrets.token_hex(32).encode())
        except PortError as fault:
            found = await store.get(KEY)  # another replica was first, or the outcome is not known: what stands there decides
            if found is None:
                raise Unavailable(f"The signing key could not be stored: {fault}") from None
        else:
            found = await store.get(KEY)
    if found is None:
        raise Unavailable("The signing key is gone from the state store.")
    return bytes.fromhex(found.value.decode())
