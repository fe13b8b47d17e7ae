"""host.json, checked: the root file merged with an app's `host.override.json` (schema version 2.0, Service Bus extension 5).

Unknown keys are refused, because Azure ignores them in silence.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bridge.errors import ConfigurationError
from bridge.files import textfile

_TIME = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,7})?)")
_RETIRED = {
    "messageHandlerOptions": "write maxConcurrentCalls, maxAutoLockRenewalDuration and autoCompleteMessages directly below serviceBus",
    "sessionHandlerOptions": "write maxConcurrentSessions and sessionIdleTimeout directly below serviceBus",
    "batchOptions": "write maxMessageBatchSize directly below serviceBus",
    "maxAutoRenewDuration": "write maxAutoLockRenewalDuration",
    "autoComplete": "write autoCompleteMessages",
}
"""Keys of the Service Bus extension 4, out of support since 2025-03-31, with what took their place."""


def _time(value: object) -> object:
    """A .NET TimeSpan, "[d.]hh:mm:ss[.f]"."""
    if isinstance(value, timedelta):
        return value
    written = _TIME.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        raise ValueError('must be a time like "00:05:00"')
    days, hours, minutes, seconds = written.groups()
    try:
        return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))
    except OverflowError:
        raise ValueError("is a longer time than can be counted") from None


def _timeout(value: object) -> object:
    return None if value in ("-1", -1, None) else _time(value)


Time = Annotated[timedelta, BeforeValidator(_time)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class ClientRetryOptions(_Section):
    """How what functions send is sent again when the broker cannot take it."""

    mode: Literal["Exponential", "Fixed"] = "Exponential"
    try_timeout: Time = timedelta(minutes=1)
    delay: Time = timedelta(seconds=0.8)
    max_delay: Time = timedelta(minutes=1)
    max_retries: int = 3


class ServiceBus(_Section):
    """`extensions.serviceBus`; the host acts on concurrency, sessions, the renewal of locks and retries."""

    max_concurrent_calls: int = Field(default=16, ge=1)
    max_auto_lock_renewal_duration: Time = timedelta(minutes=5)
    auto_complete_messages: Literal[True] = True
    client_retry_options: ClientRetryOptions = ClientRetryOptions()
    prefetch_count: int = Field(default=0, ge=0)
    transport_type: Literal["amqpTcp", "amqpWebSockets"] = "amqpTcp"
    web_proxy: str = ""
    max_concurrent_sessions: int = Field(default=8, ge=1)
    max_concurrent_calls_per_session: int = Field(default=1, ge=1)
    max_message_batch_size: int = Field(default=1000, ge=1)
    min_message_batch_size: int = Field(default=1, ge=1)
    max_batch_wait_time: Time = timedelta(seconds=30)
    session_idle_timeout: Time | None = None
    enable_cross_entity_transactions: bool = False


class Http(_Section):
    """`extensions.http`."""

    route_prefix: str = "api"
    max_concurrent_requests: int = -1  #: a limit; below 0 is none
    max_outstanding_requests: int = -1
    dynamic_throttles_enabled: bool = False
    hsts: dict[str, Any] | None = None
    custom_headers: dict[str, str] | None = None


class Extensions(_Section):
    """The extensions this host knows."""

    http: Http = Http()
    service_bus: ServiceBus = ServiceBus()


class ExtensionBundle(_Section):
    """Which bindings Azure loads; 4.x brings the Service Bus extension 5."""

    id: Literal["Microsoft.Azure.Functions.ExtensionBundle"]
    version: Annotated[str, Field(pattern=r"^\[4\.")]


class HostJson(_Section):
    """The merged file."""

    version: Literal["2.0"]
    function_timeout: Annotated[timedelta | None, BeforeValidator(_timeout)] = timedelta(minutes=30)
    extensions: Extensions = Extensions()
    extension_bundle: ExtensionBundle | None = None
    logging: dict[str, Any] = {}
    telemetry_mode: Literal["OpenTelemetry", "ApplicationInsights"] | None = None
    concurrency: dict[str, Any] = {}
    managed_dependency: dict[str, Any] = {}
    health_monitor: dict[str, Any] = {}
    retry: dict[str, Any] | None = None
    singleton: dict[str, Any] = {}
    watch_directories: list[str] = []
    watch_files: list[str] = []
    functions: list[str] = []  #: the only ones that are run; none is all


def read(root: Path, app: Path) -> HostJson:
    """The root file with the override of the app in folder `app`, for an app without a host.json.

    Raises ConfigurationError with every problem.
    """
    return check(*merged(root, app))


def merged(root: Path, app: Path) -> tuple[dict[str, Any], str]:
    """What `read` checks, and how messages name it. Raises ConfigurationError."""
    override = app / "host.override.json"
    if not root.exists():
        raise ConfigurationError([f"{root} does not exist; --host-json must name the host.json that all apps share."])
    content = merge(read_object(root), read_object(override) if override.exists() else {})
    return content, f"{root} with {override}" if override.exists() else str(root)


def check(content: dict[str, Any], named: str) -> HostJson:
    """The settings in `content`. Raises ConfigurationError with every problem, each with its path in the file."""
    try:
        return HostJson.model_validate(content)
    except ValidationError as invalid:
        raise ConfigurationError(explain(named, invalid)) from invalid


def explain(named: str, invalid: ValidationError) -> list[str]:
    """What is wrong with the settings, each with its path in the file."""
    return [_problem(named, each["loc"], each["msg"], each["type"]) for each in invalid.errors()]


def _problem(named: str, location: tuple[int | str, ...], message: str, kind: str) -> str:
    key, path = str(location[-1]), ".".join(map(str, location))
    if key in _RETIRED:
        return f"{named}: {path} belongs to extension 4.x and has no effect; {_RETIRED[key]}."
    if key == "autoCompleteMessages":
        return f"{named}: {path} must be true: Python functions cannot settle a message themselves."
    if kind == "extra_forbidden":
        return f"{named}: {path} is not a setting of host.json that this host knows; remove it or check its spelling."
    if kind == "missing":
        return f'{named}: {path} is missing; host.json needs "version": "2.0".' if key == "version" else f"{named}: {path} is missing."
    return f"{named}: {path}: {message.removeprefix('Value error, ')}."


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`, object by object; anything else is replaced whole."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def read_object(path: Path) -> dict[str, Any]:
    """What a host.json says, unchecked. Raises ConfigurationError if it cannot be read or is not one JSON object."""
    try:
        content = textfile.read_json(path)
    except (OSError, ValueError) as problem:
        raise ConfigurationError([f"{path} cannot be read: {problem}."]) from problem
    if not isinstance(content, dict):
        raise ConfigurationError([f"{path} must hold one JSON object."])
    return content
