"""Reads the files that configure a bridge (catalogue, policies and entities), and checks that they fit each other and the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge import catalog, entities, events, resilience
from bridge.catalog import Catalog
from bridge.entities import Entities
from bridge.errors import ConfigurationError
from bridge.resilience import Policies
from bridge.settings import RuntimeName, Settings


@dataclass(frozen=True)
class Plans:
    """The contents of the configuration files: catalogue, policies and entities."""

    catalog: Catalog
    policies: Policies
    entities: Entities


def read_plans(settings: Settings) -> Plans:
    """Read catalogue, policies and entities. Raises ConfigurationError with the problems of all three files."""
    problems: list[str] = []

    def read(load: Callable[[Path], Any], path: Path) -> Any:
        try:
            return load(path)
        except ConfigurationError as fault:
            problems.extend(fault.problems)
            return None

    plans = Plans(
        read(catalog.load, settings.catalogue), read(resilience.load, settings.resiliency), read(entities.load, settings.entities)
    )
    if not problems:
        problems = list(_mismatches(plans, settings))
    if problems:
        raise ConfigurationError(problems)
    return plans


def _mismatches(plans: Plans, settings: Settings) -> Iterator[str]:
    """Problems of files that are valid alone but do not fit each other."""
    topics, queues = {each.name for each in plans.entities.topics}, {each.name for each in plans.entities.queues}
    for automation in plans.catalog:
        for target in automation.targets:
            where = f"{settings.catalogue} ({automation.name}), target {target.name}"
            kind, known = ("topic", topics) if target.topic else ("queue", queues)
            if target.bus and target.bus.name not in known:
                yield f"{where}: the {kind} {target.bus.name!r} is not in {settings.entities}; add it there or correct the name"
            if target.bus and target.bus.completes == "settled" and settings.functions is None:
                yield (
                    f"{where}: completes: settled needs a functions host that reports settlements, and only the local one does; "
                    "start it with functions, or use published, which ends with the broker's yes"
                )
    if settings.servicebus_port is not None and settings.runtime is not RuntimeName.EMBEDDED and not settings.feeds_functions:
        yield "servicebus_port: only the embedded runtime has a queue; leave it out, or run `bridge local servicebus` beside the bridge"
    yield from _without_sidecar(settings)
    yield from _request_topics(plans.entities, settings)
    for topic in (events.REQUESTS, events.INVOCATIONS, events.RESULTS, events.TIMERS, events.DEADLETTERS, *settings.reply_topics):
        if topic not in topics | queues:
            yield f"{settings.entities}: {topic!r} is missing; the bridge needs it"
    if settings.default_reply_topic not in settings.reply_topics:
        yield f"default_reply_topic {settings.default_reply_topic!r} is not one of reply_topics {list(settings.reply_topics)}; add it there"


def _without_sidecar(settings: Settings) -> Iterator[str]:
    """Function apps that only a sidecar can call, although there is none."""
    for name, app in settings.function_apps.items():
        if app.app_id is not None and settings.runtime is not RuntimeName.DAPR:
            yield f"function_apps: {name} has an app_id, which only a sidecar can call; give its url, or start with --runtime dapr"


def _request_topics(listed: Entities, settings: Settings) -> Iterator[str]:
    """Problems of the additional topics on which requests arrive."""
    sources = {source for source, _ in listed.sources}
    for topic in settings.topics:
        if topic in (events.INVOCATIONS, events.RESULTS, events.TIMERS, events.DEADLETTERS):
            yield f"topics: {topic!r} is a topic of the bridge itself; name one that requests arrive on"
        elif topic != events.REQUESTS and f"{topic}/bridge" not in sources:
            yield f"topics: {topic!r} has no subscription 'bridge' in {settings.entities}; add it there, as {events.REQUESTS!r} has it"


def uncounted(catalogue: Catalog, settings: Settings) -> Iterator[str]:
    """The targets with `errors: fail` whose errors nothing counts, each with the consequence."""
    for automation in catalogue:
        for target in automation.targets:
            called, bus = target.http, target.bus
            asked = called is not None and called.errors == "fail" and called.app in settings.function_apps
            if asked or (bus is not None and bus.errors == "fail" and settings.functions is None):
                yield (
                    f"{automation.name}, target {target.name}: errors: fail has no effect, because only the local functions host counts "
                    "the errors of a function; let it throw (ErrorActionPreference = 'Stop')"
                )
