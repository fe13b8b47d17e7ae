"""Checks the values of `dapr.io/…` annotations (after dapr/dapr, pkg/injector/patcher, and the daprd flags that they become)."""

from __future__ import annotations

import re

from bridge.doctor.values import go_duration, is_truth, number

_PORTS = ("app-port", "grpc-port", "metrics-port", "internal-grpc-port", "debug-port")
_OF_THE_SIDECAR = (3500, 3501, 50001, 50002)
_TRUTHS = frozenset(
    [
        "app-ssl",
        "disable-builtin-k8s-secret-store",
        "enable-api-logging",
        "enable-app-health-check",
        "enable-debug",
        "enable-metrics",
        "enable-native-sidecar",
        "enable-profiling",
        "enabled",
        "inject-pluggable-components",
        "log-as-json",
    ]
)
_NUMBERS = re.compile(
    r"app-max-concurrency|app-health-(probe-interval|probe-timeout|threshold)|graceful-shutdown-seconds|http-max-request-size"
    r"|http-read-buffer-size|sidecar-(liveness|readiness)-probe-.*"
)
_QUANTITIES = re.compile(r"sidecar-(cpu|memory)-(request|limit)|max-body-size|read-buffer-size")
_QUANTITY = re.compile(r"\d+(\.\d+)?([numkMGTPE]|[KMGTPE]i|[eE]\d+)?")
_WORDS = {"app-protocol": ("http", "https", "grpc", "grpcs", "h2c"), "log-level": ("debug", "info", "warn", "error", "fatal")}
_NAMES = frozenset({"api-token-secret", "app-token-secret", "config"})  #: annotations that name another resource
_APP_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,56}[a-z0-9])?")


def mend(name: str, value: str) -> str:
    """How to correct a value; empty if the value is valid."""
    if not name.startswith("dapr.io/"):
        return ""
    key = name.removeprefix("dapr.io/")
    fits, told = True, ""
    if key in _PORTS:
        return _port(key, number(value))
    if key in _TRUTHS:
        fits, told = is_truth(value), 'Write "true" or "false"; the injector takes everything else for false.'
    elif key in _WORDS:
        fits, told = value.lower() in _WORDS[key], f"Write {', '.join(_WORDS[key][:-1])} or {_WORDS[key][-1]}."
    elif _NUMBERS.fullmatch(key):
        fits, told = number(value) is not None, "Write a whole number in quotes; the injector ignores everything else."
    elif _QUANTITIES.fullmatch(key):
        fits, told = _QUANTITY.fullmatch(value) is not None, "Write a quantity such as 100m or 256Mi."
    else:
        told = _others(key, value)
        fits = not told
    return "" if fits else told


def words(name: str) -> tuple[str, ...]:
    """The allowed words of an annotation; empty if any other value is allowed."""
    key = name.removeprefix("dapr.io/")
    return ("true", "false") if key in _TRUTHS else _WORDS.get(key, ())


def _port(key: str, port: int | None) -> str:
    if not 1 <= (port or 0) <= 65535:
        return "Write a port from 1 to 65535."
    return "Write the port of the application; this one is the sidecar's own." if key == "app-port" and port in _OF_THE_SIDECAR else ""


def _others(key: str, value: str) -> str:
    if key == "block-shutdown-duration":
        is_duration = go_duration(value) is not None and (number(value) or 0) == 0
        return "" if is_duration else "Write a duration with a unit, such as 15s."
    if key in _NAMES:
        return "Write the name of the Secret or Configuration that is meant." if is_truth(value) else ""
    if key == "app-id":
        return "" if _APP_ID.fullmatch(value) else "Write small letters, digits and -, at most 58 of them."
    if key in ("env", "env-from-secret"):
        return "" if "=" in value else "Write it like NAME=value,OTHER=value."
    if key in ("volume-mounts", "volume-mounts-rw"):
        return "" if all(":" in each for each in value.split(",")) else "Write it like volume:/path,other:/path."
    return ""
