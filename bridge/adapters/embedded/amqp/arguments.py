"""The arguments of a request to $management, and its reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bridge.adapters.embedded.amqp.brokererrors import BrokerError


class BadRequest(BrokerError):
    """A request lacks an argument or has a wrong one."""

    condition: ClassVar[str] = "amqp:invalid-field"
    status: ClassVar[int] = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and results. 204 says that there is nothing, or nothing more."""

    status: int = 200
    body: Mapping[str, Any] | None = None


class Arguments:
    """The arguments of a request, each checked when it is taken."""

    def __init__(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise BadRequest("The body of the request is no map.")
        self._body = body

    def optional(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """The argument, or None. Raises BadRequest if it has another type."""
        value = self._body.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise BadRequest(f"The argument '{name}' has a wrong type.")
        return value

    def needed(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """The argument. Raises BadRequest."""
        value = self.optional(name, kind)
        if value is None:
            raise BadRequest(f"The argument '{name}' is missing.")
        return value

    def each(self, name: str, kind: type) -> list[Any]:
        """All values of a list or array. Raises BadRequest."""
        values: list[Any] = self.needed(name, list)
        if not all(isinstance(value, kind) for value in values):
            raise BadRequest(f"The argument '{name}' holds a value of a wrong type.")
        return values
