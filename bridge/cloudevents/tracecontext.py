"""W3C Trace Context (level 2), as a service that forwards it: `traceparent` and `tracestate` go on as they came, or not at all."""

from __future__ import annotations

import re

LONGEST = 512  #: characters of a tracestate that go on; fewer may not be cut (section 3.3.1.5)
_LARGE = 128  #: characters; members beyond are the first to be left out
_MEMBERS = 32

#: Version 00 has these four fields, and a later one may have more behind them. Ids of zeros, and version ff, are invalid.
_TRACEPARENT = re.compile(
    r"(?:00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"|(?!00|ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]{0,200})?)"
)
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")


def forwarded(traceparent: str, tracestate: str) -> tuple[str, str]:
    """The trace context to pass on. Whatever is invalid is left out; without a valid `traceparent` there is no `tracestate` either."""
    if not traceparent or not _TRACEPARENT.fullmatch(traceparent):
        return "", ""
    return traceparent, _valid(tracestate) if tracestate else ""


def _valid(tracestate: str) -> str:
    """The members without white space around them; none if one of them is invalid, or there are too many."""
    members = [member for each in tracestate.split(",") if (member := each.strip(" \t"))]
    if len(members) > _MEMBERS or not all(_MEMBER.fullmatch(member) for member in members):
        return ""
    if len(joined := ",".join(members)) <= LONGEST:
        return joined
    return _shortened(members)


def _shortened(members: list[str]) -> str:
    """As many whole members as there is room for: large ones are left out first, then those at the end, which are the oldest."""
    size = len(",".join(members))
    for member in [each for each in reversed(members) if len(each) > _LARGE]:
        if size > LONGEST:
            members.remove(member)
            size -= len(member) + 1
    while len(joined := ",".join(members)) > LONGEST:
        members.pop()
    return joined
