"""Correlation filters: fields that must all be equal."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.sqlfilter.evaluation import compare
from bridge.sqlfilter.properties import MessageProperties, PropertyValue


def correlates(fields: Mapping[str, str], properties: Mapping[str, PropertyValue], message: MessageProperties) -> bool:
    """Whether all `fields` (system properties by their names here) and all application properties are equal in the message.

    Texts are compared with their case, numbers by their value and not by their type. The names of application properties count as in SQL:
    their case does not matter.
    """
    if not fields.items() <= message.system.items():
        return False
    return all(compare("=", message.user_value(name), value) is True for name, value in properties.items())
