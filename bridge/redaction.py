"""Redacts the values that a schema declares `writeOnly` (JSON Schema validation 2020-12, section 9.4), in inputs and in answers."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from pydantic_core import from_json, to_json

from bridge.schemas.subschemas import References, children, nodes

MASK = "***"
SHORTEST = 6  #: characters; a shorter secret is not searched for, because it would be found inside too many other words
MOST = 100  #: the most secret texts that are searched for; each line of a text with several lines counts as one
MAX_MESSAGE = 2_000  #: the most characters of a message or hint that are kept
MOST_PLACES = 200  #: places of one schema that are told apart
Path = tuple[str, ...]
_MOST_STEPS = 20_000  #: schemas that are visited to find them, each as often as a reference leads there
_APART = "\ud800"  #: half a character, which no text has that came as JSON
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  #: a text that needs no escapes in JSON


def secret_paths(schema: Mapping[str, Any]) -> tuple[Path, ...]:
    """The places that `schema` declares `writeOnly: true`, including those behind local references.

    `*` stands for every item or key, and `**` for any number of levels, as in a schema that refers to itself. If the references of a schema
    lead to too many places, every property with the name of a secret one is masked, at any level.
    """
    try:
        return tuple(dict.fromkeys(_Walk(schema).places()))
    except (RecursionError, OverflowError):
        return _by_name(schema)


class _Walk:
    """A walk through a schema that follows references, and raises OverflowError when it finds too much."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema, self._references = schema, References(schema)
        self._steps = 0

    def places(self) -> Iterator[Path]:
        """The places of all secrets."""
        for number, path in enumerate(self._below(self._schema, (), frozenset())):
            if number >= MOST_PLACES:
                raise OverflowError
            yield path

    def _below(self, node: Any, path: Path, followed: frozenset[str], *, again: bool = False) -> Iterator[Path]:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise OverflowError
        if not isinstance(node, Mapping):
            return
        if node.get("writeOnly") is True:
            yield path
            return
        for reference in _referred(node):
            meant = self._references.meant(reference)
            if reference not in followed:
                yield from self._below(meant, path, followed | {reference}, again=again)
            elif not again:
                yield from ((*path, "**", *rest) for rest in self._below(meant, (), frozenset({reference}), again=True))
        for step, child in children(node):
            yield from self._below(child, (*path, step) if step else path, followed, again=again)


def _referred(node: Mapping[str, Any]) -> Iterator[str]:
    yield from (node[keyword] for keyword in ("$ref", "$dynamicRef") if isinstance(node.get(keyword), str))


def _by_name(schema: Mapping[str, Any]) -> tuple[Path, ...]:
    """Places that cover all secrets: the names of secret properties at any level; the whole value if a secret has no name."""
    references, every = References(schema), list(nodes(schema))
    leads_to: dict[int, list[int]] = {}  # from a schema to those that apply it to the same value
    for node in every:
        same = [child for step, child in children(node) if not step] + [references.meant(each) for each in _referred(node)]
        for each in same:
            leads_to.setdefault(id(each), []).append(id(node))
    secret = {id(node) for node in every if node.get("writeOnly") is True}
    coming = list(secret)
    while coming:
        for number in leads_to.get(coming.pop(), ()):
            if number not in secret:
                secret.add(number)
                coming.append(number)
    steps = {step for node in every for step, child in children(node) if step and id(child) in secret}
    return ((),) if id(schema) in secret or "*" in steps or len(steps) > MOST_PLACES else tuple(("**", step) for step in sorted(steps))


def masked(value: Any, paths: tuple[Path, ...]) -> Any:
    """A copy of `value` with `***` at every secret place; `value` itself if it has none."""
    return _hide(value, _Places.of(paths)) if paths else value


class _Places:
    """The secret places below one part of a value. Each part is visited once, however many places there are."""

    def __init__(self, paths: frozenset[Path], known: dict[frozenset[Path], _Places]) -> None:
        self.is_secret, self.is_empty = () in paths, not paths
        self._known = known
        self._any = [path if path[0] == "**" else path[1:] for path in paths if path and path[0] in ("*", "**")]
        self._named: dict[str, list[Path]] = {}
        for path in paths:
            if path and path[0] not in ("*", "**"):
                self._named.setdefault(path[0], []).append(path[1:])

    @classmethod
    def of(cls, paths: Iterable[Path]) -> _Places:
        """The places with these paths in the whole value."""
        return cls._at(paths, {})

    @classmethod
    def _at(cls, paths: Iterable[Path], known: dict[frozenset[Path], _Places]) -> _Places:
        found: set[Path] = set()
        for path in paths:
            found.add(path)
            while path and path[0] == "**":  # which stands for no level, too
                path = path[1:]  # noqa: PLW2901 - each rest counts
                found.add(path)
        key = frozenset(found)
        if key not in known:
            known[key] = cls(key, known)
        return known[key]

    @cached_property
    def item(self) -> _Places:
        """The places below an item of a list, or below a member whose name does not matter."""
        return self._at(self._any, self._known)

    def member(self, name: str) -> _Places:
        """The places below the member of this name."""
        named = self._named.get(name)
        return self._at([*self._any, *named], self._known) if named else self.item


