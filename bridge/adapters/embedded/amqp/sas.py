"""Shared access signatures: what a client shows to prove that it knows a key, without sending the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

_PREFIX = "SharedAccessSignature "
_LONGEST = 4096  #: characters of a token


class Grant(NamedTuple):
    """What a token allows: everything at an address and below it, until a time in seconds since 1970. An empty address is all."""

    address: str
    expires: float


def verify(token: str, keys: Mapping[str, str], now: float) -> Grant | None:
    """What the token allows, or None: it is no such token, its signature is wrong, it has expired."""
    if not token.startswith(_PREFIX) or len(token) > _LONGEST:
        return None
    # `sr` is signed as it was escaped, so it is taken out before anything is unescaped.
    raw = dict(part.partition("=")[::2] for part in token[len(_PREFIX) :].split("&"))
    fields = dict(parse_qsl(token[len(_PREFIX) :], keep_blank_values=True))
    resource, expiry = raw.get("sr", ""), raw.get("se", "")
    key = keys.get(fields.get("skn", ""), "")
    signed = base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256))
    genuine = hmac.compare_digest(signed, unquote(raw.get("sig", "")).encode())
    if not genuine or not key or not expiry.isdecimal() or len(expiry) > 12 or int(expiry) <= now:
        return None
    return Grant(_address(unquote(resource)), float(expiry))


def knows_key(name: str, key: str, keys: Mapping[str, str]) -> bool:
    """Whether the key of this name is the one given."""
    known = keys.get(name, "")
    return hmac.compare_digest(known.encode(), key.encode()) and bool(known)


def _address(resource: str) -> str:
    try:
        path = urlsplit(resource).path if "://" in resource else resource
    except ValueError:
        path = resource
    return path.strip("/").lower()
