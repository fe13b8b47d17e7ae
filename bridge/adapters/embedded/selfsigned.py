"""A certificate for the Service Bus port, signed by itself: made when it is needed and kept in the data directory."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, GeneralName

CERTIFICATE, PRIVATE_KEY = "servicebus.pem", "servicebus-key.pem"
_LIFE = timedelta(days=397)  #: the longest that clients take
_LEFT = timedelta(days=30)  #: of its life, at which a new one is made


def server_context(data_dir: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """TLS 1.2 or later with a certificate for the host, and where the certificate is that clients have to trust."""
    certificate, private_key = data_dir / CERTIFICATE, data_dir / PRIVATE_KEY
    if not (private_key.exists() and _is_good(certificate, host)):
        _make(certificate, private_key, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, private_key)
    return context, certificate


def _is_good(path: Path, host: str) -> bool:
    from cryptography import x509  # noqa: PLC0415 - only TLS needs it

    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    return found.not_valid_after_utc > datetime.now(UTC) + _LEFT and set(_names(host)) <= set(_alternatives(found))


def _alternatives(certificate: Certificate) -> list[GeneralName]:
    from cryptography import x509  # noqa: PLC0415 - only TLS needs it

    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def _names(host: str) -> list[GeneralName]:
    """The names under which clients may know the host; a wildcard address is known by those of this machine."""
    from cryptography import x509  # noqa: PLC0415 - only TLS needs it

    names: list[GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        own: GeneralName = x509.DNSName(host)
    else:
        own = x509.DNSName(socket.gethostname()) if address.is_unspecified else x509.IPAddress(address)
    return names if own in names else [*names, own]


def _make(certificate: Path, private_key: Path, host: str) -> None:
    from cryptography import x509  # noqa: PLC0415 - only TLS needs it
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Automation Bridge, Service Bus")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private_key.unlink(missing_ok=True)
    with os.fdopen(os.open(private_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        file.write(key.private_bytes(pem, form, serialization.NoEncryption()))
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
