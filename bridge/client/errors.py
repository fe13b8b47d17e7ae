"""The errors of the client: the bridge refused a request, or cannot be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Problem(Exception):
    """The bridge refused a request (RFC 9457): `detail` says what happened, `hint` what to do next, `errors` lists violations."""

    def __init__(self, status: int, code: str, detail: str, hint: str = "", errors: Sequence[Mapping[str, Any]] = ()) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = list(errors)
        super().__init__(f"{detail} {hint}".strip())

    @classmethod
    def read(cls, status: int, body: Any) -> Problem:
        """Create a Problem from problem+json, or from any other body."""
        if not isinstance(body, dict):
            return cls(status, f"Http{status}", f"The answer was HTTP {status}, from something that is not a bridge.", "Check the URL.")
        detail = str(body.get("detail") or body.get("title") or f"HTTP {status}")
        return cls(status, str(body.get("code") or f"Http{status}"), detail, str(body.get("hint") or ""), body.get("errors") or ())


class Unreachable(Exception):
    """No bridge answers at the URL."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(f"No bridge answers at {url} ({reason}). Start one with `bridge up`, or name another with --url or BRIDGE_URL.")
