"""The headers that the exporters send, such as a key (OTEL_EXPORTER_OTLP_HEADERS).

The SDK logs a header that it cannot read or send, including its value. So such a header is refused here, and never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

_SEPARATOR = re.compile(r"[ \t]*,[ \t]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  #: a token (RFC 9110, section 5.6.2)
#: What the SDK takes (opentelemetry.util.re): no quotation mark, comma, semicolon or backslash. Without spaces it is percent-encoded.
_TEXT = re.compile(r"[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_SENT = re.compile(r"[\x20-\x7e]*")  #: what every HTTP server takes as a value
_FORM = 'expected name=value, with several between commas, each value of printable ASCII in which space , ; " and \\ are percent-encoded'


def problems_of_headers(environ: Mapping[str, str], signals: Iterable[str]) -> Iterator[str]:
    """A sentence for each header that could not be sent. It contains the number of the header, but none of its text."""
    for variable in (*(f"OTEL_EXPORTER_OTLP_{each}_HEADERS" for each in signals), "OTEL_EXPORTER_OTLP_HEADERS"):
        for number, header in enumerate(_SEPARATOR.split(environ.get(variable, "")), 1):
            if header.strip() and not _can_be_sent(header.strip()):
                yield f"{variable}: header {number} cannot be sent: {_FORM}, such as authorization=Bearer%20KEY"


def _can_be_sent(header: str) -> bool:
    name, equals, value = header.partition("=")
    if not equals or not _NAME.fullmatch(unquote(name.strip(" \t"))) or not _TEXT.fullmatch(value):
        return False
    return bool(_SENT.fullmatch(unquote(value) if " " not in header else value))
