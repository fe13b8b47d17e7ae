"""Rules about the validity of certificates in files and manifests, such as Dapr's trust bundle in a Secret or ConfigMap."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509

from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject

RENEW = "Renew it now, as docs/dapr-security.md describes. Running sidecars go on meanwhile, but new ones cannot start."
_WARNED = timedelta(days=30)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@rule(
    "certificate-ends",
    FindingLevel.ERROR,
    "After the root has expired, running sidecars go on but no new one can start, so the next rollout or "
    "scale-up is an outage. Dapr logs nothing.",
)
def certificate_ends(project: DoctorProject) -> Iterator[Hit]:
    """A certificate in a Secret, ConfigMap or file (.crt, .cer, .pem) that has expired, expires within 30 days or is not yet valid."""
    now = datetime.now(UTC)
    for path, pem in project.certificates.items():
        for line, found in _of_text(pem):
            if told := problem(found, now):
                yield Hit(path, line, told, RENEW)
    for document in project.of_kind("Secret", "ConfigMap"):
        for field in ("data", "stringData"):
            for name, value in document.mapping(field).items():
                text = _decoded(str(value)) if field == "data" and document.kind == "Secret" else str(value)
                for _, found in _of_text(text):
                    if told := problem(found, now):
                        yield hit(document, (field, name), told, RENEW)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii", "replace")
    except (binascii.Error, ValueError):
        return text


def _of_text(text: str) -> Iterator[tuple[int, x509.Certificate]]:
    """The certificates of a PEM text in order, each with its line from 1. Damaged ones are left out."""
    for found in _PEM.finditer(text):
        lines = "\n".join(line.strip() for line in found[0].splitlines())
        try:
            yield text.count("\n", 0, found.start()) + 1, x509.load_pem_x509_certificate(lines.encode())
        except ValueError:
            continue


def problem(certificate: x509.Certificate, now: datetime) -> str:
    """What is wrong with the validity period; empty if the certificate is valid for 30 more days."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    subject, left = certificate.subject.rfc4514_string(), ends - now
    if left <= timedelta(0):
        return f"The certificate of {subject} expired at {ends:%Y-%m-%d %H:%M} UTC."
    if begins > now:
        return f"The certificate of {subject} is not valid before {begins:%Y-%m-%d %H:%M} UTC."
    if left < _WARNED:
        return f"The certificate of {subject} expires at {ends:%Y-%m-%d %H:%M} UTC, in {left.days} days."
    return ""
