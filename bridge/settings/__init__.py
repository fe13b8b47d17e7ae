"""All settings, as one frozen object. `load` reads them once: from flags, then the environment, then a file, then the defaults.

A setting is written `--data-dir` as a flag, `BRIDGE_DATA_DIR` in the environment and `data_dir` in the file. In the environment, nested
keys are joined with `__`, an empty value counts as not set, and a value that starts with `[` or `{` is read as JSON. The object itself does
nothing: it opens no socket, creates no folder and reads no key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bridge.durations import Duration
from bridge.errors import ConfigurationError
from bridge.files import packaged
from bridge.settings import sources
from bridge.settings.values import (
    Address,
    AppName,
    Bytes,
    CertificateSource,
    EventBytes,
    Location,
    Name,
    Origin,
    Positive,
    Span,
    Topic,
    Wait,
)

MAKE_A_TOKEN = "python3 -c 'import hashlib, secrets; t = secrets.token_urlsafe(32); print(t, hashlib.sha256(t.encode()).hexdigest())'"  # noqa: S105 - the command that makes one
"""Prints a token and its SHA-256: the first is for the caller, the second for the settings."""


class RuntimeName(StrEnum):
    """The runtimes: what transports events, stores state and makes calls."""

    EMBEDDED = "embedded"
    DAPR = "dapr"


class LogFormat(StrEnum):
    """The formats of log lines: text for people, or JSON objects."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The lowest severity that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Token(_Frozen):
    """A token that may call the API: the SHA-256 of a bearer token, and the roles of its owner."""

    name: Name
    """The owner, as runs and logs name it."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    """SHA-256 of the token in hex, 64 characters; the token itself is kept nowhere."""
    roles: tuple[Name, ...] = ()
    """What `allow` in the catalogue is compared with; `admin` may see everything."""

    @field_validator("sha256", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


class TopicIdentity(_Frozen):
    """The caller of all events on a topic. Whoever can publish to the topic acts under this name."""

    submitter: Name
    """The submitter of every run that starts from the topic."""
    roles: tuple[Name, ...] = ()
    """What `allow` in the catalogue is compared with."""


class FunctionApp(_Frozen):
    """A function app that the local host does not run: at a URL, or behind a Dapr sidecar that it has itself."""

    url: Address | None = None
    """Its address, such as https://python-functions.azurewebsites.net."""
    app_id: Name | None = None
    """Instead of an address the app id of its own Dapr sidecar, which the bridge's sidecar calls. With the runtime dapr only."""
    key_file: Location | None = None
    """A file that holds the function key, such as a mounted secret."""
    key_env: str | None = None
    """The environment variable that holds the function key."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.key_file is not None and self.key_env is not None:
            raise ValueError("expected key_file or key_env, not both")
        return self

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.app_id is None):
            raise ValueError("expected url or app_id, one of the two")
        return self


class ServiceBusNamespace(_Frozen):
    """A Service Bus namespace: by name, with the identity of this process, or by a connection string in a file."""

    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")] | None = None
    """Its host, such as my-bus.servicebus.windows.net. The bridge signs in with Entra: workload or managed identity, or `az login`."""
    connection_string_file: Location | None = None
    """A file with a connection string, such as a mounted secret, or the servicebus.json of `bridge local servicebus`."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.namespace is None) == (self.connection_string_file is None):
            raise ValueError("expected namespace or connection_string_file, one of the two")
        return self


