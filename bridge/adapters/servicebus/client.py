"""Opens a client of a namespace, and says in the words of the bridge what went wrong with it."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.servicebus import TransportType
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from bridge.adapters.embedded.selfsigned import CERTIFICATE
from bridge.errors import ConfigurationError, Unavailable, Undeliverable
from bridge.files import textfile
from bridge.settings import ServiceBusNamespace

RETRIES = 1  #: of one call; who asked is told soon, and asks again
CALL = 6.0  #: seconds that one try of a call may take
_WITH_PORT = re.compile(r"Endpoint=(sb://[^/;]+:\d+)", re.IGNORECASE)
_HINT = "See that the namespace of the setting servicebus can be reached and lets the bridge in, then try again."


@asynccontextmanager
async def opened(where: ServiceBusNamespace) -> AsyncIterator[ServiceBusClient]:
    """A client while the context is open; it connects when it is first used. Raises ConfigurationError."""
    # The client logs every lost connection with its stack; what matters of that is in the error that it raises.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"retry_total": RETRIES, "retry_backoff_factor": 0.2, "socket_timeout": CALL, "timeout": CALL}
    options["connection_verify"] = _trusted(where.connection_string_file)
    if where.connection_string_file is not None:
        async with _by_connection_string(where.connection_string_file, options) as client:
            yield client
        return
    assert where.namespace is not None  # noqa: S101 - the settings have one of the two
    async with EntraCredential() as credential, ServiceBusClient(where.namespace, credential, **options) as client:
        yield client


class EntraCredential:
    """Whatever identity of Microsoft Entra this process can log in with (azure-identity, DefaultAzureCredential), as the client wants it.

    The library, which takes a while to load, is loaded when the first token is asked for.
    """

    def __init__(self) -> None:
        self._credential: Any = None

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """An `AccessToken` for the scopes. Raises ClientAuthenticationError if there is no identity, or it gets none."""
        if self._credential is None:
            library = await asyncio.to_thread(importlib.import_module, "azure.identity.aio")
            self._credential = library.DefaultAzureCredential()
        try:
            return await self._credential.get_token(*scopes, **options)
        except ClientAuthenticationError as fault:
            # Its text has a line for each way to log in that was tried.
            raise ClientAuthenticationError(f"No token of Microsoft Entra: {str(fault).splitlines()[0]}") from None

    async def close(self) -> None:
        """Close what was opened to get tokens."""
        if self._credential is not None:
            await self._credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _trusted(connection_string: Path | None) -> str | None:
    """The file with the certificates that are trusted; None for those that the client brings.

    `bridge local servicebus --tls` puts its own beside the connection string. SSL_CERT_FILE is what all but this client go by.
    """
    beside = connection_string.with_name(CERTIFICATE) if connection_string is not None else None
    return str(beside) if beside is not None and beside.exists() else os.environ.get("SSL_CERT_FILE")


def _by_connection_string(file: Path, options: dict[str, Any]) -> ServiceBusClient:
    try:
        text = textfile.read(file).strip()
        found = json.loads(text)["connectionString"] if text.startswith("{") else text
        return ServiceBusClient.from_connection_string(found, **_endpoint(found), **options)
    except OSError as fault:
        raise ConfigurationError([f"servicebus: {file} cannot be read ({fault.strerror}); correct connection_string_file."]) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        # The text is a secret, so it is not shown.
        raise ConfigurationError(
            [f"servicebus: {file} holds no connection string; write Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=… into it."]
        ) from None


def _endpoint(text: str) -> dict[str, Any]:
    """With TLS the client goes to port 5671 whatever the string says, unless the endpoint is named beside it."""
    found = _WITH_PORT.search(text)
    if found is None or "usedevelopmentemulator=true" in text.lower():
        return {}
    return {"custom_endpoint_address": found[1], "transport_type": TransportType.Amqp}


@contextmanager
def port_errors(what: str) -> Iterator[None]:
    """Errors of the client become those of the ports. `what` is the queue, topic or sub-queue."""
    try:
        yield
    except (MessagingEntityNotFoundError, MessagingEntityDisabledError):
        raise Undeliverable(f"The namespace has no {what}, or it is disabled.", hint="Correct the entities file, or create it.") from None
    except MessageSizeExceededError:
        raise Undeliverable(f"The message is too large for {what}.", hint="Send a smaller message.") from None
    except ClientAuthenticationError:
        raise Unavailable(f"{what}: the namespace does not let the bridge in.", hint=_HINT) from None
    except (ServiceBusError, AzureError, OSError, TimeoutError, ValueError) as fault:
        raise Unavailable(f"{what}: {_why(fault)}", hint=_HINT) from None


def _why(fault: Exception) -> str:
    """The first line of what the client says, which holds neither key nor token."""
    said = str(fault).strip().splitlines()
    return (said[0][:300] if said else type(fault).__name__).removeprefix("Handler failed: ").removesuffix(".") + "."
