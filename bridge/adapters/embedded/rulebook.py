"""The rules of all subscriptions: those of the entities file, and what clients have added and removed since, durably."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bridge.adapters.embedded import rules
from bridge.adapters.embedded.amqp.brokererrors import BadFilter, EntityNotFound, NotAllowed, RuleExists, RuleNotFound
from bridge.adapters.embedded.amqp.filterrules import CorrelationFilter, FalseFilter, FilterRule, SqlFilter, TrueFilter
from bridge.adapters.embedded.amqp.outgoing import decode_properties, encode_properties
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.rules import CompiledRule
from bridge.entities import Entities

SCHEMA = (
    # A row without a definition removes a rule of the entities file.
    """CREATE TABLE IF NOT EXISTS rules(source TEXT NOT NULL, name TEXT NOT NULL, definition TEXT, properties BLOB,
        PRIMARY KEY(source, name))""",
)
MOST_RULES = 2_000  #: of one subscription (Azure's quota of filters of a topic)
_STORE = "INSERT OR REPLACE INTO rules(source, name, definition, properties) VALUES(?, ?, ?, ?)"
_FILTERS = {"true": TrueFilter, "false": FalseFilter, "sql": SqlFilter, "correlation": CorrelationFilter}


class Rulebook:
    """The rules of each subscription, named "topic/subscription". Names of rules differ by more than case.

    `changed` is called when rules were read, added or removed.
    """

    def __init__(self, entities: Entities, database: Database, changed: Callable[[], None] = lambda: None) -> None:
        self._database, self._tell = database, changed
        self._rules: dict[str, dict[str, CompiledRule]] = {}
        for topic in entities.topics:
            for subscription in topic.subscriptions:
                given = [rules.of_entity(rule) for rule in subscription.rules] or [rules.DEFAULT]
                self._rules[f"{topic.name}/{subscription.name}"] = {_key(rule.name): rules.compile_rule(rule) for rule in given}
        self._selecting: dict[str, Sequence[CompiledRule] | None] = {}
        for path in self._rules:
            self._choose(path)

    async def start(self) -> None:
        """Read what clients have added and removed. Raises Unavailable."""
        for path, name, definition, properties in self._database.read("SELECT source, name, definition, properties FROM rules"):
            known = self._rules.get(path, {})
            known.pop(_key(name), None)
            if definition is not None:
                known[_key(name)] = rules.compile_rule(_read(name, definition, properties))
        for path in self._rules:
            self._choose(path)
        self._tell()

    def selecting(self, path: str) -> Sequence[CompiledRule] | None:
        """The rules of a subscription; None if it takes every message as it is."""
        return self._selecting[path]

    def rules(self, path: str) -> list[FilterRule]:
        """The rules of a subscription, in the order of their names. Raises EntityNotFound."""
        return [rule.definition for _, rule in sorted(self._of(path).items())]

    async def add(self, path: str, rule: FilterRule) -> None:
        """Add a rule, durably. Raises EntityNotFound, RuleExists, BadFilter, NotAllowed for one too many; Full or Unavailable."""
        known = self._of(path)
        if _key(rule.name) in known:
            raise RuleExists(f"The subscription {path} has a rule named {rule.name!r} already; remove that first.")
        if len(known) >= MOST_RULES:
            raise NotAllowed(f"The subscription {path} has {len(known):,} rules; no more are taken.")
        if not rule.name or len(rule.name) > 50:
            raise BadFilter(f"The name of a rule has 1 to 50 characters, not {len(rule.name)}.")
        compiled = rules.compile_rule(replace(rule, created=rule.created or datetime.now(UTC)))
        await self._store(path, compiled.name, *_written(compiled.definition))
        self._of(path)[_key(rule.name)] = compiled
        self._changed(path)

    async def remove(self, path: str, name: str) -> None:
        """Remove a rule, durably. Raises EntityNotFound, RuleNotFound; Full or Unavailable."""
        if _key(name) not in self._of(path):
            raise RuleNotFound(f"The subscription {path} has no rule named {name!r}.")
        await self._store(path, self._of(path)[_key(name)].name, None, None)
        self._of(path).pop(_key(name), None)
        self._changed(path)

    async def _store(self, path: str, name: str, definition: str | None, properties: bytes | None) -> None:
        def store(connection: sqlite3.Connection) -> None:
            connection.execute(_STORE, (path, name, definition, properties))

        await self._database.write(partial(store))

    def _of(self, path: str) -> dict[str, CompiledRule]:
        if path not in self._rules:
            raise EntityNotFound(f"There is no subscription {path!r}.")
        return self._rules[path]

    def _changed(self, path: str) -> None:
        self._choose(path)
        self._tell()

    def _choose(self, path: str) -> None:
        known = tuple(rule for _, rule in sorted(self._rules[path].items()))
        all_of_them = len(known) == 1 and isinstance(known[0].definition.filter, TrueFilter) and known[0].action is None
        self._selecting[path] = None if all_of_them else known


def _key(name: str) -> str:
    return name.casefold()


def _written(rule: FilterRule) -> tuple[str, bytes]:
    kind = next(kind for kind, its in _FILTERS.items() if isinstance(rule.filter, its))
    fields = {name: value for name, value in asdict(rule.filter).items() if name != "properties" and value is not None}
    properties = rule.filter.properties if isinstance(rule.filter, CorrelationFilter) else {}
    created = rule.created.isoformat() if rule.created else None
    definition = {"version": 1, "filter": kind, "fields": fields, "action": rule.action, "created": created}
    return json.dumps(definition), encode_properties(properties)


def _read(name: str, definition: str, properties: bytes) -> FilterRule:
    read: Mapping[str, Any] = json.loads(definition)
    fields = dict(read["fields"])
    if read["filter"] == "correlation":
        fields["properties"] = decode_properties(properties)
    created = datetime.fromisoformat(read["created"]) if read["created"] else None
    return FilterRule(name, _FILTERS[read["filter"]](**fields), read["action"], created)
