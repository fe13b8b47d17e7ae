"""X.509 certificates (RFC 5280) in PEM (RFC 7468), read into what people ask about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

_KEY_TYPES = {
    rsa.RSAPublicKey: "RSA",
    ec.EllipticCurvePublicKey: "EC",
    dsa.DSAPublicKey: "DSA",
    ed25519.Ed25519PublicKey: "Ed25519",
    ed448.Ed448PublicKey: "Ed448",
}
_SIGNATURES = {
    oid.dotted_string: name.strip("_").replace("_WITH_", " with ")
    for name, oid in vars(x509.SignatureAlgorithmOID).items()
    if isinstance(oid, x509.ObjectIdentifier)
}
_FAULTS = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class Unreadable(Exception):
    """A PEM block holds no certificate; the text says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """`serial` is hexadecimal; `key_type` is RSA, EC, DSA, Ed25519, Ed448 or the dotted number of another algorithm."""

    subject: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    key_type: str
    key_bits: int | None
    signature: str
    signature_hash: str
    fingerprint: str

    def expired(self, now: datetime) -> bool:
        """Whether the certificate has expired. It is still valid at `not_after` itself (RFC 5280, 4.1.2.5)."""
        return now > self.not_after

    def days_left(self, now: datetime) -> int:
        """Whole days until the certificate expires; below zero once it has."""
        return (self.not_after - now).days


def blocks(text: str) -> Iterator[str]:
    """The PEM block of each certificate; a block without an end reaches to the end of the text. Text between blocks is ignored."""
    for part in text.split(BEGIN)[1:]:
        body, end, _ = part.partition(END)
        yield f"{BEGIN}{body}{end}"


def read(block: str) -> Certificate:
    """Read one PEM block. Raises Unreadable."""
    if not block.endswith(END):
        raise Unreadable(f"it has no {END} line; the text was cut off")
    try:
        return _read(x509.load_pem_x509_certificate(block.encode()))
    except _FAULTS as fault:
        raise Unreadable(f"what stands between its BEGIN and END lines is no certificate ({type(fault).__name__})") from fault


def _read(certificate: x509.Certificate) -> Certificate:
    key_type, key_bits = _key(certificate)
    oid = certificate.signature_algorithm_oid.dotted_string
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        names=_names(certificate),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:X}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_type=key_type,
        key_bits=key_bits,
        signature=_SIGNATURES.get(oid, oid),
        signature_hash=_signature_hash(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The subject's alternative names: hosts, addresses, mailboxes and URIs, in the certificate's order."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    plain = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return tuple(str(name.value) for name in extension.value if isinstance(name, plain))


def _key(certificate: x509.Certificate) -> tuple[str, int | None]:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return certificate.public_key_algorithm_oid.dotted_string, None
    named = (name for kind, name in _KEY_TYPES.items() if isinstance(key, kind))
    return next(named, certificate.public_key_algorithm_oid.dotted_string), getattr(key, "key_size", None)


def _signature_hash(certificate: x509.Certificate) -> str:
    """The hash of the signature, such as sha256; empty for signatures without a hash of their own, such as Ed25519."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return algorithm.name if algorithm else ""
