"""Adds a topic, or a subscription with its filter, to the text of the list of entities, whose layout stays as it is."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

from bridge.errors import ConfigurationError
from bridge.events import DEADLETTERS


def added(text: str, topic: str, subscription: str, label: str) -> str:
    """The list with a subscription to the topic that takes the events with this label, and with the topic if it is not there.

    `text` is a list that can be loaded. Raises ConfigurationError if the topic has the subscription already.
    """
    topics = json.loads(text.lstrip("\ufeff"))["UserConfig"]["Namespaces"][0].get("Topics", [])
    wanted = _subscription(subscription, label)
    place: list[str | int] = ["UserConfig", "Namespaces", 0, "Topics"]
    for number, each in enumerate(topics):
        if each["Name"].casefold() == topic.casefold():
            subscriptions = each.get("Subscriptions", [])
            if any(known["Name"].casefold() == subscription.casefold() for known in subscriptions):
                raise ConfigurationError([f"The topic {topic} has a subscription {subscription} already. Take another name."])
            return _appended(text, [*place, number, "Subscriptions"], wanted)
    return _appended(text, place, {"Name": topic, "Subscriptions": [wanted]})


def _subscription(name: str, label: str) -> dict[str, Any]:
    rule = {"FilterType": "Correlation", "CorrelationFilter": {"Label": label}}
    properties = {"LockDuration": "PT1M", "MaxDeliveryCount": 3, "ForwardDeadLetteredMessagesTo": DEADLETTERS}
    return {"Name": name, "Properties": properties, "Rules": [{"Name": name, "Properties": rule}]}


def _appended(text: str, path: Sequence[str | int], value: dict[str, Any]) -> str:
    """The JSON text with the value at the end of the list at the path. A list that is not there is made by writing the text anew."""
    text = text.expandtabs(2)  # outside of strings, where JSON allows no tab
    try:
        found = _node(yaml.compose(text, Loader=yaml.SafeLoader), path)  # JSON is YAML, and YAML's nodes know their places
    except (yaml.YAMLError, LookupError):
        return _written_anew(text, path, value)
    start, end = found.start_mark.index, found.end_mark.index
    if found.value:
        last = found.value[-1]
        item = textwrap.indent(json.dumps(value, indent=2), _indent(text, last))
        return f"{text[: last.end_mark.index]},\n{item}{text[last.end_mark.index :]}"
    outer = _indent(text, found)
    item = textwrap.indent(json.dumps(value, indent=2), outer + "  ")
    return f"{text[:start]}[\n{item}\n{outer}]{text[end:]}"


def _node(node: Any, path: Sequence[str | int]) -> yaml.SequenceNode:
    for step in path:
        node = node.value[step] if isinstance(step, int) else next((value for name, value in node.value if name.value == step), None)
        if node is None:
            raise LookupError(step)
    if isinstance(node, yaml.SequenceNode):
        return node
    raise LookupError(path[-1])


def _indent(text: str, node: yaml.Node) -> str:
    """The spaces before the line on which the node begins."""
    line = text.splitlines()[node.start_mark.line]
    return " " * (len(line) - len(line.lstrip()))


def _written_anew(text: str, path: Sequence[str | int], value: dict[str, Any]) -> str:
    root = json.loads(text.lstrip("\ufeff"))
    above = root
    for step in path[:-1]:
        above = above[step]
    above.setdefault(path[-1], []).append(value)
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"
