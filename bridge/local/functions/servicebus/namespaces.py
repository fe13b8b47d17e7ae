"""How a namespace is reached: by a connection string, which may stand in a file that is written later, or by name and identity."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bridge.local.functions.servicebus import connectionstring
from bridge.local.functions.servicebus.connectionstring import TLS_PORT, ConnectionString
from bridge.local.functions.servicebus.tokens import IdentityTokens, KeyTokens, SignatureTokens, TokenSource

OWN_FILE = "servicebus.json"  #: in the data directory, written by the bridge as soon as its queue can be reached
OWN_CERTIFICATE = "servicebus.pem"  #: beside it, if the queue speaks TLS
_LARGEST_FILE = 65_536  #: bytes


class NotThere(Exception):
    """Where the namespace is cannot be told now; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class NamespaceAddress:
    """Where to connect, and with which tokens. `tls` is None for an emulator."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    tokens: TokenSource = field(repr=False)

    @property
    def title(self) -> str:
        """For the log."""
        return f"{self.host}:{self.port}"

    def audience(self, address: str) -> str:
        """The name that a token is good for."""
        return f"sb://{self.host}/{address}"


class NamespaceSource(Protocol):
    """A namespace that functions have a connection to. Two equal ones are one connection."""

    @property
    def title(self) -> str:
        """For the log; never a secret."""

    def address(self) -> NamespaceAddress:
        """Where it is now. Raises NotThere."""


@dataclass(frozen=True, slots=True)
class NamedNamespace:
    """A connection string as it was given."""

    text: ConnectionString

    @property
    def title(self) -> str:
        """See `NamespaceSource`."""
        return self.text.host

    def address(self) -> NamespaceAddress:
        """See `NamespaceSource`."""
        return reached(self.text, None)


@dataclass(frozen=True, slots=True)
class IdentityNamespace:
    """A namespace by its host name, with an identity of Microsoft Entra; `options` as in the settings of the connection."""

    host: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """See `NamespaceSource`."""
        return self.host

    def address(self) -> NamespaceAddress:
        """See `NamespaceSource`."""
        return NamespaceAddress(self.host, TLS_PORT, ssl.create_default_context(), IdentityTokens(dict(self.options)))


@dataclass(frozen=True, slots=True)
class FileNamespace:
    """A connection string in a file, which is read at every connection: a key may be exchanged while the host runs.

    A certificate that `bridge local servicebus --tls` has put beside it is trusted.
    """

    file: Path
    what_to_do: str = "write the connection string of the namespace into it"

    @property
    def title(self) -> str:
        """See `NamespaceSource`."""
        return f"the namespace that {self.file.name} leads to"

    def address(self) -> NamespaceAddress:
        """See `NamespaceSource`."""
        try:
            with self.file.open("rb") as opened:
                written = opened.read(_LARGEST_FILE).decode().strip()
            text = json.loads(written)["connectionString"] if written.startswith("{") else written
            return reached(connectionstring.parse(text), self.file.with_name(OWN_CERTIFICATE))
        except FileNotFoundError:
            raise NotThere(f"the file {self.file} is not there; {self.what_to_do}") from None
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
            raise NotThere(f"the file {self.file} cannot be used ({type(fault).__name__}); {self.what_to_do}") from None


def own_queue(data_dir: Path) -> FileNamespace:
    """The queue of the bridge that uses this data directory."""
    what = "`bridge up --functions …` and `bridge local servicebus` write it"
    return FileNamespace(data_dir / OWN_FILE, what)


def reached(text: ConnectionString, certificate: Path | None) -> NamespaceAddress:
    """Where a connection string leads. `certificate` is trusted beside what the machine trusts, if it is there."""
    tls = None
    if not text.is_emulator:
        tls = ssl.create_default_context()
        if certificate is not None and certificate.exists():
            tls.load_verify_locations(certificate)
    tokens: TokenSource = SignatureTokens(text.signature) if text.signature else KeyTokens(text.key_name, text.key)
    return NamespaceAddress(text.host, text.port, tls, tokens)
