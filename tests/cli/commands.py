"""What the tests of the command line share: a command, what it sent, and dead letters to handle."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from bridge import cli
from tests.scripted_api import LETTER, ScriptedApi


def bridge(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(cli.app, list(words), **options)


def sent(api: ScriptedApi) -> Any:
    return json.loads(next(body for method, _, _, body in api.seen if method == "POST"))


def letters(*ids: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Dead letters, newest first."""
    return {each: {**LETTER, "id": each, **more} for each in ids}
