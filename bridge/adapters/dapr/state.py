"""The store behind the sidecar: Dapr's state API, always with the concurrency mode first-write.

After a failed write the keys are read, and the stored value decides whether the write succeeded. This is necessary: a create that came too
late is an ordinary 500 on Redis, and one write of a bulk request may fail although the others succeeded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from pydantic_core import from_json, to_json

from bridge.adapters.dapr import statevalue
from bridge.adapters.dapr.batching import Batcher
from bridge.adapters.dapr.errors import SidecarError, state_error
from bridge.adapters.dapr.health import Part, SidecarHealth
from bridge.adapters.dapr.sidecar import Component, SidecarClient
from bridge.adapters.dapr.statevalue import StateItem, StateWrite, Version
from bridge.errors import Conflict, PortError, Unavailable
from bridge.ports import Stored

#: Types that count a key's versions 1, 2, 3: the version after a write is known without a look.
COUNTING = frozenset({"state.redis"})
_AT_ONCE = 64  #: keys the sidecar reads at a time for one request
_PROBE = "health"  #: the key that is read to see whether the store answers; nothing is ever stored there
_WRITE_PROBE = "health-write"  #: the key that is written to see whether a store that refused a write takes any


class DaprStore:
    """Implements `ports.Store` with one state component. Operations at the same time share requests.

    `health` is told of each failed read and write, and says whether the store may be called at the moment.
    """

    shared = True
    is_full = False

    def __init__(self, sidecar: SidecarClient, component: Component, health: SidecarHealth | None = None) -> None:
        self._sidecar, self._path, self._health = sidecar, f"state/{component.name}", health or SidecarHealth()
        self._counts = component.type in COUNTING
        self._writes: Batcher[StateWrite, Version] = Batcher(self._write, size=lambda each: each.size, name=lambda each: each.key)
        self._reads: Batcher[str, StateItem | None] = Batcher(self._read_each, size=len)

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key and return its etag. Raises Conflict if it exists, Unavailable if the outcome is unknown."""
        return (await self._writes.submit(StateWrite(key, value, statevalue.end_of(ttl, time.time()), None))).text

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag` and return the new etag. Raises Conflict (also if the key is gone) or Unavailable."""
        now, replaces = time.time(), Version.read(etag)
        # Redis takes any version for a key that is gone, so what can be told from the version alone is told here.
        if replaces is None or replaces.over(now):
            raise Conflict(f"The key {key!r} has no version {etag!r}, or it has ended.")
        return (await self._writes.submit(StateWrite(key, value, statevalue.end_of(ttl, now), replaces))).text

    async def get(self, key: str) -> Stored | None:
        """The value of the key, or None if it was never stored or has expired. Raises Unavailable."""
        return _stored(await self._reads.submit(key))

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`. Raises Unavailable."""
        distinct = {key: self._reads.submit(key) for key in dict.fromkeys(keys)}
        found = dict(zip(distinct, await asyncio.gather(*distinct.values()), strict=True))
        return [_stored(found[key]) for key in keys]

    async def probe(self) -> None:
        """Read a key that never exists, even if the store is known to be down. Raises Unavailable."""
        _all_read(await self._read_now([_PROBE]))

    async def probe_write(self) -> None:
        """Write a key that nobody reads and that expires within minutes. Raises Unavailable if the store refuses it."""
        write = {"key": _WRITE_PROBE, "value": "", "metadata": statevalue.metadata(0, 0, had_end=False)}
        answer = await self._sidecar.post(self._path, to_json([write]), content_type="application/json")
        if isinstance(answer, SidecarError):
            raise Unavailable(f"{answer}.")

    async def _write(self, writes: Sequence[StateWrite]) -> list[Version | PortError]:
        error = await self._send(writes)
        if error is None:
            return list(await self._written(writes))
        found = await self._read([each.key for each in writes])
        if len(writes) == 1:
            return [await self._after_error(writes[0], found[0], error, repeated=False)]
        # The answer does not say which of them failed: those that do not stand there are sent once more, each alone.
        return list(await asyncio.gather(*(self._again(write, each) for write, each in zip(writes, found, strict=True))))

    async def _again(self, write: StateWrite, found: StateItem | None) -> Version | PortError:
        if found is not None and found.was_made_by(write):
            return found.version
        return conflict(write, found, time.time()) or await self._alone(write)

    async def _alone(self, write: StateWrite) -> Version | PortError:
        try:
            error = await self._send([write])
            if error is None:
                return (await self._written([write]))[0]
            return await self._after_error(write, (await self._read([write.key]))[0], error, repeated=True)
        except PortError as port_error:
            return port_error

    async def _after_error(self, write: StateWrite, found: StateItem | None, error: SidecarError, *, repeated: bool) -> Version | PortError:
        """The outcome of a failed write, from what the store has. `repeated`: it was sent twice, so the first may have succeeded."""
        if repeated and found is not None and found.was_made_by(write):
            return found.version
        if write.replaces is None and found is not None and found.version.over(time.time()):
            return await self._alone(replace(write, replaces=found.version))
        explained = conflict(write, found, time.time())
        if explained is None:
            # Nothing that stands there forbids it. A Redis without room refuses, too, and Dapr calls that an ETag mismatch (409).
            self._health.suspect(Part.WRITES)
        return explained or state_error(error)

    async def _send(self, writes: Sequence[StateWrite]) -> SidecarError | None:
        now = time.time()
        body = to_json([each.request(now) for each in writes])
        async with self._health.store.required():
            answer = await self._sidecar.post(self._path, body, content_type="application/json")
        return answer if isinstance(answer, SidecarError) else None

    async def _written(self, writes: Sequence[StateWrite]) -> list[Version]:
        """The versions that these writes have created."""
        if self._counts:
            return [Version(str(int(each.replaces.etag) + 1 if each.replaces else 1), each.ends) for each in writes]
        found = await self._read([each.key for each in writes])
        # What somebody else has put there since has another version: whoever names this one gets a conflict, as it should be.
        return [
            each.version if each is not None and each.was_made_by(write) else Version("", 0)
            for write, each in zip(writes, found, strict=True)
        ]

    async def _read(self, keys: Sequence[str]) -> list[StateItem | None]:
        """The items of the keys. Raises Unavailable if one of them cannot be read."""
        return _all_read(await self._read_each(keys))

    async def _read_each(self, keys: Sequence[str]) -> list[StateItem | PortError | None]:
        async with self._health.store.required():
            return await self._read_now(keys)

    async def _read_now(self, keys: Sequence[str]) -> list[StateItem | PortError | None]:
        names = [statevalue.name(key) for key in keys]
        body = to_json({"keys": list(dict.fromkeys(names)), "parallelism": _AT_ONCE})
        answer = await self._sidecar.post(f"{self._path}/bulk", body, content_type="application/json")
        if isinstance(answer, SidecarError):
            self._health.suspect(Part.READS)
            raise Unavailable(f"{answer}.")
        items = {item["key"]: item for item in from_json(answer)}
        found = [StateItem.read(key, items.get(name, {})) for key, name in zip(keys, names, strict=True)]
        if any(each.get("error") for each in items.values()):  # the request succeeds although keys could not be read
            self._health.suspect(Part.READS)
        return found


def _all_read(items: Sequence[StateItem | PortError | None]) -> list[StateItem | None]:
    """Raises the error of the first key that could not be read."""
    found: list[StateItem | None] = []
    for each in items:
        if isinstance(each, PortError):
            raise each
        found.append(each)
    return found


def _stored(found: StateItem | None) -> Stored | None:
    return None if found is None or found.version.over(time.time()) else Stored(found.value, found.version.text)


def conflict(write: StateWrite, found: StateItem | None, now: float) -> Conflict | None:
    """The conflict, if the stored item (or that there is none) means that the write can never succeed."""
    allowed = found is None or found.version.over(now)
    if write.replaces is not None:
        allowed = found is not None and found.version == write.replaces
    return None if allowed else Conflict(f"The key {write.key!r} exists already, has changed or is gone.")
