"""Reads when certificates expire: those in a file, and the authorities that a server sends in the TLS handshake.

Dapr renews neither its root nor the issuer of its sidecars, and since 1.12 it logs nothing before they expire (docs/dapr-security.md).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import Gauge

from bridge import telemetry

if TYPE_CHECKING:
    from cryptography import x509

SERVER = "tls://"  #: what a source begins with that is `host:port` and no file
_SECONDS = 3.0  #: that a server may take to answer
_FRESH = 60.0  #: seconds for which what was read counts
_URGENT = 5.0  #: the same while one of them ends within LAST: whoever renews it wants to see that it was renewed
LAST = timedelta(days=1)  #: before the end of a certificate, as the most severe alert of deploy/alerts has it
_log = logging.getLogger("bridge")

EXPIRY = Gauge(
    "bridge_certificate_expiry_timestamp_seconds",
    "When a certificate of the setting `certificates` ends, in seconds since 1970.",
    ["source", "certificate"],
    registry=telemetry.REGISTRY,
)


class UnreadableCertificates(Exception):
    """No certificate can be read from a source; the text gives the reason."""


async def of_source(source: str, *, leaves: bool = False) -> list[x509.Certificate]:
    """The certificates of a PEM file, or the authorities of `tls://host:port`. Raises UnreadableCertificates.

    With `leaves`, the certificate of a server that sends no authority is returned instead.
    """
    if not source.startswith(SERVER):
        return _of_file(Path(source))
    # What the server shows first is its own certificate; that of a sidecar lasts a day and is renewed by itself.
    shown = await _of_server(source.removeprefix(SERVER))
    authorities = [each for each in shown if _is_authority(each)]
    return authorities or (shown if leaves else [])


def _of_file(path: Path) -> list[x509.Certificate]:
    from cryptography import x509  # noqa: PLC0415 - a bridge that watches no certificate starts faster

    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as fault:
        raise UnreadableCertificates(f"{path} cannot be read ({fault.strerror})") from None
    except ValueError:
        raise UnreadableCertificates(f"{path} holds no certificate in PEM") from None


async def _of_server(address: str) -> list[x509.Certificate]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UnreadableCertificates(f"{address} is not HOST:PORT")
    anybody = ssl.create_default_context()
    # Nothing is sent, and nothing that is read is believed: what matters is when it ends, be it known or not.
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=anybody)
    except (OSError, TimeoutError, ValueError, OverflowError) as fault:  # the last two for no host's name, and no port's number
        raise UnreadableCertificates(f"{address} shows no certificate ({str(fault) or 'no answer'})") from None
    try:
        return _chain(writer.get_extra_info("ssl_object"))
    except ValueError:
        raise UnreadableCertificates(f"{address} shows a certificate that cannot be read") from None
    finally:
        writer.transport.abort()  # a server that wants a certificate of ours may never answer a polite end
        with suppress(OSError):
            await writer.wait_closed()


def _chain(connection: Any) -> list[x509.Certificate]:
    from cryptography import x509  # noqa: PLC0415 - as above

    if hasattr(connection, "get_unverified_chain"):  # since Python 3.13
        return [x509.load_der_x509_certificate(each) for each in connection.get_unverified_chain()]
    shown = connection._sslobj.get_unverified_chain()  # before it the same has another name
    return [x509.load_pem_x509_certificate(each.public_bytes().encode()) for each in shown]


def _is_authority(certificate: x509.Certificate) -> bool:
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


class WatchedCertificates:
    """When the certificates of the sources expire, as a gauge and as sentences.

    They are read at most once a minute, when somebody asks.
    """

    def __init__(self, sources: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._sources, self._clock = sources, clock
        self._read: float | None = None
        self._unreadable: dict[str, str] = {}
        self._ends: dict[str, Mapping[str, datetime]] = {}

    async def refresh(self) -> None:
        """Read the sources again. A source that cannot be read has no value, and is logged once."""
        now, fresh = self._clock(), _URGENT if self.ending(datetime.now(UTC)) else _FRESH
        if self._read is not None and now - self._read < fresh:
            return
        self._read = now
        for source, found in zip(self._sources, await asyncio.gather(*map(self._readable, self._sources)), strict=True):
            self._show(source, _ends(found))

    def ending(self, now: datetime) -> list[str]:
        """A sentence for each certificate that has expired or expires within LAST, as of the last read."""
        listed = [(source, *each) for source, ends in self._ends.items() for each in ends.items()]
        return [_sentence(*each, now) for each in listed if each[2] - now < LAST]

    async def keep_fresh(self) -> None:
        """Refresh regularly, for metrics that are exported and not read."""
        while True:
            await self.refresh()
            await asyncio.sleep(_FRESH + 1)

    async def _readable(self, source: str) -> list[x509.Certificate]:
        try:
            found = await of_source(source)
        except UnreadableCertificates as fault:
            if self._unreadable.get(source) != str(fault):
                _log.warning("certificates: %s", fault)
            self._unreadable[source] = str(fault)
            return []
        self._unreadable.pop(source, None)
        return found

    def _show(self, source: str, ends: Mapping[str, datetime]) -> None:
        for subject in self._ends.get(source, {}).keys() - ends.keys():
            EXPIRY.remove(source, subject)
        for subject, end in ends.items():
            EXPIRY.labels(source, subject).set(end.timestamp())
        self._ends[source] = ends


def _ends(found: Sequence[x509.Certificate]) -> Mapping[str, datetime]:
    """When the certificate of each subject expires. Of several, such as two roots during a rotation, the first expiry counts."""
    latest_first = sorted(found, key=lambda each: each.not_valid_after_utc, reverse=True)
    return {each.subject.rfc4514_string(): each.not_valid_after_utc for each in latest_first}


def _sentence(source: str, subject: str, end: datetime, now: datetime) -> str:
    verb = "ended" if end <= now else "ends"
    return (
        f"the certificate {subject} of {source} {verb} at {end:%Y-%m-%d %H:%M:%S} UTC: no pod with a sidecar starts after that, and calls "
        "between sidecars fail (docs/operations.md#certificates)"
    )
