"""The headers of a request as the Functions host hands them on: in the order and under the names of its web server, Kestrel.

Kestrel knows some headers, which it writes in its own letters and lists before all others (KnownHeaders.cs of ASP.NET Core).
"""

from __future__ import annotations

from collections.abc import Iterable

_FIRST = ("Accept", "Connection", "Host", "User-Agent")
_KNOWN = (
    *("Accept-Charset", "Accept-Encoding", "Accept-Language", "Access-Control-Request-Headers", "Access-Control-Request-Method"),
    *("Authorization", "baggage", "Cache-Control", "Content-Type", "Cookie", "Correlation-Context", "Date", "Expect", "From"),
    *("Grpc-Accept-Encoding", "Grpc-Encoding", "Grpc-Timeout", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range"),
    *("If-Unmodified-Since", "Keep-Alive", "Max-Forwards", "Origin", "Pragma", "Proxy-Authorization", "Range", "Referer"),
    *("Request-Id", "TE", "traceparent", "tracestate", "Transfer-Encoding", "Translate", "Upgrade", "Upgrade-Insecure-Requests"),
    *("Via", "Warning"),
)
_ORDERED = {name.lower(): (place, name) for place, name in enumerate((*_FIRST, *_KNOWN, "Content-Length"))}


def named(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each header; one that Kestrel does not know has the name that it came with first."""
    found: dict[str, tuple[int, str, list[str]]] = {}
    for name, text in pairs:
        place, shown = _ORDERED.get(name.lower(), (len(_ORDERED), name))
        found.setdefault(name.lower(), (place, shown, []))[2].append(text)
    return {name: texts for _, name, texts in sorted(found.values(), key=lambda each: each[0])}
