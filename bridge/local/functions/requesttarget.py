"""The target of an HTTP request as the Functions host takes it apart: path decoded once, dots folded, query by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SAFE_IN_PATH = "!$&'()*+,;=:@/-._~"


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """`path` is decoded, except for an encoded slash; `tail` is the query as it was sent, with its question mark."""

    path: str
    tail: str
    query: dict[str, str]  #: all values of a name in any letter case, with commas, under the form that came first
    last: dict[str, str]  #: the last value of each name
    relative: str  #: path and query, encoded anew as the Functions host does for `Url`


@lru_cache(maxsize=1024)
def read(raw: bytes) -> RequestTarget | None:
    """The parts of a request's target; None if its path has a NUL, which is refused."""
    target = raw.decode("utf-8", "surrogateescape")
    local = target if target.startswith("/") or "://" not in target else f"/{target.partition('://')[2].partition('/')[2]}"
    path, mark, query = local.partition("#")[0].partition("?")
    decoded = _unescaped(path, keep="/")
    if "\0" in decoded:
        return None
    joined, last = _query(query)
    folded, tail = _folded(decoded), mark + query
    return RequestTarget(folded, tail, joined, last, encoded(folded) + tail)


def _query(text: str) -> tuple[dict[str, str], dict[str, str]]:
    names: dict[str, str] = {}
    joined: dict[str, str] = {}
    last: dict[str, str] = {}
    for pair in text.split("&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition("=")
        name, value = (_unescaped(each.replace("+", " ")) for each in (raw_name, raw_value))
        name = names.setdefault(name.lower(), name)
        joined[name] = f"{joined[name]},{value}" if name in joined else value
        last[name] = value
    return joined, last


def _unescaped(text: str, *, keep: str = "") -> str:
    """Undo percent-encoding where it makes UTF-8; anything else, and each character in `keep`, stays as it is."""
    return _ESCAPES.sub(lambda run: _decoded_run(run[0], keep), text) if "%" in text else text


def _decoded_run(run: str, keep: str) -> str:
    data = bytes.fromhex(run.replace("%", ""))
    found, index = "", 0
    while index < len(data):
        for length in (1, 2, 3, 4):
            try:
                character = data[index : index + length].decode()
            except UnicodeDecodeError:
                continue
            break
        else:
            character, length = "", 1
        written = run[index * 3 : (index + length) * 3]
        found += written if not character or character in keep else character
        index += length
    return found


def _folded(path: str) -> str:
    """Without `.` and `..`, as RFC 3986 removes them."""
    if "/." not in path:
        return path
    kept: list[str] = []
    pieces = path.split("/")[1:]
    for index, piece in enumerate(pieces):
        if piece == "..":
            kept = kept[:-1]
        elif piece != ".":
            kept.append(piece)
            continue
        if index == len(pieces) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def encoded(path: str) -> str:
    """The path with percent-encoding where a URL needs it; what is encoded already stays."""
    return "".join(
        piece if _ESCAPES.fullmatch(piece) else quote(piece, safe=_SAFE_IN_PATH, errors="surrogateescape")
        for piece in re.split(r"((?:%[0-9A-Fa-f]{2})+)", path)
    )


def forwarded(target: RequestTarget) -> str:
    """Path and query for a custom handler that gets the request itself: a name without a value gets an equals sign."""
    pairs = [pair if "=" in pair else f"{pair}=" for pair in target.tail.removeprefix("?").split("&") if pair]
    return encoded(target.path) + (f"?{'&'.join(pairs)}" if pairs else "")
