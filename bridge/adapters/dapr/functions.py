"""Calls functions through the sidecar: by the name of an HTTPEndpoint, or by the app id of an app that has a sidecar itself.

The headers of an HTTPEndpoint, such as the function key, stay with the sidecar. No policy of the sidecar may name these endpoints or apps,
because the bridge applies its own policy to each attempt. Two habits of the sidecar cannot be switched off: it follows redirects, and it
decodes a path before it passes it on, so that `%2F` arrives as `/`.
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
    """Implements `ports.Functions`. `ids` are the app ids by the names of their apps.

    An app is called through the sidecar if the settings give its app id, or if the sidecar has an HTTPEndpoint with its name. All others
    are called directly.
    """

    def __init__(self, through: Functions, direct: Functions, sidecar: SidecarClient, ids: Mapping[str, str]) -> None:
        self._through, self._direct, self._sidecar, self._ids = through, direct, sidecar, ids
        self._names: frozenset[str] = frozenset()
        self._refused: dict[str, str] = {}  # what was wrong with a certificate at the last call, by app
        self._read_at = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, sidecar: SidecarClient, api_token: str) -> AsyncIterator[Self]:
        """Yields functions that can be called while the context is open.

        Raises Unavailable, and ConfigurationError if the sidecar does not allow calls of endpoints.
        """
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
        """The answer of the function, whatever its status. Raises CallFailed."""
        if call.origin or not (call.app in self._ids or call.app in await self._endpoints()):
            return await self._direct.call(call)
        answer = await self._through.call(call)
        why = _sidecar_failure(self._ids.get(call.app, call.app), answer)
        if why is None:
            self._refused.pop(call.app, None)
            return answer
        certificate = _CERTIFICATE.search(why) if call.app in self._ids else None
        if certificate:
            self._refused[call.app] = f"one sidecar refuses the certificate of the other ({certificate[0]}); renew it: {RENEW}"
        raise _failure(call.app, why, self._refused.get(call.app, ""))

    def starting(self, app: str) -> bool:
        """Whether the app is being started on this machine. It never is if it is called through the sidecar."""
        return app not in self._names and self._direct.starting(app)

    def unserved(self, app: str, method: str, path: str) -> str:
        """Why no function answers at a path of an app; empty if one may, or if only the sidecar knows.

        An expired certificate that prevents calls of the app is a reason, too.
        """
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
    """The apps with an app id in the settings, with the address at which the sidecar calls them."""
    return {
        name: app.model_copy(update={"url": f"{address}/v1.0/invoke/{app.app_id}/method", "app_id": None})
        for name, app in settings.function_apps.items()
        if app.app_id is not None
    }


class _Invocable:
    """The addresses at which the sidecar calls apps. It adds the key of an HTTPEndpoint itself."""

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
    """Raises ConfigurationError if the sidecar does not allow calls of endpoints.

    It answers such a call with 404, as a function might. The answer to a call without a name tells the two apart.
    """
    answer = await sidecar.post("invoke/", b"", content_type="application/json")
    if not isinstance(answer, SidecarError) or answer.code != OWN:
        raise ConfigurationError(
            [
                (
                    "The sidecar has HTTPEndpoints, but its API allow list does not permit calls. "
                    "Add {name: invoke, version: v1.0, protocol: http} to the list."
                )
            ]
        )


def _sidecar_failure(app_id: str, answer: FunctionResponse) -> str | None:
    """The reason why a call failed, if the answer is from the sidecar: Dapr's answers have its codes and typical first words."""
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
