"""A PowerShell app as users run it: the host and its worker as real processes."""

from __future__ import annotations

import json

import aiohttp
import pytest

from .conftest import Host, StartApp
from .powershell_kit import ANSWER, SUBSCRIPTION, TOPIC, function


async def test_a_script_answers_with_what_it_read_of_the_request(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    script = """param($Request, $TriggerMetadata)
        Push-OutputBinding -Name Response -Value ([HttpResponseContext]@{
            StatusCode = 202
            Headers = @{ Location = '/elsewhere' }
            Body = [ordered]@{
                name = $Request.Body.name; q = $Request.Query.q; merged = $TriggerMetadata.name; from = $TriggerMetadata.FunctionName
            }
        })"""
    host = start_app({"Hello": function(script)})

    async with http.post(host.url("hello?q=1"), json={"name": "Zoë"}) as answer:
        assert answer.status == 202
        assert answer.headers["Location"] == "/elsewhere"
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert await answer.text() == json.dumps({"name": "Zoë", "q": "1", "merged": "Zoë", "from": "Hello"}, indent=2, ensure_ascii=False)


async def test_what_a_script_writes_is_logged_with_its_invocation_and_errors_are_counted(
    start_app: StartApp, http: aiohttp.ClientSession
) -> None:
    script = """param($Request)
        Write-Host 'to the host'; Write-Warning 'careful'; Write-Error 'first'; Get-Item /no/such/file; 'to the pipeline'
        [Console]::WriteLine('to standard output')
        Push-OutputBinding -Name Response -Value @{ Body = 'ok' }"""
    host = start_app({"Talk": function(script)})

    async with http.get(host.url("talk")) as answer:
        assert answer.status == 200

    host.wait_for_log("succeeded, 2 errors written")
    for line in ("INFORMATION: to the host", "WARNING: careful", "ERROR: first", "OUTPUT: to the pipeline", "to standard output"):
        assert f"| {line}" in host.log


async def test_functions_that_cannot_be_loaded_are_named_and_their_neighbours_run(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    functions = {
        "Good": function(ANSWER),
        "Syntax": function("param($Request)\nif (\n"),
        "Parameter": function("param($Request, $Other)\n"),
        "Nothing": function(None),
        "Durable": function("param($Context)\n", [{"type": "orchestrationTrigger", "direction": "in", "name": "Context"}]),
        "Json": {"function.json": "{", "run.ps1": ""},
    }
    host = start_app(functions)

    async with http.get(host.url("good")) as answer:
        assert answer.status == 200
    for name in set(functions) - {"Good"}:
        assert f"{name} " in host.log, name
    assert "'Other'" in host.log
    for name, status in (("syntax", 500), ("parameter", 500), ("nothing", 404), ("json", 404)):
        async with http.get(host.url(name)) as answer:
            assert answer.status == status, name


async def test_what_the_profile_sets_stays_and_what_a_call_changes_goes_back(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    profile = "$ErrorActionPreference = 'Stop'\n$limit = 5\nfunction Get-Limit { $limit }\n"
    script = """param($Request)
        $place = Split-Path -Leaf $PWD
        Push-OutputBinding -Name Response -Value @{ Body = "$ErrorActionPreference $(Get-Limit) [$($global:left)] $place" }
        $global:ErrorActionPreference = 'Ignore'; $global:limit = 6; $global:left = 'behind'; Set-Location /"""
    host = start_app({"State": function(script)}, {"profile.ps1": profile}, PSWorkerInProcConcurrencyUpperBound="1")

    for _ in range(3):
        async with http.get(host.url("state")) as answer:
            assert await answer.text() == "Stop 5 [] sample"


async def test_a_module_of_the_app_is_found_and_a_missing_one_fails_the_call_that_needs_it(
    start_app: StartApp, http: aiohttp.ClientSession
) -> None:
    functions = {
        "Uses": function("param($Request)\nPush-OutputBinding Response @{ Body = (Get-Greeting) }\n"),
        "Misses": function("param($Request)\n$ErrorActionPreference = 'Stop'\nGet-NoSuchThing\n"),
    }
    files = {"Modules/Greeting/Greeting.psm1": "function Get-Greeting { 'hello' }\n", "requirements.psd1": "@{ 'Az' = '12.*' }\n"}
    host = start_app(functions, files)

    async with http.get(host.url("uses")) as answer:
        assert await answer.text() == "hello"
    async with http.get(host.url("misses")) as answer:
        assert answer.status == 500
    host.wait_for_log("The term 'Get-NoSuchThing' is not recognized")


async def test_the_start_names_what_will_differ_elsewhere(start_app: StartApp) -> None:
    script = r"""param($Request)
        ls
        Get-WmiObject Win32_OperatingSystem
        . .\lib\Helper.ps1
        [IO.File]::Exists("$PSScriptRoot\data.txt")
        "$env:TEMP $limit"
        Push-OutputBinding -Name Response -Value @{ Headers = @{ 'Content-Type' = 'text/html' }; Body = 'x' }"""
    files = {"profile.ps1": "$limit = 5\n", "lib/helper.ps1": "", "requirements.psd1": "@{ 'NoSuchModule' = '1.*' }\n"}
    host = start_app({"Old": function(script), "Good": function(ANSWER)}, files)

    host.wait_for_log("$limit comes from profile.ps1")
    for named in (
        "requirements.psd1 names NoSuchModule",
        "Old/run.ps1:2: 'ls' is an alias",
        "Old/run.ps1:3: Get-WmiObject",
        "Old/run.ps1:4: '.\\lib\\Helper.ps1' is written 'helper.ps1'",
        "Old/run.ps1:5: a path with \\ is given to .NET",
        "Old/run.ps1:6: $env:TEMP",
        "Old/run.ps1:7: a content type among the headers",
    ):
        assert named in host.log, named
    assert "Good/run.ps1" not in host.log


async def test_data_is_never_code(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    host = start_app({"Echo": function('param($Request)\nPush-OutputBinding Response @{ Body = "$($Request.Body.text)" }\n')})
    text = "$(throw 'ran') ' \" ` ; $env:HOME"

    async with http.post(host.url("echo"), json={"text": text}) as answer:
        assert await answer.text() == text


async def test_the_identity_of_the_machine_is_not_passed_on(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    script = """param($Request)
        Push-OutputBinding Response @{ Body = "[$env:MSI_SECRET][$env:IDENTITY_ENDPOINT][$env:BRIDGE_PWSH][$env:MINE]" }"""
    host = start_app({"Show": function(script)}, MSI_SECRET="s", IDENTITY_ENDPOINT="http://169.254.169.254", MINE="yes")

    async with http.get(host.url("show")) as answer:
        assert await answer.text() == "[][][][yes]"


def master(host: Host) -> dict[str, str]:
    return {"x-functions-key": host.app["masterKey"]}


@pytest.mark.parametrize(
    ("kind", "sent", "logged"),
    [
        ("timerTrigger", {}, "OrderedHashtable False"),
        ("queueTrigger", {"input": '{"a": 1}'}, "OrderedHashtable 1"),
        ("queueTrigger", {"input": "text"}, "String"),
        ("eventGridTrigger", {"input": '{"id": "1", "data": {"x": 1}}'}, "OrderedHashtable"),
        ("serviceBusTrigger", {"input": "[1, 2]"}, "Object[]"),
    ],
)
async def test_a_function_with_any_trigger_can_be_run_by_hand(
    start_app: StartApp, http: aiohttp.ClientSession, kind: str, sent: dict[str, str], logged: str
) -> None:
    binding = {
        "type": kind,
        "direction": "in",
        "name": "given",
        "topicName": TOPIC,
        "subscriptionName": SUBSCRIPTION,
        "schedule": "0 0 0 1 1 *",
    }
    script = 'param($given, $TriggerMetadata)\nWrite-Host "$($given.GetType().Name) $($TriggerMetadata.a)$($given.IsPastDue)"\n'
    host = start_app({"Run": function(script, [binding])})
    url = f"{host.app['url']}/admin/functions/run"

    async with http.post(url, json=sent) as answer:
        assert answer.status == 401
    async with http.post(url, json=sent, headers=master(host)) as answer:
        assert answer.status == 202
    host.wait_for_log(f"INFORMATION: {logged}")


@pytest.mark.parametrize(
    ("body", "content_type", "status"), [("[]", "application/json", 400), ("{", "application/json", 400), ("{}", "text/plain", 415)]
)
async def test_a_run_by_hand_wants_a_json_object(
    start_app: StartApp, http: aiohttp.ClientSession, body: str, content_type: str, status: int
) -> None:
    host = start_app(
        {"Run": function("param($given)", [{"type": "timerTrigger", "direction": "in", "name": "given", "schedule": "0 0 0 1 1 *"}])}
    )

    async with http.post(
        f"{host.app['url']}/admin/functions/Run", data=body, headers={**master(host), "Content-Type": content_type}
    ) as answer:
        assert answer.status == status
    async with http.post(f"{host.app['url']}/admin/functions/Other", json={}, headers=master(host)) as answer:
        assert answer.status == 404
