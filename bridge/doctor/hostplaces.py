"""Finds settings in a host.json, whose names may have any letter case, and finds what only Azure's host rejects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge.doctor import known
from bridge.doctor.document import Key
from bridge.local.functions import apphostjson, servicebushostjson, timespans

_STRATEGIES = {"fixeddelay": ("delayInterval",), "exponentialbackoff": ("minimumInterval", "maximumInterval")}
_BUNDLES = tuple(f"Microsoft.Azure.Functions.ExtensionBundle{kind}" for kind in ("", ".Preview", ".Experimental", ".Workflows"))
_MOST_MESSAGES = 32  #: of one batch of a storage queue
#: Sections that extensions have, for names that are nearly one of them; others are left alone.
_EXTENSIONS = ("http", "serviceBus", "queues", "blobs", "tables", "cosmosDB", "durableTask", "eventHubs", "eventGrid", "kafka", "rabbitMQ")


def found(content: object, names: Sequence[str]) -> tuple[Key, ...]:
    """The path of a setting with the letter case of the file. Parts that the file does not have keep the given name."""
    path: list[Key] = []
    for name in names:
        keys = content if isinstance(content, Mapping) else ()
        key = next((each for each in keys if str(each).lower() == name.lower()), name)
        content = content.get(key) if isinstance(content, Mapping) else None
        path.append(key)
    return tuple(path)


def of_problem(content: object, problem: str) -> tuple[Key, ...]:
    """The path of the setting that a problem names; empty if it names none."""
    named = re.search(r"[A-Za-z$]\w*(\.\w+)*", problem)
    names = named[0].split(".") if named else []
    if len(names) == 3 and apphostjson.entry(content, *names) is None:
        names = [*names[:2], *servicebushostjson.old_name(apphostjson.entry(content, *names[:2]), names[2])]
    while names and apphostjson.entry(content, *names) is None and len(names) > 1:
        names.pop()
    return found(content, names)


def unknown_extensions(content: object) -> Iterator[tuple[str, Sequence[str]]]:
    """Entries of `extensions` that are no section of an extension or misspell one, each with the names that may be meant."""
    sections = apphostjson.entry(content, "extensions")
    for name, value in sections.items() if isinstance(sections, Mapping) else ():
        is_known = str(name).lower() in map(str.lower, _EXTENSIONS)
        if not is_known and (not isinstance(value, Mapping) or known.near(str(name), _EXTENSIONS)):
            yield str(name), _EXTENSIONS


def refused(content: object) -> Iterator[str]:
    """Problems for which Azure's host rejects the file, although the local host accepts it."""
    bundle = apphostjson.entry(content, "extensionBundle", "id")
    if isinstance(bundle, str) and bundle not in _BUNDLES and known.near(bundle, _BUNDLES):
        yield f"extensionBundle.id is {bundle!r}; write {known.near(bundle, _BUNDLES)}"
    prefix = apphostjson.entry(content, "extensions", "http", "routePrefix")
    if isinstance(prefix, str) and prefix.startswith("/"):
        yield f"extensions.http.routePrefix is {prefix!r}, which may not begin with /"
    size = apphostjson.entry(content, "extensions", "queues", "batchSize")
    if isinstance(size, int) and not 1 <= size <= _MOST_MESSAGES:
        yield f"extensions.queues.batchSize is {size}; it must be from 1 to {_MOST_MESSAGES}"
    retry = apphostjson.entry(content, "retry")
    if isinstance(retry, Mapping):
        yield from _retry(retry)


def _retry(retry: Mapping[str, Any]) -> Iterator[str]:
    strategy = apphostjson.entry(retry, "strategy")
    needed = _STRATEGIES.get(str(strategy).lower())
    if needed is None:
        yield f"retry.strategy is {strategy!r}; it must be fixedDelay or exponentialBackoff"
    for name in ("maxRetryCount", *(needed or ())):
        value = apphostjson.entry(retry, name)
        if value is None:
            yield f"retry.{name} is missing"
        elif name != "maxRetryCount" and not _is_time(value):
            yield f"retry.{name} is {value!r}; it must be a time such as '00:00:05'"


def _is_time(value: object) -> bool:
    try:
        timespans.parse(str(value))
    except ValueError:
        return False
    return True
