"""`extensions.serviceBus` of an app's own host.json, as the Service Bus extension 5 reads it: the names of extension 4 count too.

Of the same setting under both names, that of extension 5 wins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger("bridge.functions")

_OF_EXTENSION_4 = {
    ("messagehandleroptions", "maxconcurrentcalls"): "maxConcurrentCalls",
    ("messagehandleroptions", "maxautorenewduration"): "maxAutoLockRenewalDuration",
    ("messagehandleroptions", "autocomplete"): "autoCompleteMessages",
    ("sessionhandleroptions", "maxconcurrentsessions"): "maxConcurrentSessions",
    ("sessionhandleroptions", "messagewaittime"): "sessionIdleTimeout",
    ("sessionhandleroptions", "maxautorenewduration"): "maxAutoLockRenewalDuration",
    ("sessionhandleroptions", "autocomplete"): "autoCompleteMessages",
    ("batchoptions", "maxmessagecount"): "maxMessageBatchSize",
    ("batchoptions", "autocomplete"): "autoCompleteMessages",
}
_SECTIONS = frozenset(section for section, _ in _OF_EXTENSION_4)
_OF_THE_TRIGGER = ("autoCompleteMessages", "maxMessageBatchSize")
_DEFAULTS = {"minmessagebatchsize": 1, "maxmessagebatchsize": 1000}


def flattened(content: object, path: Path) -> dict[str, Any]:
    """The settings by their names in extension 5. What has no effect is logged; `path` names the file. Raises ValueError."""
    if not isinstance(content, Mapping):
        return {}
    flat = {str(name): value for name, value in content.items() if str(name).lower() not in _SECTIONS}
    known = {name.lower() for name in flat}
    for section, entries in content.items():
        for name, value in entries.items() if str(section).lower() in _SECTIONS and isinstance(entries, Mapping) else ():
            meant = _OF_EXTENSION_4.get((str(section).lower(), str(name).lower()))
            if meant is None:
                log.warning("%s: extensions.serviceBus.%s.%s is not known and has no effect.", path, section, name)
            elif meant.lower() not in known:
                flat[meant] = value
    _check_batches(flat)
    for name in [each for each in flat if each.lower() in map(str.lower, _OF_THE_TRIGGER)]:
        log.warning(
            "%s: extensions.serviceBus.%s has no effect on functions in these languages, here or in Azure; write it in the trigger of a"
            " function.json.",
            *(path, name),
        )
    return {name: value for name, value in flat.items() if name.lower() != "autocompletemessages"}


def old_name(content: object, name: str) -> tuple[str, ...]:
    """The names under which a setting stands that is written as extension 4 has it; its own name if it is not."""
    for (section, old), meant in _OF_EXTENSION_4.items():
        entries = (
            next((value for each, value in content.items() if str(each).lower() == section), None) if isinstance(content, Mapping) else None
        )
        if meant.lower() == name.lower() and isinstance(entries, Mapping):
            written = next((str(each) for each in entries if str(each).lower() == old), None)
            if written is not None:
                return section, written
    return (name,)


def _check_batches(flat: Mapping[str, Any]) -> None:
    """Raises ValueError for limits with which Azure's host never starts."""
    given = {**_DEFAULTS, **{name.lower(): value for name, value in flat.items()}}
    smallest, largest = (str(given[name]) for name in _DEFAULTS)
    if smallest.isdecimal() and largest.isdecimal() and int(smallest) > int(largest):
        raise ValueError(f"extensions.serviceBus has minMessageBatchSize {smallest} over maxMessageBatchSize {largest}; lower it")
