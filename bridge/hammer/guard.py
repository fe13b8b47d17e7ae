"""Where a hammer may strike: this machine, or a host that the user has named."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge.settings import is_loopback


@dataclass(frozen=True)
class HammerTarget:
    """The function that is called: the origin of its app, and its path."""

    origin: str
    path: str


def checked(url: str, allowed: Collection[str]) -> HammerTarget:
    """The target of a URL. Raises ValueError for what is no such URL, and for a host that is neither loopback nor allowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"{url!r} is not a URL; write it like https://staging.example.com/api/work") from None
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "a URL with a user, a query or a fragment may carry a secret; leave them out, and name the key's variable with --key-env"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{url!r} is not the URL of a function; write it like https://staging.example.com/api/work")
    if "{" in parts.path or "}" in parts.path:
        raise ValueError(f"{parts.path} has a placeholder; write a path that can be called as it is, such as /api/items/1")
    if not is_loopback(host) and host not in {each.lower().rstrip(".") for each in allowed}:
        raise ValueError(
            f"{host} is another machine, and its function would be called thousands of times. If that is meant, and not production, "
            f"add --allow-host {host}"
        )
    where = f"[{host}]" if ":" in host else host
    return HammerTarget(f"{parts.scheme}://{where}" + (f":{port}" if port else ""), parts.path or "/")
