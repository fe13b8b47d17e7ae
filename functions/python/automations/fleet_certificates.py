"""`fleet.certificates`: two views of many certificates, when they expire and how strong they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from automations import certificate, inputs
from automations.certificate import Certificate, Unreadable
from automations.certificate_inspect import moment
from automations.refusal import Refusal

NEXT = 10  #: certificates named as the next to expire
NAMED = 100  #: weak or unreadable certificates named; all are counted

#: Smallest keys with 112 bits of strength (NIST SP 800-131A Rev. 2, section 3).
_LEAST_BITS = {"RSA": 2048, "DSA": 2048, "EC": 224}
#: Hashes a signature may no longer rest on (the same, section 9).
_WEAK_HASHES = {"sha1": "SHA-1", "md5": "MD5"}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Certificates by their position in the bundle, from 1, and why the others could not be read."""

    certificates: Mapping[int, Certificate]
    unreadable: Mapping[int, str]

    def view(self) -> dict[str, Any]:
        """The counts that both answers begin with."""
        named = [{"position": position, "reason": reason} for position, reason in self.unreadable.items()]
        return {"certificates": len(self.certificates), "unreadable": {"count": len(named), "named": named[:NAMED]}}


def read(value: Mapping[str, Any]) -> Fleet:
    """The certificates of `bundle`. Raises Refusal `NoCertificates` if not one can be read."""
    readable: dict[int, Certificate] = {}
    unreadable: dict[int, str] = {}
    for position, block in enumerate(certificate.blocks(inputs.text(value, "bundle")), 1):
        try:
            readable[position] = certificate.read(block)
        except Unreadable as fault:
            unreadable[position] = str(fault)
    if readable:
        return Fleet(readable, unreadable)
    found = f"none of its {len(unreadable)} can be read; of the first, {unreadable[1]}" if unreadable else "there is none in it"
    raise Refusal("NoCertificates", f"`bundle` must hold certificates, and {found}. Send the text of PEM files, one after the other.")


def expiry(value: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """How many have expired, expire within `warnDays` days, or later; and the next to expire. Raises Refusal."""
    warn_days = inputs.whole(value, "warnDays", default=30, least=1, most=3650)
    fleet = read(value)
    valid = [(position, found) for position, found in fleet.certificates.items() if not found.expired(now)]
    valid.sort(key=lambda item: item[1].not_after)
    soon = sum(found.days_left(now) < warn_days for _, found in valid)
    return {
        **fleet.view(),
        "warnDays": warn_days,
        "expired": len(fleet.certificates) - len(valid),
        "withinWarnDays": soon,
        "later": len(valid) - soon,
        "next": [_due(position, found, now) for position, found in valid[:NEXT]],
    }


def _due(position: int, found: Certificate, now: datetime) -> dict[str, Any]:
    return {"position": position, "subject": found.subject, "notAfter": moment(found.not_after), "daysLeft": found.days_left(now)}


def strength(value: Mapping[str, Any]) -> dict[str, Any]:
    """How many keys there are of each type and size, and which certificates are weak and why. Raises Refusal."""
    fleet = read(value)
    keys = Counter((found.key_type, found.key_bits or 0) for found in fleet.certificates.values())
    signatures = Counter(found.signature for found in fleet.certificates.values())
    weak = [
        {"position": position, "subject": found.subject, "selfIssued": found.subject == found.issuer, "reasons": reasons}
        for position, found in fleet.certificates.items()
        if (reasons := weaknesses(found))
    ]
    return {
        **fleet.view(),
        "keys": [{"type": kind, **({"bits": bits} if bits else {}), "count": count} for (kind, bits), count in sorted(keys.items())],
        "signatures": dict(sorted(signatures.items())),
        "weak": {"count": len(weak), "named": weak[:NAMED]},
    }


def weaknesses(found: Certificate) -> list[str]:
    """The reasons why a certificate is weak; none if it is not."""
    least = _LEAST_BITS.get(found.key_type, 0)
    short = [f"{found.key_type} key of {found.key_bits} bits; {least} are the least"] if (found.key_bits or least) < least else []
    hashed = [f"signed with {_WEAK_HASHES[found.signature_hash]}"] if found.signature_hash in _WEAK_HASHES else []
    return short + hashed
