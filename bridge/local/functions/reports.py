"""Tells the bridge how the work goes that came as a message. A call needs none of this: its answer says everything."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.local.functions.bridgework import BridgeWork

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("bridge.functions")

_SECONDS = 10.0  #: that the bridge may take to accept a report


class Reports:
    """Posts to invocation URLs, without redirects or proxies: the token goes to the bridge and nowhere else."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        # It takes as long to import as the rest of the host, most hosts never report anything, and functions that run must not wait.
        library = await asyncio.to_thread(importlib.import_module, "aiohttp")
        if self._session is None:
            self._session = library.ClientSession(timeout=library.ClientTimeout(total=_SECONDS))
        return self._session

    async def accepted(self, work: BridgeWork, data: Mapping[str, Any]) -> bool:
        """Post the data of an `automation.result`; whether the bridge has accepted it."""
        _, trouble = await self._asked("POST", work, data)
        if trouble:
            log.warning("The bridge did not accept a report on %s: %s.", work.invocation_id[:130], trouble)
        return not trouble

    async def canceled(self, work: BridgeWork) -> bool:
        """Whether the bridge says that the work is canceled. A bridge that does not answer has not said so."""
        said, _ = await self._asked("GET", work)
        return isinstance(said, dict) and said.get("canceled") is True

    async def _asked(self, method: str, work: BridgeWork, data: Mapping[str, Any] | None = None) -> tuple[Any, str]:
        """What the bridge answered at the invocation URL, and the trouble if it did not accept."""
        session = self._session or await self._opened()
        headers = {"x-invocation-token": work.token}
        try:
            async with session.request(method, work.url, json=data, headers=headers, allow_redirects=False) as answer:
                if 200 <= answer.status < 300:
                    return (await answer.json() if method == "GET" else None), ""
                return None, f"it answered {answer.status}"
        except (importlib.import_module("aiohttp").ClientError, TimeoutError, OSError, ValueError) as fault:
            return None, str(fault) or type(fault).__name__


@dataclass(frozen=True, slots=True)
class BridgeLink:
    """What this host knows of the bridge that started it. Without a public URL nothing is work of the bridge."""

    public_url: str = ""
    log_name: str = "the log of the functions host"  #: where a person finds what this host logs
    reports: Reports = field(default_factory=Reports)


NO_BRIDGE = BridgeLink()  #: of a host that no bridge has started
