from __future__ import annotations

import json
from base64 import b64encode

import pytest

from bridge.local.functions import outputs


@pytest.mark.parametrize(
    ("text", "bodies"),
    [
        ('[{"a": 1}, 2, "three"]', ['{"a": 1}', "2", "three"]),
        ("[]", []),
        ('{"a": [1, 2]}', ['{"a": [1, 2]}']),
        ("plain words", ["plain words"]),
        ('"quoted"', ['"quoted"']),
        ("7", ["7"]),
        ("", [""]),
    ],
)
def test_only_a_top_level_array_becomes_several_messages(text: str, bodies: list[str]) -> None:
    sent = [body.decode() for body, _ in outputs.messages({"string": text})]

    assert [_compact(body) for body in sent] == [_compact(body) for body in bodies]


def test_big_numbers_and_letters_survive() -> None:
    ((body, content_type),) = outputs.messages({"string": json.dumps({"n": 2**60, "s": "ü"})})

    assert json.loads(body) == {"n": 2**60, "s": "ü"}
    assert content_type == "text/plain"


def test_bytes_are_sent_as_they_are() -> None:
    assert outputs.messages({"bytes": b64encode(b"[1, 2]").decode()}) == [(b"[1, 2]", "application/octet-stream")]


def _compact(text: str) -> str:
    return json.dumps(json.loads(text)) if text.startswith(("{", "[")) else text
