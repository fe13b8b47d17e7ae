"""What a function behind a topic answers when its input says so. This needs no library, so that a function app can use it, too."""

from __future__ import annotations

from typing import Any

from tests.acceptance.results import result_of

Line = dict[str, Any]


def answers(what: str, effect: int, work: Line) -> list[Line]:
    """The results that the function sends, in this order; `effect` counts its attempts from 1."""
    well = result_of(work)

    def saying(**data: Any) -> Line:
        return {**well, "data": data}

    broken = {"code": "Broken", "message": "it broke"}
    told = {
        "fail": [saying(status="failed", error=broken)],
        "retry": [saying(status="failed", error={**broken, "retriable": True}) if effect == 1 else well],
        "progress": [saying(status="running", progress={"percent": 50, "message": "half"}), well],
        "twice": [well, well, saying(status="failed", error=broken)],
        "forge": [{**well, "invocationtoken": "guessed"}, well],
    }
    return told.get(what, [well])
