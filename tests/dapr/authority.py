"""Certificates as sentry keeps them, made here with ends of one's own choice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write(directory: Path, *, root: timedelta, issuer: timedelta) -> None:
    """Make ca.crt, issuer.crt and issuer.key in a new folder; they end after so long."""
    directory.mkdir()
    root_key, issuer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    anchor = _certificate("root", root_key, "root", root_key, root)
    (directory / "ca.crt").write_bytes(_pem(anchor))
    (directory / "issuer.crt").write_bytes(_pem(_certificate("issuer", issuer_key, "root", root_key, issuer)))
    plain = serialization.NoEncryption()
    key = issuer_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (directory / "issuer.key").write_bytes(key)


def end(path: Path) -> datetime:
    """When the certificate in the file ends."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, signer: str, signing: ec.EllipticCurvePrivateKey, life: timedelta
) -> x509.Certificate:
    now = datetime.now(UTC)
    of_an_authority = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(signer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(of_an_authority, critical=True)
        .sign(signing, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
