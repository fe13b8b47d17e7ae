"""Which part is away: what was last heard of the sidecar, of the store and of the bus behind it.

Traffic tells of itself. What is idle is asked, and a bus that refused is tried again: a bridge that is not ready may get no more requests
that would show it is well again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from bridge.adapters.dapr.faults import Refused, of_publish, of_state
from bridge.adapters.dapr.sidecar import Sidecar
from bridge.errors import ConfigurationError, PortError, Unavailable

IDLE = 5.0  #: seconds between two looks while all is well
AWAY = 1.0  #: seconds between two looks while something is away
SLOW = 5.0  #: seconds after which a store that has not answered is away: the sidecar itself would wait longer
KEY = "health"  #: the key that is read; nothing is ever stored there
_NO_ANSWER = "gives no answer"
_log = logging.getLogger("bridge.dapr")
_PARTS = {"state": "store", "publish": "bus"}


class Health:
    """What is wrong with each part, empty if nothing. Where the sidecar is away, nothing is said of what is behind it."""

    def __init__(self) -> None:
        self._wrong = {"sidecar": "", "store": "", "bus": "", "subscriptions": ""}
        self._missing = ""  # at the last look

    def trouble(self) -> Mapping[str, str]:
        """By part: `sidecar`, `store`, `bus`, `subscriptions`."""
        return {**dict.fromkeys(self._wrong, ""), "sidecar": self._wrong["sidecar"]} if self._wrong["sidecar"] else dict(self._wrong)

    def heard(self, kind: str, answer: bytes | Refused | None) -> None:
        """Take note of what a request to the sidecar came to; `kind` is the first word of its path."""
        if answer is None:
            self._wrong["sidecar"] = _NO_ANSWER
        elif kind == "healthz":
            self._wrong["sidecar"] = str(answer) if isinstance(answer, Refused) else ""
        elif kind in _PARTS:
            self._wrong[_PARTS[kind]] = _wrong(kind, answer)

    def of_store(self, trouble: str) -> None:
        """Take note of what reading keys came to, empty if they could be read: the request for many succeeds although none could be."""
        self._wrong["store"] = trouble

    def look(self, missing: str) -> None:
        """Take note of which subscriptions are missing, if two looks say the same: a sidecar that starts has not all of them yet."""
        wrong = missing if missing == self._missing else ""
        if wrong and wrong != self._wrong["subscriptions"]:
            _log.error("subscriptions: %s", wrong)
        self._wrong["subscriptions"], self._missing = wrong, missing

    async def watch(
        self,
        sidecar: Sidecar,
        read: Callable[[str], Awaitable[object]],
        publish: Callable[[], Awaitable[None]],
        missing: Callable[[], Awaitable[str]],
    ) -> None:
        """Look again and again, until cancelled. `publish` sends something that changes nothing."""
        while True:
            await asyncio.sleep(AWAY if any(self._wrong.values()) or self._missing else IDLE)
            if await sidecar.trouble():
                continue
            with suppress(PortError, ConfigurationError):
                self.look(await missing())
            with suppress(PortError):
                await self._read(read)
            if self._wrong["bus"]:
                with suppress(PortError):
                    await publish()

    async def _read(self, read: Callable[[str], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(SLOW):
                await read(KEY)
        except TimeoutError:
            self.of_store(f"{_NO_ANSWER} within {SLOW:g} s")


def _wrong(kind: str, answer: bytes | Refused) -> str:
    """What an answer says of the part, empty if it is well: a conflict or a message that is too large is no trouble of the part."""
    if isinstance(answer, bytes):
        return ""
    meant = of_publish(answer) if kind == "publish" else of_state(answer)
    return str(answer) if isinstance(meant, Unavailable) else ""
