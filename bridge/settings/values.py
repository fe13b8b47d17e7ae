"""The types of setting values, as pydantic validates them: addresses, origins, sizes, durations, names, files.

A validator raises ValueError with what was expected, and never repeats a value that could contain a secret.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError, ValidationInfo

from bridge.durations import Duration


def _address(text: str) -> str:
    """A base URL without its closing slash. Parts that could contain a secret (user, query) are refused and not repeated."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("expected an address such as https://bridge.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address has no user, password, query or fragment; keys have settings of their own")
    return text.rstrip("/")


def _from_working_directory(path: Path, info: ValidationInfo) -> Path:
    return info.context["cwd"] / path if info.context else path


def _more_than_none(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("expected more than 0s")
    return span


def _at_most_a_minute(span: timedelta) -> timedelta:
    if span > timedelta(minutes=1):
        raise ValueError("expected 1m at most")
    return span


AROUND_EVENT = 6_144  #: bytes that an event of another sender may have beyond `max_event_bytes`: what Service Bus has left for properties
LEAST_EVENT_BYTES = 256_000  #: of an event with room for its properties on Service Bus Standard, which takes 262,144 for both
_BYTES = TypeAdapter(ByteSize)


def _size(value: object) -> int:
    """A size in bytes: kB, MB, GB and TB count in thousands, KiB, MiB, GiB and TiB in 1024s (IEC 80000-13)."""
    if not isinstance(value, bool):
        with suppress(ValidationError):
            return int(_BYTES.validate_python(value))
    raise ValueError(f'{value!r} is not a size; write it like "900kB", "1MiB", "8GiB" or as a number of bytes')


def _carried_by_every_tier(size: int) -> int:
    if size < LEAST_EVENT_BYTES:
        raise ValueError(f"expected {LEAST_EVENT_BYTES} at least, which every tier of Service Bus carries; replies need 200000 of them")
    return size


def _origin(text: str) -> str:
    """An origin as browsers write it (RFC 6454, section 6.2): in lower case, without the default port of the scheme."""
    try:
        parts = urlsplit(text.lower())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    plain = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host or "") or plain != text.lower():
        raise ValueError("expected an exact origin such as https://console.example.com, without a path; * is none")
    return plain.removesuffix({"http": ":80", "https": ":443"}[parts.scheme])


_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


def _certificate_source(text: str, info: ValidationInfo) -> str:
    """A file, relative to the working directory, or `tls://host:port` unchanged."""
    if not text.startswith("tls://"):
        return str(_from_working_directory(Path(text), info))
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname and parts.port) and text == f"tls://{parts.netloc}" and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("expected a file, or a server such as tls://127.0.0.1:50002")
    return text


Address = Annotated[str, AfterValidator(_address)]
Origin = Annotated[str, AfterValidator(_origin)]
CertificateSource = Annotated[str, AfterValidator(_certificate_source)]
Location = Annotated[Path, AfterValidator(_from_working_directory)]
Positive = Annotated[int, Field(gt=0)]
Span = Annotated[Duration, AfterValidator(_more_than_none)]
Wait = Annotated[Span, AfterValidator(_at_most_a_minute)]
Bytes = Annotated[int, BeforeValidator(_size), Field(gt=0)]
EventBytes = Annotated[Bytes, AfterValidator(_carried_by_every_tier)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
AppName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$")]