def _hide(value: Any, places: _Places) -> Any:
    if places.is_secret:
        return MASK
    if places.is_empty:
        return value
    if isinstance(value, Mapping):
        return {name: _hide(child, places.member(name)) for name, child in value.items()}
    if isinstance(value, list) and not places.item.is_empty:
        return [_hide(child, places.item) for child in value]
    return value


def secret_texts(value: Any, paths: tuple[Path, ...]) -> tuple[str, ...]:
    """The texts at the secret places of an input, longest first. A text with several lines gives each line. Numbers are left out."""
    found: dict[str, None] = {}
    for text in _texts(value, _Places.of(paths)):
        for line in map(str.strip, text.splitlines()):
            if len(line) >= SHORTEST:
                found[line] = None
            if len(found) == MOST:
                return tuple(sorted(found, key=len, reverse=True))
    return tuple(sorted(found, key=len, reverse=True))


def _texts(value: Any, places: _Places) -> Iterator[str]:
    """The texts below the secret places."""
    if places.is_secret:
        yield from _all_texts(value)
    elif places.is_empty:
        return
    elif isinstance(value, Mapping):
        for name, child in value.items():
            yield from _texts(child, places.member(name))
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child, places.item)


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for child in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _all_texts(child)


def redact(value: Any, secrets: Collection[str]) -> Any:
    """`value` with `***` in place of every secret text, plain or escaped as in JSON; `value` itself if it contains none."""
    repeated = _repeated(to_json(value), secrets) if secrets else []
    return _without(value, repeated) if repeated else value


def redact_json(written: bytes, secrets: Collection[str]) -> bytes | None:
    """Like `redact`, for JSON bytes. Returns None if they contain no secret."""
    repeated = _repeated(written, secrets)
    return to_json(_without(from_json(written), repeated)) if repeated else None


def redact_text(text: str, secrets: Collection[str]) -> str:
    """A message without the secrets. If it was cut at MAX_MESSAGE characters, the start of a secret at its end is redacted, too."""
    text = str(redact(text, secrets))
    if len(text) < MAX_MESSAGE - len(MASK):
        return text
    shown = text.removesuffix("…")
    length = max((_cut_off(shown, secret) for secret in secrets), default=0)
    return f"{shown[:-length]}{MASK}" if length else text


def _cut_off(text: str, secret: str) -> int:
    """How many characters of `secret` the end of `text` repeats; 0 if these are fewer than SHORTEST."""
    longest = min(len(secret) - 1, len(text))
    return next((length for length in range(longest, SHORTEST - 1, -1) if text.endswith(secret[:length])), 0)


def _repeated(written: bytes, secrets: Collection[str]) -> list[str]:
    """The forms of the secrets that occur in the JSON."""
    return [form for secret in secrets for form in _forms(secret) if _escaped(form).encode() in written]


def _forms(secret: str) -> Iterable[str]:
    if _PLAIN.fullmatch(secret):
        return (secret,)
    return dict.fromkeys((secret, " ".join(secret.split()), _escaped(secret), json.dumps(secret)[1:-1]))


def _escaped(text: str) -> str:
    return to_json(text).decode()[1:-1]


def _without(value: Any, repeated: list[str]) -> Any:
    """The value with a mask for every repeated form. All texts are searched as one, which costs the same however many they are."""
    joined = _APART.join(_texts_and_names(value))
    for form in repeated:
        joined = joined.replace(form, MASK)
    return _put_back(value, iter(joined.split(_APART)))


def _texts_and_names(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, child in value.items():
            yield name
            yield from _texts_and_names(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts_and_names(child)


def _put_back(value: Any, texts: Iterator[str]) -> Any:
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, Mapping):
        return {next(texts): _put_back(child, texts) for child in value.values()}
    return [_put_back(child, texts) for child in value] if isinstance(value, list) else value
