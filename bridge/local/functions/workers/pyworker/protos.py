"""Stand-ins for the messages of Microsoft's worker protocol (FunctionRpc), as far as `azure-functions-runtime` makes or reads them.

In Azure these are protobuf classes that a proxy brings along; the runtime only sets and reads their attributes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class _OneOf(SimpleNamespace):
    """A message of which exactly one field is set."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        """The name of the field that is set."""
        return next(iter(vars(self)), None)


class TypedData(_OneOf):
    """One value with its kind."""


class ParameterBinding(SimpleNamespace):
    """A value for the parameter `name`."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        """Values never come through shared memory here."""
        return "data"


class StatusResult(SimpleNamespace):
    """How a request ended; `exception` says why it failed."""

    Failure, Success = 0, 1


class BindingInfo(SimpleNamespace):
    """Direction and data type of a binding, numbered as in the protocol."""

    inout, out = 2, 1
    undefined = 0


class SameSite:
    """The SameSite attribute of a cookie."""

    Lax, Strict, ExplicitNone = "Lax", "Strict", "None"


setattr(SameSite, "None", "")


class RpcHttpCookie(SimpleNamespace):
    """A cookie; the optional attributes are None or carry `value`."""

    SameSite = SameSite


#: Messages without behaviour, by name.
PLAIN = (
    "FunctionLoadResponse",
    "FunctionMetadataResponse",
    "InvocationResponse",
    "NullableBool",
    "NullableDouble",
    "NullableString",
    "NullableTimestamp",
    "RpcException",
    "RpcFunctionMetadata",
    "RpcHttp",
    "RpcRetryOptions",
    "Timestamp",
    "WorkerInitResponse",
    "WorkerMetadata",
)


def namespace() -> SimpleNamespace:
    """Every class under its protocol name, as the runtime looks them up."""
    classes: dict[str, Any] = dict.fromkeys(PLAIN, SimpleNamespace)
    classes |= {each.__name__: each for each in (TypedData, ParameterBinding, StatusResult, BindingInfo, RpcHttpCookie)}
    return SimpleNamespace(**classes)
