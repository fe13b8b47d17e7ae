"""Certificates in manifests and files, such as the trust bundle of Dapr in a Secret or ConfigMap, and what is wrong with when they end."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509

from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject

RENEW = "Renew it now: docs/dapr-security.md says how, and that running sidecars go on while new ones cannot start."
_WARNED = timedelta(days=30)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@rule(
    "certificate-ends",
    FindingLevel.ERROR,
    "With an expired root running sidecars go on and no new one can start: the next rollout or scale-up is the outage. Dapr logs nothing.",
)
def certificate_ends(project: DoctorProject) -> Iterator[Hit]:
    """A certificate in a Secret, a ConfigMap or a file (.crt, .cer, .pem) that has expired, has not begun, or expires within 30 days."""
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
    """The certificates in PEM in a text, in their order, each with its line from 1; what is damaged is left out."""
    for found in _PEM.finditer(text):
        lines = "\n".join(line.strip() for line in found[0].splitlines())
        try:
            yield text.count("\n", 0, found.start()) + 1, x509.load_pem_x509_certificate(lines.encode())
        except ValueError:
            continue


def problem(certificate: x509.Certificate, now: datetime) -> str:
    """What is wrong with when it holds; empty if it does so for more than 30 days."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    subject, left = certificate.subject.rfc4514_string(), ends - now
    if left <= timedelta(0):
        return f"The certificate of {subject} expired at {ends:%Y-%m-%d %H:%M} UTC."
    if begins > now:
        return f"The certificate of {subject} begins at {begins:%Y-%m-%d %H:%M} UTC, which is not yet."
    if left < _WARNED:
        return f"The certificate of {subject} expires at {ends:%Y-%m-%d %H:%M} UTC, in {left.days} days."
    return ""
