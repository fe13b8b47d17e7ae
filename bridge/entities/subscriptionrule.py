"""The rules of a subscription: a Correlation filter or a Sql filter, and optionally an action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from bridge import sqlfilter
from bridge.entities.shape import EntityShape, RuleName


class Correlation(EntityShape):
    """A Correlation filter: all fields that it names must be equal."""

    content_type: str | None = None
    correlation_id: str | None = None
    label: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    session_id: str | None = None
    to: str | None = None
    properties: Mapping[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _names_a_field(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("the filter names no field; name one, such as Label, or leave the rule out to take every message")
        return self

    @cached_property
    def fields(self) -> dict[str, str]:
        """The broker properties that the filter names, under their names here."""
        return self.model_dump(exclude={"properties"}, exclude_none=True)


def _parsed_by(parse: Callable[[str], object]) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


class Sql(EntityShape):
    """A Sql filter in the syntax of Azure Service Bus."""

    sql_expression: Annotated[str, _parsed_by(sqlfilter.parse_filter)]


class SqlAction(EntityShape):
    """The changes to the subscription's copy of the message."""

    sql_expression: Annotated[str, _parsed_by(sqlfilter.parse_action)]


class RuleProperties(EntityShape):
    """The filter of a rule, and its action."""

    filter_type: Literal["Correlation", "Sql"]
    correlation_filter: Correlation | None = None
    sql_filter: Sql | None = None
    action: SqlAction | None = None

    @model_validator(mode="after")
    def _one_filter(self) -> Self:
        given = {"Correlation": self.correlation_filter, "Sql": self.sql_filter}
        other = "Sql" if self.filter_type == "Correlation" else "Correlation"
        if given[self.filter_type] is None:
            raise ValueError(f"FilterType is {self.filter_type}, but {self.filter_type}Filter is missing; add it")
        if given[other] is not None:
            raise ValueError(f"FilterType is {self.filter_type}, so {other}Filter has no effect; remove one of the two")
        return self


class SubscriptionRule(EntityShape):
    """One rule of a subscription."""

    name: RuleName
    properties: RuleProperties
