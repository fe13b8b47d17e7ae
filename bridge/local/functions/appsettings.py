"""An app's settings: the environment, then `Values` of its `local.settings.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import ConfigurationError

_REFERENCE = re.compile(r"%([^%]+)%")
_OWN = "BRIDGE_"  #: settings of the bridge itself, which functions have no business with


def read(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the app in `directory`. Raises ConfigurationError."""
    inherited = {name: value for name, value in environment.items() if not name.startswith(_OWN)}
    return {**_local(directory / "local.settings.json"), **inherited}


def _local(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise ConfigurationError([f"{path} cannot be read: {problem}."]) from problem
    if not isinstance(content, dict) or not isinstance(values := content.get("Values", {}), dict):
        raise ConfigurationError([f'{path} must be an object with `"Values": {{name: text}}`.'])
    if content.get("IsEncrypted"):
        raise ConfigurationError([f"{path} is encrypted, which only Core Tools can read. Run `func settings decrypt`."])
    if wrong := [name for name, value in values.items() if not isinstance(value, str)]:
        raise ConfigurationError([f"{path}: {', '.join(wrong)} must be text in quotes, as every app setting in Azure."])
    return values


def resolve(text: str, settings: Mapping[str, str]) -> str:
    """`text` with each `%NAME%` replaced by the setting. Raises KeyError with the first name that is not set."""
    return _REFERENCE.sub(lambda reference: settings[reference[1]], text)
