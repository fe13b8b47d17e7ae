"""`bridge new automation`: what it writes, adds to, and refuses. That what it writes works is tried in tests/acceptance."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import catalog, entities
from tests.cli.commands import bridge

HTTP = {"type": "httpTrigger", "direction": "in", "name": "Request", "methods": ["get", "post"], "route": "users/{id:int}/{part?}"}
TOPIC = {"type": "serviceBusTrigger", "direction": "in", "name": "item", "topicName": "%ORDERS%", "subscriptionName": "orders-in"}
PYTHON = '''
import azure.functions as func
app = func.FunctionApp()

@app.function_name("Change")
@app.route(route="items/{id:int}", methods=["POST", "GET"])
def change(req: func.HttpRequest) -> func.HttpResponse:
    """Change an item."""
    name = req.params.get("name") or req.get_json().get("name")
    days = int(req.params.get("days", 7))
    return func.HttpResponse(req.headers.get("X-Api-Key") + str(req.get_json()["price"]))

@app.timer_trigger(schedule="0 * * * * *", arg_name="t")
def tick(t): ...
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is empty, with no program to build or read with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("BRIDGE_PWSH", "/no/such/pwsh")
    return tmp_path


def new(*words: str) -> Any:
    return bridge("new", "automation", *words)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_folder_gets_all_that_an_automation_needs(folder: Path) -> None:
    assert new("words.count", "--language", "python", "--trigger", "topic").exit_code == 0

    assert list(catalog.load(folder / "functions/automations.yaml").automations) == ["words.count"]
    subscriptions = entities.load(folder / "components/servicebus.json").subscriptions("automation-python") or ()
    assert "words-count" in [each.name for each in subscriptions]
    assert "import words_count" in (folder / "functions/python/function_app.py").read_text()
    assert "cloudevents" in (folder / "functions/python/requirements.txt").read_text()
    assert json.loads((folder / "functions/python/tests/words.count.json").read_text())["subject"] == "words.count"
    assert not [path for path, content in files(folder).items() if b"my.automation" in content or "my_automation" in path]


@pytest.mark.parametrize("language", ["python", "powershell", "go"])
@pytest.mark.parametrize("trigger", ["http", "topic"])
def test_a_second_automation_joins_the_first(folder: Path, language: str, trigger: str) -> None:
    assert new("words.count", "--language", language, "--trigger", trigger).exit_code == 0
    first = files(folder)

    assert new("letters.count", "--language", language, "--trigger", trigger).exit_code == 0

    assert list(catalog.load(folder / "functions/automations.yaml").automations) == ["words.count", "letters.count"]
    changed = {path for path, content in files(folder).items() if path in first and content != first[path]}
    allowed = {"functions/automations.yaml", "components/servicebus.json", "functions/python/function_app.py"}
    assert changed <= allowed


def test_what_is_there_keeps_its_comments_and_its_line_ends(folder: Path) -> None:
    new("words.count", "--language", "python")
    path = folder / "functions/automations.yaml"
    path.write_bytes(b"\xef\xbb\xbf# Ours.\r\n" + path.read_bytes().replace(b"\n", b"\r\n"))
    before = path.read_bytes()

    assert new("letters.count", "--language", "python").exit_code == 0

    assert path.read_bytes().startswith(before.rstrip())
    assert re.findall(rb"(?<!\r)\n", path.read_bytes()) == []
    assert len(catalog.load(path).automations) == 2


def test_nothing_is_written_where_a_file_is_in_the_way(folder: Path) -> None:
    (folder / "functions/python").mkdir(parents=True)
    (folder / "functions/python/words_count.py").write_text("mine")
    before = files(folder)

    result = new("words.count", "--language", "python", "--trigger", "topic")

    assert (result.exit_code, files(folder)) == (2, before)
    assert "words_count.py already exists, and nothing is overwritten" in result.output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("words count", "--language", "go"), "cannot be the name of an automation"),
        (("words.count",), "Say --language"),
        (("words.count", "--language", "go", "--from", "a/b"), "Say --language"),
        (("words.count", "--language", "python", "--app", "../x"), "cannot be the folder of an app"),
        (("words.count", "--from", "shop/x"), "names no function"),
        (("words.count", "--from", "../shop/x"), "names no function"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(folder: Path, words: tuple[str, ...], reason: str) -> None:
    result = new(*words)

    assert (result.exit_code, files(folder)) == (2, {})
    assert reason in result.output


def test_a_name_that_the_catalogue_has_is_refused(folder: Path) -> None:
    new("words.count", "--language", "python")
    before = files(folder)

    result = new("words.count", "--language", "powershell")

    assert (result.exit_code, files(folder)) == (2, before)
    assert "has an automation 'words.count' already" in result.output


def test_a_catalogue_that_cannot_be_read_is_told_and_left(folder: Path) -> None:
    path = folder / "functions/automations.yaml"
    path.parent.mkdir()
    path.write_text("kind: Automaton\n")

    result = new("words.count", "--language", "python")

    assert (result.exit_code, path.read_text()) == (2, "kind: Automaton\n")
    assert "functions/automations.yaml, document 1" in result.output


def test_an_app_of_another_kind_is_not_mixed(folder: Path) -> None:
    new("words.count", "--language", "powershell", "--app", "ops")

    assert "holds an app of another kind" in new("letters.count", "--language", "python", "--app", "ops").output
    assert "holds an app of another kind" in new("letters.count", "--language", "go", "--app", "ops").output


def test_a_dry_run_shows_and_writes_nothing(folder: Path) -> None:
    result = bridge("--json", "new", "automation", "words.count", "--language", "go", "--trigger", "topic", "--dry-run")

    assert "functions/go/WordsCount/function.json" in json.loads(result.output)
    assert files(folder) == {}


def test_without_go_it_says_how_to_build_the_handler(folder: Path) -> None:
    result = new("words.count", "--language", "go")

    assert result.exit_code == 0
    assert "cd functions/go && go build -o handler ." in result.output


def drafted(folder: Path, source: str) -> tuple[Any, str]:
    result = new("drafted", "--from", source)
    assert result.exit_code == 0, result.output
    path = folder / "functions/automations.yaml"
    catalog.load(path)
    return yaml.safe_load(path.read_text())["spec"], path.read_text()


def test_a_python_function_is_drafted_with_method_route_and_fields(folder: Path) -> None:
    (folder / "functions/shop").mkdir(parents=True)
    (folder / "functions/shop/function_app.py").write_text(PYTHON)

    spec, text = drafted(folder, "shop-functions/Change")

    http = spec["targets"][0]["http"]
    assert (http["app"], http["method"], http["path"]) == ("shop-functions", "POST", "/api/items/{id}")
    assert (http["parameters"], http["query"], http["headers"]) == ({"id": "/id"}, {"days": "/days"}, {"X-Api-Key": "/X-Api-Key"})
    assert spec["input"]["required"] == ["id", "price"]
    assert spec["input"]["properties"]["id"] == {"type": "integer"}
    assert spec["input"]["properties"]["days"] == {"type": "integer", "default": 7}
    assert spec["input"]["properties"]["X-Api-Key"] == {"type": "string", "writeOnly": True}
    assert "price: {}  # body, line 11; FILL IN: its type" in text
    assert 'description: "Change an item."' in text
    assert "takes name from the query too" in text


def test_a_function_that_a_file_describes_is_drafted_without_its_script(folder: Path) -> None:
    write_function(folder, HTTP)

    spec, text = drafted(folder, "ops/Own")

    http = spec["targets"][0]["http"]
    assert (http["method"], http["path"]) == ("GET", "/api/users/{id}/{part}")
    assert "it takes POST too" in text
    assert "FILL IN: the path works without part too" in text
    assert "FILL IN: the script was not read" in text


def test_a_function_of_a_published_csharp_app_is_drafted_from_what_the_app_says(folder: Path) -> None:
    app = folder / "functions/items"
    app.mkdir(parents=True)
    (app / "worker.config.json").write_text('{"description": {"language": "dotnet-isolated", "defaultExecutablePath": "dotnet"}}')
    trigger = {"name": "request", "type": "httpTrigger", "direction": "In", "methods": ["get"], "route": "items/{id:int}"}
    (app / "functions.metadata").write_text(json.dumps([{"name": "Item", "scriptFile": "Items.dll", "bindings": [trigger]}]))

    spec, text = drafted(folder, "items/item")

    http = spec["targets"][0]["http"]
    assert (http["app"], http["method"], http["path"]) == ("items-functions", "GET", "/api/items/{id}")
    assert "is compiled and was not read" in text


def test_a_function_behind_a_topic_takes_the_bare_input(folder: Path) -> None:
    write_function(folder, TOPIC)
    (folder / "functions/ops/local.settings.json").write_text('{"Values": {"ORDERS": "orders"}} // ours')

    spec, text = drafted(folder, "ops/Own")

    assert spec["targets"][0]["topic"] == {"name": "orders", "attempts": 1, "body": "input", "completes": "settled"}
    assert "The subscription orders-in must take messages" in text


def test_a_setting_that_is_not_known_is_asked_for(folder: Path) -> None:
    write_function(folder, TOPIC)

    spec, text = drafted(folder, "ops/Own")

    assert spec["targets"][0]["topic"]["name"] == "fill-in"
    assert "FILL IN: %ORDERS% is not a setting in local.settings.json" in text


def test_a_function_that_cannot_be_a_target_is_refused(folder: Path) -> None:
    (folder / "functions/shop").mkdir(parents=True)
    (folder / "functions/shop/function_app.py").write_text(PYTHON)

    assert "is started by timer trigger" in new("x", "--from", "shop/tick").output
    assert "Did you mean Change?" in new("x", "--from", "shop/Chnge").output
    (folder / "functions/shop/function_app.py").write_text("def")
    assert "line 1" in new("x", "--from", "shop/Change").output


def write_function(folder: Path, trigger: dict[str, Any]) -> None:
    own = folder / "functions/ops/Own"
    own.mkdir(parents=True)
    (own / "function.json").write_text(json.dumps({"bindings": [trigger]}))
    (own / "run.ps1").write_text("param($Request)\n")
