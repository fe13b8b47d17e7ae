"""PowerShell functions that return what nobody expects, and files with byte order marks: an answer or a clear error, and the others run."""

from __future__ import annotations

import codecs
import json
from typing import Any

import aiohttp

from .conftest import StartApp
from .powershell_kit import ANSWER, HTTP, function

PUSH = "param($Request)\nPush-OutputBinding -Name Response -Value @{{ Body = {} }}\n"
#: What a function returns as its body, and the status and the text of the answer; None where the text is looked at elsewhere.
BODIES: dict[str, tuple[str, int, str | None]] = {
    "Null": ("$null", 200, ""),
    "Nothing": ("@()", 200, "[]"),
    "One": ("@('x')", 200, '[\n  "x"\n]'),
    "Text": ("'Zoë € 🚀'", 200, "Zoë € 🚀"),
    "Date": ("@{ at = ([datetime] '2026-01-31T12:00:00Z').ToUniversalTime() }", 200, '{\n  "at": "2026-01-31T12:00:00Z"\n}'),
    "Enum": ("@{ day = [DayOfWeek]::Monday }", 200, '{\n  "day": 1\n}'),
    "Bytes": ("[byte[]](72, 105)", 200, "Hi"),
    "Cyclic": ("$($t = @{}; $t.self = $t; $t)", 200, None),
    "Deep": ("$($t = @{}; foreach ($i in 1..200) { $t = @{ t = $t } }; $t)", 200, None),
    "Huge": ("('x' * 50MB)", 200, None),
    "Type": ("[int]", 500, ""),
}


async def test_whatever_a_script_returns_there_is_an_answer_and_the_worker_stays(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    scripts = {name: function(PUSH.format(body.replace("$($t", "$($t", 1))) for name, (body, _, _) in BODIES.items()}
    host = start_app({**scripts, "Id": function('param($Request)\nPush-OutputBinding Response @{ Body = "$PID" }\n')})
    answers: dict[str, tuple[int, bytes]] = {}

    async with http.get(host.url("id")) as answer:
        worker = await answer.text()
    for name in BODIES:
        async with http.get(host.url(name)) as answer:
            answers[name] = (answer.status, await answer.read())
    async with http.get(host.url("id")) as answer:
        assert await answer.text() == worker

    for name, (_, status, text) in BODIES.items():
        assert answers[name][0] == status, (name, answers[name][1][:200])
        assert text is None or answers[name][1].decode() == text, name
    assert len(answers["Huge"][1]) == 50 * 2**20


async def test_what_a_script_throws_has_its_text_whatever_it_is(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    thrown = {
        "Text": "'just text'",
        "Number": "42",
        "List": "@(1, 2)",
        "Null": "$null",
        "Nested": "([Exception]::new('outer', [Exception]::new('inner')))",
    }
    host = start_app({**{name: function(f"param($Request)\nthrow {what}\n") for name, what in thrown.items()}, "Good": function(ANSWER)})

    for name in thrown:
        async with http.get(host.url(name)) as answer:
            assert answer.status == 500, name
    async with http.get(host.url("good")) as answer:
        assert answer.status == 200
    for text in ("just text", "42", "outer"):
        host.wait_for_log(text)


async def test_files_with_a_byte_order_mark_are_read(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    mark = codecs.BOM_UTF8.decode()
    described: dict[str, Any] = {"bindings": HTTP}
    files = {
        "host.json": f'{mark}{{"version": "2.0", "extensions": {{"http": {{"routePrefix": "own"}}}}}}',
        "Marked/run.ps1": f"{mark}{PUSH.format(chr(39) + 'Zoë' + chr(39))}",
        "Marked/function.json": mark + json.dumps(described),
    }
    host = start_app({"Good": function(ANSWER)}, files)

    async with http.get(host.url("marked").replace("/api/", "/own/")) as answer:
        assert (answer.status, await answer.text()) == (200, "Zoë")
