"""The results that a function behind a topic sends. This needs no library, so that function apps of the tests can use it, too."""

from __future__ import annotations

from typing import Any


def failure_of(work: dict[str, Any]) -> dict[str, Any]:
    """The `automation.result` event of a function that failed and may be tried again."""
    error = {"code": "Busy", "message": "Come again.", "retriable": True}
    return {**result_of(work), "id": f"failure-of-{work['id']}", "data": {"status": "failed", "error": error}}


def result_of(work: dict[str, Any]) -> dict[str, Any]:
    """The `automation.result` event of a function that succeeded and gives its input back."""
    return {
        "specversion": "1.0",
        "id": f"result-of-{work['id']}",
        "source": "/worker",
        "type": "automation.result",
        "correlationid": work["correlationid"],
        "causationid": work["id"],
        "invocationtoken": work["invocationtoken"],
        "data": {"status": "succeeded", "output": work.get("data")},
    }
