"""Adds an entry to the text of a catalogue. What is there stays as it is, comments included."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bridge import catalog
from bridge.errors import ConfigurationError


def added(before: str | None, entry: str, automation: str, path: Path) -> str:
    """The catalogue with the entry at its end. `path` is where it stands, for messages.

    Raises ConfigurationError if the catalogue cannot be read as it is, has an automation of this name, or cannot be read with the entry.
    """
    if before is not None and automation in _loaded(before, path).automations:
        raise ConfigurationError([f"{path} has an automation {automation!r} already. Take another name."])
    whole = entry if before is None or not before.strip() else f"{before.rstrip()}\n---\n{entry}"
    _loaded(whole, path)
    return whole


def _loaded(text: str, path: Path) -> catalog.Catalog:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "catalogue.yaml"
        copy.write_text(text, encoding="utf-8")
        try:
            return catalog.load(copy)
        except ConfigurationError as fault:
            raise ConfigurationError([problem.replace(str(copy), str(path)) for problem in fault.problems]) from None
