"""The settings of a function app. The environment wins over `Values` in the app's `local.settings.json`, as in Core Tools."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.files import textfile

_REFERENCE = re.compile(r"%([^%]+)%")
#: Settings of the bridge itself, and the identity of the machine it runs on: functions must not see the ones or log in as the other.
_NOT_PASSED_ON = ("BRIDGE_", "MSI_", "IDENTITY_")
SECRETS = frozenset({"APP_API_TOKEN", "DAPR_API_TOKEN"})  #: what bridge and sidecar know each other by; functions must not see it either


def read(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the app in `directory`. Raises ConfigurationError."""
    inherited = {name: value for name, value in environment.items() if not name.startswith(_NOT_PASSED_ON) and name not in SECRETS}
    return {**_local(directory / "local.settings.json"), **inherited}


def _local(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        content = textfile.read_json(path)
    except (OSError, ValueError) as problem:
        raise ConfigurationError([f"{path} cannot be read: {problem}."]) from problem
    if not isinstance(content, dict) or not isinstance(values := content.get("Values", {}), dict):
        raise ConfigurationError([f'{path} must be an object with `"Values": {{name: text}}`.'])
    if content.get("IsEncrypted"):
        raise ConfigurationError([f"{path} is encrypted, which only Core Tools can read. Run `func settings decrypt`."])
    if not_text := [name for name, value in values.items() if isinstance(value, dict | list)]:
        raise ConfigurationError([f"{path}: {', '.join(not_text)} must be text in quotes, as every app setting in Azure."])
    # Core Tools take a number or true as its text, and leave null out.
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items() if value is not None}
    if unusable := [name for name, value in values.items() if not _fits_the_environment(name, value)]:
        named = ", ".join(map(repr, unusable))
        raise ConfigurationError(
            [f"{path}: {named} cannot be a variable of a process: a name must not be empty or have =, and neither may have NUL."]
        )
    return values


def _fits_the_environment(name: str, value: str) -> bool:
    try:
        return bool(name) and "=" not in name and b"\0" not in os.fsencode(name + value)
    except UnicodeEncodeError:  # half a character, such as "\ud800" in JSON
        return False


def resolve(text: str, settings: Mapping[str, str]) -> str:
    """`text` with each `%NAME%` replaced by the setting. Raises KeyError with the first name that is not set."""
    return _REFERENCE.sub(lambda reference: settings[reference[1]], text)


def expanded(text: str, settings: Mapping[str, str]) -> str:
    """`text` with each `%NAME%` that is a setting replaced by it; others stay as they are."""
    return _REFERENCE.sub(lambda reference: settings.get(reference[1], reference[0]), text)
