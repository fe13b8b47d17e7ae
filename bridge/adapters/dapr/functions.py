"""Calls functions through the sidecar, by the name of an HTTPEndpoint; its headers, such as the function key, stay with the sidecar.

No policy of the sidecar may name these endpoints: the bridge applies its own to each attempt. Two things are the sidecar's and cannot be
switched off: it follows redirects, and it reads a path before it passes it on, so that `%2F` arrives as `/`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from bridge.adapters.apps import App
from bridge.adapters.dapr.errors import SidecarError
from bridge.adapters.dapr.sidecar import TOKEN_HEADER, SidecarClient
from bridge.adapters.functions import HttpFunctions
from bridge.errors import CallFailed, ConfigurationError, PortError
from bridge.ports import FunctionCall, FunctionResponse, Functions
from bridge.settings import Settings

OWN = "ERR_DIRECT_INVOKE"  #: Dapr's code for a call that it could not make
REREAD = 5.0  #: seconds after which the names of endpoints are asked for again: the sidecar loads new ones while it runs
#: Words of the sidecar's error for a call of which the function has seen nothing.
NEVER_SENT = ("dial tcp", "couldn't find service", "invalid method", "not initialized", "not ready", "tls: ", "x509: ", "access control")
_log = logging.getLogger("bridge.dapr")


class DaprFunctions:
    """`ports.Functions`: through the sidecar where it has an HTTPEndpoint of the app's name, else straight to where the app is."""

    def __init__(self, through: Functions, direct: Functions, sidecar: SidecarClient) -> None:
        self._through, self._direct, self._sidecar = through, direct, sidecar
        self._names: frozenset[str] = frozenset()
        self._read_at = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, sidecar: SidecarClient, api_token: str) -> AsyncIterator[Self]:
        """Functions that can be called while the context is open. Raises ConfigurationError if endpoints may not be called, Unavailable."""
        headers = {TOKEN_HEADER: api_token} if api_token else {}
        async with (
            HttpFunctions.open(settings, _Endpoints(sidecar.address), headers) as through,
            HttpFunctions.open(settings) as direct,
        ):
            functions = cls(through, direct, sidecar)
            if await functions._endpoints():
                await _must_be_allowed(sidecar)
            yield functions

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Any answer of the function, whatever its status. Raises CallFailed."""
        if call.origin or call.app not in await self._endpoints():
            return await self._direct.call(call)
        answer = await self._through.call(call)
        error = _sidecar_failure(call.app, answer)
        if error is not None:
            raise error
        return answer

    def starting(self, app: str) -> bool:
        """Whether the app is being started on this machine; never one that the sidecar has."""
        return app not in self._names and self._direct.starting(app)

    def unserved(self, app: str, method: str, path: str) -> str:
        """Why nobody answers at a path of an app; empty if somebody may, or the sidecar has the app."""
        return "" if app in self._names else self._direct.unserved(app, method, path)

    async def _endpoints(self) -> frozenset[str]:
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= REREAD or not self._read_at:
            self._read_at = now
            try:
                self._names = await self._sidecar.endpoints()
            except PortError as error:
                _log.debug("the names of endpoints could not be read: %s", error)
        return self._names


class _Endpoints:
    """Where the sidecar has each app; it adds the key itself."""

    def __init__(self, address: str) -> None:
        self._address = address

    def find(self, name: str) -> App:
        return App(f"{self._address}/v1.0/invoke/{name}/method")

    def expected(self, _name: str) -> bool:
        return False

    def starting(self, _name: str) -> bool:
        return False

    def unserved(self, _name: str, _method: str, _path: str) -> str:
        return ""

    def forget(self) -> None:
        pass


async def _must_be_allowed(sidecar: SidecarClient) -> None:
    """A call that is not allowed is answered 404, as if by the function. One without a name tells which of both it is."""
    answer = await sidecar.post("invoke/", b"", content_type="application/json")
    if not isinstance(answer, SidecarError) or answer.code != OWN:
        raise ConfigurationError(
            ["The sidecar has HTTPEndpoints, but may not call them. Add {name: invoke, version: v1.0, protocol: http} to its allow list."]
        )


def _sidecar_failure(app: str, answer: FunctionResponse) -> CallFailed | None:
    """The failure, if it was the sidecar that answered. Dapr marks its own answers by their code and the words they begin with."""
    if answer.status < 400 or OWN.encode() not in answer.body:
        return None
    error = SidecarError.read(answer.status, answer.body)
    begins = f"failed to invoke, id: {app}, err: "
    if error.code != OWN or not error.message.startswith((begins, "invoke API is not ready")):
        return None
    why = error.message.removeprefix(begins)
    if any(words in why for words in NEVER_SENT):
        return CallFailed("ConnectionFailed", f"{app} could not be reached by the sidecar.", may_have_run=False)
    return CallFailed("ConnectionLost", f"{app} gave the sidecar no complete answer.", may_have_run=True)
