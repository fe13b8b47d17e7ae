"""The store behind the sidecar: Dapr's state API, with first writes only.

After a refusal the keys are read and what stands there decides. It must be so: a lost create is an ordinary 500 on Redis, and of a request
with many keys one may be refused although the others were written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from bridge.adapters.dapr import values
from bridge.adapters.dapr.faults import Refused, of_state
from bridge.adapters.dapr.firstwrite import Found, Write, conflict
from bridge.adapters.dapr.gathering import Gathering
from bridge.adapters.dapr.sidecar import Component, Sidecar
from bridge.adapters.dapr.values import Version
from bridge.errors import Conflict, PortError, Unavailable
from bridge.ports import Stored

#: Types that count a key's versions 1, 2, 3: the version after a write is known without a look.
COUNTING = frozenset({"state.redis"})
_AT_ONCE = 64  #: keys the sidecar reads at a time for one request


class State:
    """Implements `ports.Store` over one state component. What many ask at a time shares requests.

    `heard` is told of each reading what was wrong with it, empty if nothing was.
    """

    shared = True
    is_full = False

    def __init__(self, sidecar: Sidecar, component: Component, heard: Callable[[str], None] = lambda _trouble: None) -> None:
        self._sidecar, self._path, self._heard = sidecar, f"state/{component.name}", heard
        self._counts = component.type in COUNTING
        self._writes: Gathering[Write, Version] = Gathering(self._write, size=lambda each: each.size, name=lambda each: each.key)
        self._reads: Gathering[str, Found | None] = Gathering(self._read_each, size=len)

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key and return its etag. Raises Conflict if it exists, Unavailable if the outcome is not known."""
        return (await self._writes.ask(Write(key, value, values.end_of(ttl, time.time()), None))).text

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag` and return the new etag. Raises Conflict (also if the key is gone) or Unavailable."""
        now, replaces = time.time(), Version.read(etag)
        # Redis takes any version for a key that is gone, so what can be told from the version alone is told here.
        if replaces is None or replaces.over(now):
            raise Conflict(f"The key {key!r} has no version {etag!r}, or it has ended.")
        return (await self._writes.ask(Write(key, value, values.end_of(ttl, now), replaces))).text

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None if it was never stored or its time to live is over. Raises Unavailable."""
        return _stored(await self._reads.ask(key))

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`. Raises Unavailable."""
        distinct = {key: self._reads.ask(key) for key in dict.fromkeys(keys)}
        found = dict(zip(distinct, await asyncio.gather(*distinct.values()), strict=True))
        return [_stored(found[key]) for key in keys]

    async def _write(self, writes: Sequence[Write]) -> list[Version | PortError]:
        refused = await self._send(writes)
        if refused is None:
            return list(await self._written(writes))
        found = await self._read([each.key for each in writes])
        if len(writes) == 1:
            return [await self._after_refusal(writes[0], found[0], refused, repeated=False)]
        # Which of them were refused is not told: those that do not stand there are sent once more, each alone.
        return list(await asyncio.gather(*(self._again(write, each) for write, each in zip(writes, found, strict=True))))

    async def _again(self, write: Write, found: Found | None) -> Version | PortError:
        if found is not None and found.is_of(write):
            return found.version
        return conflict(write, found, time.time()) or await self._alone(write)

    async def _alone(self, write: Write) -> Version | PortError:
        try:
            refused = await self._send([write])
            if refused is None:
                return (await self._written([write]))[0]
            return await self._after_refusal(write, (await self._read([write.key]))[0], refused, repeated=True)
        except PortError as fault:
            return fault

    async def _after_refusal(self, write: Write, found: Found | None, refused: Refused, *, repeated: bool) -> Version | PortError:
        """What a refused write has come to. `repeated`: it was sent before, so what stands there may be its own."""
        if repeated and found is not None and found.is_of(write):
            return found.version
        if write.replaces is None and found is not None and found.version.over(time.time()):
            return await self._alone(replace(write, replaces=found.version))
        return conflict(write, found, time.time()) or of_state(refused)

    async def _send(self, writes: Sequence[Write]) -> Refused | None:
        now = time.time()
        body = values.dump([each.request(now) for each in writes])
        answer = await self._sidecar.post(self._path, body, content_type="application/json")
        return answer if isinstance(answer, Refused) else None

    async def _written(self, writes: Sequence[Write]) -> list[Version]:
        """The versions that the writes have made."""
        if self._counts:
            return [Version(str(int(each.replaces.etag) + 1 if each.replaces else 1), each.ends) for each in writes]
        found = await self._read([each.key for each in writes])
        # What somebody else has put there since has another version: whoever names this one gets a conflict, as it should be.
        return [
            each.version if each is not None and each.is_of(write) else Version("", 0) for write, each in zip(writes, found, strict=True)
        ]

    async def _read(self, keys: Sequence[str]) -> list[Found | None]:
        """Raises Unavailable if one of them cannot be read."""
        found: list[Found | None] = []
        for each in await self._read_each(keys):
            if isinstance(each, PortError):
                raise each
            found.append(each)
        return found

    async def _read_each(self, keys: Sequence[str]) -> list[Found | PortError | None]:
        names = [values.name(key) for key in keys]
        body = values.dump({"keys": list(dict.fromkeys(names)), "parallelism": _AT_ONCE})
        answer = await self._sidecar.post(f"{self._path}/bulk", body, content_type="application/json")
        if isinstance(answer, Refused):
            raise Unavailable(f"{answer}.")
        items = {item["key"]: item for item in values.load(answer)}
        found = [Found.read(key, items.get(name, {})) for key, name in zip(keys, names, strict=True)]
        self._heard(next((str(each["error"]) for each in items.values() if each.get("error")), ""))
        return found


def _stored(found: Found | None) -> Stored | None:
    return None if found is None or found.version.over(time.time()) else Stored(found.value, found.version.text)