class Settings(_Frozen):
    """All settings, validated. Sizes are in bytes, times are durations, and relative paths start at the working directory."""

    tokens: tuple[Token, ...] = ()
    """Who may call the API. Without any, everybody on this machine may, and nobody else."""
    runtime: RuntimeName = RuntimeName.EMBEDDED
    """What carries events, state and calls: embedded (this process and one file) or dapr (the sidecar)."""
    host: str = "127.0.0.1"
    """The address the API listens on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """The port the API listens on; 0 takes a free one."""
    public_url: Address | None = None
    """The address under which functions and callers reach the API, for links and progress; without it there are none in events."""
    cors_origins: tuple[Origin, ...] = ()
    """Origins whose pages may call the API from a browser, such as https://console.example.com; without tokens loopback ones only."""
    data_dir: Location = Path(".bridge")
    """The folder for the embedded runtime's file, keys and logs."""
    catalogue: Location = Path("functions/automations.yaml")
    """The automations, one YAML document each."""
    resiliency: Location = Path("functions/resiliency.yaml")
    """Retries, timeouts and circuit breakers of function calls, in Dapr's Resiliency schema."""
    entities: Location = Path("components/servicebus.json")
    """Topics, queues and subscriptions, in the shape of the Service Bus emulator's configuration."""
    functions: Location | None = None
    """Start the local functions host for the function apps below this folder."""
    functions_port: Annotated[int, Field(ge=0, le=65535)] = 7071
    """The port of the local functions host."""
    timers: bool = False
    """Run timer functions there by their schedules; otherwise they run by hand only."""
    function_apps: Mapping[AppName, FunctionApp] = {}
    """Function apps elsewhere, by the name the catalogue uses; in a variable name `_` stands for `-`."""
    topics: Mapping[Topic, TopicIdentity] = {"automation-requests": TopicIdentity(submitter="automation-requests")}
    """The topics that requests arrive on, each with the caller they count as. Setting any replaces the default one."""
    reply_topics: tuple[Topic, ...] = ("automation-replies",)
    """The topics a request may name for its reply."""
    default_reply_topic: Topic = "automation-replies"
    """Where the reply goes if the request names no topic."""
    follow_origins: tuple[Origin, ...] = ()
    """Where else than at its app the status of work may be asked that a function answered 202 for, such as `https://status.example.com`."""
    retention: Span = timedelta(days=7)
    """How long an ended run can be looked up."""
    max_input_bytes: Bytes = 2**20
    """The largest input of one request, in bytes."""
    max_event_bytes: EventBytes | None = None
    """The largest event that the bus carries, in bytes; what leads to a larger one is refused. None: whatever the limits allow."""
    max_batch_bytes: Bytes = 4 * 2**20
    """The largest batch of events, in bytes."""
    max_bodies_in_hand: Bytes = 64 * 2**20
    """The most bytes that the bodies of all requests under way may have together; more are refused with 503."""
    max_output_bytes: Bytes = 1_000_000
    """The largest output of one run, in bytes; more makes the run fail with OutputTooLarge."""
    max_wait: Wait = timedelta(seconds=60)
    """The longest a request may wait for its answer, at most 60s."""
    drain: Duration = timedelta(seconds=10)
    """How long running calls may go on after SIGTERM."""
    cancel_grace: Duration = timedelta(seconds=30)
    """How long a canceled function may take to stop before its run ends without it."""
    dispatch_lease: Span = timedelta(seconds=30)
    """How long the sending of one work item to its topic may take before it counts as lost and is repeated."""
    sweep_every: Span = timedelta(seconds=30)
    """How often runs past their deadline are looked for."""
    queue_limit: Positive = 200_000
    """The most messages the embedded queue holds; more are refused with 503."""
    data_limit: Bytes = 8 * 2**30
    """The largest the embedded file may grow, in bytes; requests beyond are refused with 503."""
    servicebus: ServiceBusNamespace | None = None
    """The Service Bus namespace whose dead letters are shown, and that functions without a connection of their own use in place of the
    bridge's queue: {namespace: HOST}, or {connection_string_file: FILE}."""
    servicebus_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """The port where Service Bus clients (AMQP) reach the embedded queue. Azure's is 5672; 0, and functions without it, take a free one."""
    servicebus_tls: bool = False
    """Whether that port speaks TLS, with a certificate made in data_dir."""
    servicebus_host: str = "127.0.0.1"
    """The address that port is on. One that others can reach needs servicebus_tls."""
    with_sidecar: bool = False
    """Start a Dapr sidecar beside the bridge and keep it running (runtime dapr)."""
    daprd: Location | None = None
    """The sidecar's program; otherwise it is looked for on the PATH, in ~/.dapr/bin and in the checkout's cache."""
    resources: Location = Path("components/local")
    """The folder of components that a sidecar started by the bridge is given, with its configuration.yaml."""
    deliveries_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """The loopback port where the sidecar brings events, its --app-port; without it APP_PORT, else 8081. 0 takes a free one."""
    dapr_bus: Name = "bus"
    """The pub/sub component that carries the topics."""
    dapr_queues: Name = "queues"
    """The pub/sub component that carries what is a queue and no topic; where there is none, dapr_bus does."""
    dapr_store: Name = "store"
    """The state component that keeps the runs."""
    signing_key_file: Location | None = None
    """A file such as a mounted secret, 32 characters or more: the key that signs what the API has checked. Without it the store has one."""
    replica: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
    """The name of this bridge among those on the same state store (runtime dapr); without it host name and deliveries_port."""
    certificates: tuple[CertificateSource, ...] = ()
    """Whose end /metrics shows: files in PEM, and servers such as tls://127.0.0.1:50002, the sidecar, whose authorities count."""
    log_format: LogFormat = LogFormat.CONSOLE
    """How log lines look: console or json."""
    log_level: LogLevel = LogLevel.INFO
    """The least severe lines that are logged: debug, info, warning or error."""

    @property
    def feeds_functions(self) -> bool:
        """Whether the functions beside the bridge get their messages from the bridge's own queue."""
        return self.functions is not None and self.servicebus is None

    @field_validator("tokens")
    @classmethod
    def _distinct(cls, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        if len({token.sha256 for token in tokens}) < len(tokens):
            raise ValueError("two tokens have the same sha256; each needs its own")
        # An owner has two tokens while one of them takes the place of the other.
        if len({(token.name, frozenset(token.roles)) for token in tokens}) > len({token.name for token in tokens}):
            raise ValueError("two tokens of one name have different roles; give both the same, or each a name of its own")
        return tokens

    @field_validator("host")
    @classmethod
    def _only_loopback_without_tokens(cls, host: str, info: ValidationInfo) -> str:
        if info.data.get("tokens") == () and not is_loopback(host):
            raise ValueError(
                f"expected a loopback address such as 127.0.0.1, because there are no tokens and everybody who reaches the API could "
                f"use it. Make a token with {MAKE_A_TOKEN} and put the second word under `tokens` as sha256, with a name and roles"
            )
        return host

    @field_validator("cors_origins")
    @classmethod
    def _own_pages_without_tokens(cls, origins: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        strangers = [each for each in origins if not is_loopback(urlsplit(each).hostname or "")]
        if strangers and info.data.get("tokens") == ():
            raise ValueError(
                f"expected loopback origins such as http://localhost:3000 and not {strangers[0]}, because there are no tokens and its "
                f"pages could do everything. Make a token with {MAKE_A_TOKEN} and put the second word under `tokens` as sha256, with a "
                "name and roles"
            )
        return origins

    @field_validator("servicebus_host")
    @classmethod
    def _only_loopback_without_tls(cls, host: str, info: ValidationInfo) -> str:
        if not info.data.get("servicebus_tls") and not is_loopback(host):
            raise ValueError(
                "expected a loopback address such as 127.0.0.1, or servicebus_tls, because others could read keys and messages"
            )
        return host

    @field_validator("default_reply_topic")
    @classmethod
    def _on_the_list(cls, topic: str, info: ValidationInfo) -> str:
        if topic not in info.data.get("reply_topics", (topic,)):
            raise ValueError("expected one of reply_topics; add it there or choose another")
        return topic


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Settings:
    """Read the settings. `flags` are named like the fields (`config` names the file); None is a flag that was not given.

    Raises ConfigurationError with every problem: where the value came from, the value, and what is expected.
    """
    found, problems = sources.gather(flags, environ, cwd)
    merged: dict[str, Any] = sources.merged(found)
    try:
        settings = Settings.model_validate(merged, context={"cwd": cwd})
    except ValidationError as fault:
        problems += [sources.explain(found, error, _fields(error["loc"])) for error in fault.errors(include_url=False)]
        raise ConfigurationError(list(dict.fromkeys(problems))) from None
    if problems:
        raise ConfigurationError(problems)
    return _with_packaged_files(settings)


def _with_packaged_files(settings: Settings) -> Settings:
    """The settings, with the files of the package in place of files that were not named and do not exist."""
    files = {"catalogue": "automations.yaml", "resiliency": "resiliency.yaml", "entities": "servicebus.json"}
    unnamed = {name: file for name, file in files.items() if name not in settings.model_fields_set}
    return settings.model_copy(update={name: packaged.instead_of(getattr(settings, name), file) for name, file in unnamed.items()})


def log_format(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> LogFormat:
    """The log format, even if other settings are invalid, so that their errors are logged in that format."""
    found, _ = sources.gather(flags, environ, cwd)
    return LogFormat.JSON if sources.merged(found).get("log_format") == LogFormat.JSON else LogFormat.CONSOLE


_NESTED: Mapping[str, type[BaseModel]] = {"tokens": Token, "topics": TopicIdentity, "function_apps": FunctionApp}


def _fields(place: tuple[int | str, ...]) -> Mapping[str, str]:
    """The keys that are allowed at this place, each with its meaning."""
    if place[0] == "servicebus":
        model: type[BaseModel] = ServiceBusNamespace
    else:
        model = _NESTED.get(str(place[0]), Settings) if len(place) > 2 else Settings
    return {name: info.description or "" for name, info in model.model_fields.items()}
