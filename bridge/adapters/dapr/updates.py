"""Changes a key that other replicas may write too. After a failed write, the stored value decides whether it succeeded."""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import Conflict, Unavailable
from bridge.index.pagedlog import write
from bridge.ports import Store, Stored

ATTEMPTS = 50  #: more than the replicas that may want to change one key at a time


async def update(store: Store, key: str, change: Callable[[bytes | None], bytes | None]) -> Stored | None:
    """Store what `change` makes of the value, and return the value that is then stored.

    `change` receives None for a key that does not exist, and returns None if nothing has to be written. It is called again with the new
    value whenever another process wrote first. Raises Unavailable.
    """
    for _ in range(ATTEMPTS):
        found = await store.get(key)
        value = change(found.value if found else None)
        if value is None:
            return found
        try:
            return Stored(value, await write(store, key, value, found.etag if found else ""))
        except Conflict:
            continue
    raise Unavailable(f"The key {key!r} was changed by others {ATTEMPTS} times in a row.")
