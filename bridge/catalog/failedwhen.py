"""Recognizes answers with a 2xx status that report a failure in their body (`failedWhen` in the catalogue)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Self

import jsonschema_rs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import from_json, to_json

from bridge.catalog.mapping import Pointer, find
from bridge.outcome import Failed, Succeeded
from bridge.outcome.httpanswer import refusal
from bridge.ports import FunctionResponse

#: No pattern can make this engine take more than linear time, so that no answer stops the bridge.
_LINEAR = jsonschema_rs.RegexOptions()


def _pattern(text: str) -> str:
    try:
        _matcher(text)
    except jsonschema_rs.ValidationError:
        raise ValueError("is not a pattern that can be tried in linear time: look-around and back references are not available") from None
    return text


def _matcher(pattern: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=_LINEAR)


class FailedWhen(BaseModel):
    """A condition under which a 2xx answer is a failure. All its fields must hold.

    `pointer` alone: the field exists and is not null, false or empty. `equals` and `pattern` apply to the field at `pointer`, or to the
    whole answer if there is no `pointer`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[int, Field(ge=200, le=299)] | None = None
    pointer: Pointer | None = None
    equals: Any = None
    pattern: Annotated[str, Field(max_length=1000), AfterValidator(_pattern)] | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set & {"status", "pointer", "equals", "pattern"}:
            raise ValueError("names nothing; say status, pointer, equals or pattern")
        return self

    @cached_property
    def _compiled(self) -> jsonschema_rs.Draft202012Validator | None:
        return _matcher(self.pattern) if self.pattern is not None else None

    def applies(self, status: int, output: Any) -> bool:
        """Whether an answer with this status and output is a failure."""
        if self.status is not None and status != self.status:
            return False
        found = [output] if self.pointer is None else find(output, self.pointer)
        if "equals" in self.model_fields_set and not any(_same(each, self.equals) for each in found):
            return False
        if self._compiled is not None:
            return any(self._compiled.is_valid(each if isinstance(each, str) else to_json(each).decode()) for each in found)
        return self.pointer is None or "equals" in self.model_fields_set or any(_says_something(each) for each in found)


def one_or_more(value: Any) -> Any:
    """The value as a list. In the file, a single entry may be written without a list."""
    return [value] if isinstance(value, dict) else value


def judged(rules: Sequence[FailedWhen], answer: FunctionResponse, outcome: Succeeded) -> Succeeded | Failed:
    """The outcome of a 2xx answer. If one of the conditions holds, it is a failure without retry, with the text from the answer."""
    output = from_json(bytes(outcome.output_json))
    if not any(each.applies(answer.status, output) for each in rules):
        return outcome
    return replace(refusal(answer), code="FailedWhen", retriable=False, retry_after=None)


def _says_something(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {})


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, where true is not equal to 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
