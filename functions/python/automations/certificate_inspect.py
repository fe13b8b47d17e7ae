"""`certificate.inspect`: read a certificate and say when it expires."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from automations import certificate, inputs
from automations.certificate import Certificate, Unreadable
from automations.refusal import Refusal

_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_MEND = (
    f"Send the text of a PEM file, from {certificate.BEGIN} to {certificate.END}; "
    "`openssl x509 -inform der -in FILE` makes one of a DER file."
)


def inspect(value: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What the first certificate of `pem` says, and how many there are. Raises Refusal `NotACertificate`."""
    pem = inputs.text(value, "pem")
    blocks = list(certificate.blocks(pem))
    if not blocks:
        raise Refusal("NotACertificate", f"`pem` has no certificate in it{_instead(pem)}. {_MEND}")
    try:
        first = certificate.read(blocks[0])
    except Unreadable as fault:
        raise Refusal("NotACertificate", f"The certificate in `pem` cannot be read: {fault}. {_MEND}") from fault
    return {**_view(first, now), "certificates": len(blocks)}


def _instead(pem: str) -> str:
    """What the text holds instead, by the label of its PEM block only, because the content may be a secret."""
    label = _LABEL.search(pem)
    return f", but a {label[1]}" if label else ""


def _view(found: Certificate, now: datetime) -> dict[str, Any]:
    bits = {} if found.key_bits is None else {"keyBits": found.key_bits}
    return {
        "subject": found.subject,
        "names": list(found.names),
        "issuer": found.issuer,
        "serial": found.serial,
        "notBefore": moment(found.not_before),
        "notAfter": moment(found.not_after),
        "daysLeft": found.days_left(now),
        "expired": found.expired(now),
        "keyType": found.key_type,
        **bits,
        "signature": found.signature,
        "fingerprintSha256": found.fingerprint,
    }


def moment(time: datetime) -> str:
    """The time as RFC 3339 writes it, in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
