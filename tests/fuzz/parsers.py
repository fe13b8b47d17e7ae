"""What reads bytes that others wrote, each as one function of bytes. Nothing but the errors of `bridge.errors` may come out of it.

The same functions are driven by hypothesis in the tests and by atheris (`python -m tests.fuzz parsers`), from the seeds in `seeds/`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from bridge import catalog, cloudevents, jsontext, run, runview, sqlfilter
from bridge.auth import LOCAL
from bridge.cloudevents import httpbinding
from bridge.errors import BridgeError, ConfigurationError
from bridge.idempotency import idempotency_key
from bridge.intake import Rules, check, new_run
from bridge.outcome.resultevent import read_result
from bridge.sqlfilter import FilterSyntaxError, MessageProperties
from bridge.testing import NOON

SEEDS = Path(__file__).parent / "seeds"
MAX_OUTPUT = 1_000
#: More than any refusal needs, whatever it refuses.
LONGEST = 20_000


class NotOneLine(Exception):
    """A refusal that could fill or forge a line of a log."""


@contextmanager
def refusals() -> Iterator[None]:
    """Lets an error of the bridge pass, if it is one line that nobody else wrote."""
    try:
        yield
    except ConfigurationError:
        pass  # is for the operator's screen and quotes the file
    except BridgeError as refusal:
        if not refusal.detail.isprintable() or len(refusal.detail) > LONGEST:
            raise NotOneLine(f"{len(refusal.detail)} characters: {refusal.detail[:200]!r}") from refusal


def structured(body: bytes) -> None:
    event = None
    with refusals():
        event = cloudevents.decode(body)
    if event is not None:
        assert cloudevents.decode(event.encode()) == event


def batch(body: bytes) -> None:
    with refusals():
        cloudevents.decode_batch(body)


def binary(message: bytes) -> None:
    """Header lines, an empty line, the body."""
    head, _, body = message.partition(b"\n\n")
    lines = (line.partition(":") for line in head.decode("latin-1").split("\n"))
    event = None
    with refusals():
        event = httpbinding.decode_http({name.strip().lower(): value.strip() for name, _, value in lines}, body)
    if event is not None:
        assert cloudevents.decode(event.encode()) == event


def result(body: bytes) -> None:
    with refusals():
        read_result(jsontext.parse_json(body), MAX_OUTPUT)


def asked(body: bytes) -> None:
    """From bytes to a run and back, as a request on a topic takes."""
    made = None
    with refusals():
        event = cloudevents.decode(body)
        made = new_run(event, idempotency_key(event, LOCAL.name), check(event, LOCAL, _rules()), _rules(), NOON)
    if made is not None:
        assert run.load(run.dump(made)) == made
        runview.view_json(made)


def catalogue(text: bytes) -> None:
    path = _folder() / "automations.yaml"
    path.write_bytes(text)
    with refusals():
        catalog.load(path)


def sql(text: bytes) -> None:
    """A filter and an action, and what they make of a message."""
    message = MessageProperties({"label": "l"}, {"a": 1, "b": "x", "c": 2.5})
    with suppress(FilterSyntaxError):
        sqlfilter.matches(sqlfilter.parse_filter(text.decode(errors="replace")), message)
    with suppress(FilterSyntaxError):
        sqlfilter.apply_action(sqlfilter.parse_action(text.decode(errors="replace")), message)


PARSERS: dict[str, Callable[[bytes], None]] = {each.__name__: each for each in (structured, batch, binary, result, asked, catalogue, sql)}


def seeds(parser: str) -> list[bytes]:
    """Inputs to start from; there is one file for each."""
    return [path.read_bytes() for path in sorted((SEEDS / parser).iterdir())]


@cache
def _folder() -> Path:
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it; writing to memory keeps the pace
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=shared if shared.is_dir() else None))


@cache
def _rules() -> Rules:
    known = catalog.load(SEEDS / "catalogue" / "several.yaml")
    return Rules(known, {"automation-replies"}, "automation-replies")
