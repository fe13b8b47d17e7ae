"""When what is seen of a recorded vector is right: what varies from run to run, and where this host is better than Azure's on purpose.

Each rule is on a behaviour, with its reason, so it holds for other vectors of the same form.
"""

from __future__ import annotations

import json
import re
from typing import Any

Json = dict[str, Any]

_STARS = {
    "*32 hex*": "[0-9a-f]{32}",
    "*invocation id*": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "*": ".+",
}
_STAR = re.compile(r"\*(?:32 hex\*|invocation id\*)?")
_UNORDERED = re.compile(r"(?<!\[ordered\])@\{")
_BROKERS_WORDS = re.compile(
    r"Message could not be consumed after \d+ delivery attempts\."
)  #: the broker's own description of a dead letter
_KINDS: dict[str, type[Any]] = {"str": str, "int": int, "dict": dict, "list": list}


def expected(vector: Json, *, refused: bool) -> Json:
    """What a vector expects of this host. `refused` is whether the host has said at its start that the function cannot be loaded."""
    found: Json = json.loads(_BROKERS_WORDS.sub("*", json.dumps(vector["expect"])))
    if _UNORDERED.search(str(vector.get("files"))):
        found["outputs"] = {name: [{**each, "body": _AnyKeys(each["body"])} for each in sent] for name, sent in found["outputs"].items()}
    if "topicName" in str(vector["functionJson"]["bindings"][0]):
        found["settlement"] = _in_any_order(found["settlement"])
    _an_empty_answer_fails(vector, found)
    if refused:
        _what_cannot_load_keeps_its_messages(found)
    if not any("dump" in str(each.get("name")) for each in vector["functionJson"]["bindings"]):
        found.pop("dumps", None)
    return found


def _an_empty_answer_fails(vector: Json, found: Json) -> None:
    """In Azure a 2xx answer of nothing or null never ends the call, and the message stays locked. Here it fails, and the log says why."""
    answer = vector.get("handlerAnswer", {})
    if found["results"] or answer.get("raw", "x").strip() not in ("", "null") or not 200 <= answer.get("status", 200) < 300:
        return
    found["results"] = ["Failed"] * 3
    found["settlement"] = _abandoned(3)
    found.pop("requests")


def _what_cannot_load_keeps_its_messages(found: Json) -> None:
    """In Azure a function that cannot load fails its messages, and all end in the dead letters. Here it is refused, and they stay."""
    if set(found["results"]) == {"Failed"} and not found["outputs"] and not found.get("requests") and not found.get("dumps"):
        found.update(results=[], settlement=[])


def _abandoned(times: int) -> list[Json]:
    events: list[Json] = []
    for count in range(times):
        events.append({"event": "deliver", "deliveryCountOnWire": count})
        events.append({"event": "settle", "outcome": "modified", "deliveryCountOnWire": count})
    return [*events, {"event": "deadletter", "reason": "MaxDeliveryCountExceeded"}]


def goes_on(vector: Json) -> bool:
    """Whether more happens after what was recorded, because a lock ends."""
    return "lockexpired" in json.dumps(vector["expect"]["settlement"])


class _AnyKeys(dict[str, Any]):
    """A body with JSON of a hashtable, whose keys come in another order in each process of .NET."""


class _AnyOrder(list[Any]):
    """Events of entities that nothing keeps in step."""


def _in_any_order(events: Any) -> Any:
    return _AnyOrder(events) if isinstance(events, list) else events


def same(wanted: Any, seen: Any) -> bool:  # noqa: PLR0911 - one for each kind of value
    """Equal, where `{volatile}` and `*` stand for what varies."""
    if isinstance(wanted, _AnyOrder):
        return isinstance(seen, list) and sorted(map(json.dumps, wanted)) == sorted(map(json.dumps, seen))
    if isinstance(wanted, _AnyKeys) and isinstance(seen, dict) and wanted["text"].startswith("{"):
        texts = (wanted["text"], seen.get("text", ""))
        return len(texts[0]) == len(texts[1]) and bool(json.loads(texts[0]) == json.loads(texts[1]))
    if isinstance(wanted, dict):
        if wanted.get("volatile"):
            return _is_of_kind(wanted, seen)
        return isinstance(seen, dict) and wanted.keys() == seen.keys() and all(same(each, seen[name]) for name, each in wanted.items())
    if isinstance(wanted, list):
        return isinstance(seen, list) and len(wanted) == len(seen) and all(same(*pair) for pair in zip(wanted, seen, strict=True))
    if isinstance(wanted, str) and "*" in wanted:
        return isinstance(seen, str) and bool(re.fullmatch(_pattern(wanted), seen, re.IGNORECASE | re.DOTALL))
    return type(wanted) is type(seen) and bool(wanted == seen)


def _is_of_kind(wanted: Json, seen: Any) -> bool:
    """What varies still has a type. Of a .NET exception only its message is compared, since the words of the inner one are this host's."""
    if "Message" in wanted:
        return isinstance(seen, dict) and seen.get("Message") == wanted["Message"] and bool(seen["InnerException"]["Message"])
    if "type" in wanted:
        return isinstance(seen, dict) and seen.get("type") == wanted["type"]
    return seen is not None and ("kind" not in wanted or isinstance(seen, _KINDS[wanted["kind"]]))


def _pattern(text: str) -> str:
    pieces, at = [], 0
    for star in _STAR.finditer(text):
        pieces += [re.escape(text[at : star.start()]), _STARS[star[0]]]
        at = star.end()
    return "".join([*pieces, re.escape(text[at:])])
