"""Classifies the answer of a function: first by the rules for all answers, then by the rules of its target in the catalogue."""

from __future__ import annotations

from http import HTTPStatus

from bridge.catalog import failedwhen
from bridge.catalog.target import HttpTarget
from bridge.errors import CallFailed
from bridge.outcome import Outcome, Succeeded, errorswritten, following, outputsnotsent
from bridge.outcome.httpanswer import classify
from bridge.ports import FunctionResponse


def classified(answer: FunctionResponse | CallFailed, target: HttpTarget, limit: int) -> Outcome:
    """The outcome of an attempt; `limit` is the largest output in bytes."""
    if not isinstance(answer, FunctionResponse):
        return classify(answer, limit)
    if answer.status == HTTPStatus.ACCEPTED:
        outcome = following.accepted(answer, target.follow or "event", limit)
    else:
        outcome = classify(answer, limit)
    if target.failed_when and isinstance(outcome, Succeeded):
        outcome = failedwhen.judged(target.failed_when, answer, outcome)
    outcome = outputsnotsent.noted(outcome, answer.headers.get(outputsnotsent.HEADER, ""))
    return errorswritten.judged(outcome, errorswritten.count_in(answer.headers), target.errors)
