"""Calls functions through the sidecar: by the name of an HTTPEndpoint, whose headers, such as the function key, stay with the sidecar, or
by the app id of a sidecar that the app has of its own.

No policy of the sidecar may name these endpoints or apps: the bridge applies its own to each attempt. Two things are the sidecar's and
cannot be switched off: it follows redirects, and it reads a path before it passes it on, so that `%2F` arrives as `/`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from bridge.adapters.apps import App, Apps
from bridge.adapters.dapr.errors import SidecarError
from bridge.adapters.dapr.sidecar import TOKEN_HEADER, SidecarClient
from bridge.adapters.functions import HttpFunctions
from bridge.errors import CallFailed, ConfigurationError, PortError
from bridge.ports import FunctionCall, FunctionResponse, Functions
from bridge.settings import FunctionApp, Settings

OWN = "ERR_DIRECT_INVOKE"  #: Dapr's code for a call that it could not make
REREAD = 5.0  #: seconds after which the names of endpoints are asked for again: the sidecar loads new ones while it runs
#: Words of the sidecar's error for a call of which the function has seen nothing.
NEVER_SENT = ("dial tcp", "couldn't find service", "invalid method", "not initialized", "not ready", "tls: ", "x509: ", "access control")
#: What Go's TLS says in that error, as far as the quotation mark that ends it.
_CERTIFICATE = re.compile(r'(?:x509|tls): (?!.*(?:x509|tls): )[^"\\]{1,200}')
RENEW = "docs/operations.md#certificates"
_log = logging.getLogger("bridge.dapr")


class DaprFunctions:
    """`ports.Functions`: through the sidecar where the settings have an app id, or it an HTTPEndpoint of the app's name; else straight.

    `ids` are the app ids by the names of their apps.
    """

    def __init__(self, through: Functions, direct: Functions, sidecar: SidecarClient, ids: Mapping[str, str]) -> None:
        self._through, self._direct, self._sidecar, self._ids = through, direct, sidecar, ids
        self._names: frozenset[str] = frozenset()
        self._refused: dict[str, str] = {}  # what was wrong with a certificate at the last call, by app
        self._read_at = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, sidecar: SidecarClient, api_token: str) -> AsyncIterator[Self]:
        """Functions that can be called while the context is open. Raises ConfigurationError if endpoints may not be called, Unavailable."""
        headers = {TOKEN_HEADER: api_token} if api_token else {}
        ids = {name: app.app_id for name, app in settings.function_apps.items() if app.app_id is not None}
        async with (
            HttpFunctions.open(settings, _Invocable(sidecar.address, _by_id(settings, sidecar.address)), headers) as through,
            HttpFunctions.open(settings) as direct,
        ):
            functions = cls(through, direct, sidecar, ids)
            if await functions._endpoints() or ids:
                await _must_be_allowed(sidecar)
            yield functions

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Any answer of the function, whatever its status. Raises CallFailed."""
        if call.origin or not (call.app in self._ids or call.app in await self._endpoints()):
            return await self._direct.call(call)
        answer = await self._through.call(call)
        why = _sidecar_failure(self._ids.get(call.app, call.app), answer)
        if why is None:
            self._refused.pop(call.app, None)
            return answer
        certificate = _CERTIFICATE.search(why) if call.app in self._ids else None
        if certificate:
            self._refused[call.app] = f"a sidecar refuses the certificate of the other ({certificate[0]}); renew it: {RENEW}"
        raise _failure(call.app, why, self._refused.get(call.app, ""))

    def starting(self, app: str) -> bool:
        """Whether the app is being started on this machine; never one that the sidecar has."""
        return app not in self._names and self._direct.starting(app)

    def unserved(self, app: str, method: str, path: str) -> str:
        """Why nobody answers at a path of an app; empty if somebody may, or the sidecar has the app and its certificate was not refused."""
        if app in self._ids:
            return self._refused.get(app, "")
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


def _by_id(settings: Settings, address: str) -> Mapping[str, FunctionApp]:
    """The apps that the settings have an app id of, at the address by which the sidecar calls it."""
    return {
        name: app.model_copy(update={"url": f"{address}/v1.0/invoke/{app.app_id}/method", "app_id": None})
        for name, app in settings.function_apps.items()
        if app.app_id is not None
    }


class _Invocable:
    """Where the sidecar has each app. Of an HTTPEndpoint it adds the key itself."""

    def __init__(self, address: str, by_id: Mapping[str, FunctionApp]) -> None:
        self._address, self._by_id = address, by_id
        self._apps = Apps(by_id, Path(), os.environ)

    def find(self, name: str) -> App:
        return self._apps.find(name) if name in self._by_id else App(f"{self._address}/v1.0/invoke/{name}/method")

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


def _sidecar_failure(app_id: str, answer: FunctionResponse) -> str | None:
    """Why it failed, if it was the sidecar that answered. Dapr marks its own answers by their code and the words they begin with."""
    if answer.status < 400 or OWN.encode() not in answer.body:
        return None
    error = SidecarError.read(answer.status, answer.body)
    begins = f"failed to invoke, id: {app_id}, err: "
    if error.code != OWN or not error.message.startswith((begins, "invoke API is not ready")):
        return None
    return error.message.removeprefix(begins)


def _failure(app: str, why: str, refused: str) -> CallFailed:
    if any(words in why for words in NEVER_SENT):
        told = f"{app} could not be reached by the sidecar{f': {refused}' if refused else ''}."
        return CallFailed("ConnectionFailed", told, may_have_run=False)
    return CallFailed("ConnectionLost", f"{app} gave the sidecar no complete answer.", may_have_run=True)
