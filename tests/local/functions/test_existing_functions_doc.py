"""docs/existing-functions.md, as a reader follows it: `bridge init`, its files, its commands, and what it says comes of them."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli import app
from bridge.local.functions.rpc import dotnetapp
from tests import docexamples
from tests.acceptance.scripted import KEY, scripted
from tests.docexamples import Reader

from . import dotnet_kit
from .conftest import PYTHON, need, wait_until

PAGE = docexamples.DOCS / "existing-functions.md"
COMMANDS = docexamples.commands_of(PAGE)
IN_AZURE = "https://contoso-reports.azurewebsites.net"


@contextmanager
def app_in_azure() -> Iterator[str]:
    """The address of an app that behaves as one with the Durable extension, served beside the tests."""
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(stack.enter_async_context(scripted()), loop).result(30).url
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """The files of the page in a folder that `bridge init` has made, with a bridge that runs there."""
    environment = {"TICK_SCHEDULE": "0 0 0 1 1 *"} | ({dotnetapp.VARIABLE: dotnet} if (dotnet := dotnet_kit.runner()) else {})
    reader = Reader.at(tmp_path_factory.mktemp("reader") / "shop", REPORTS_KEY=KEY, **environment)
    assert "Wrote" in CliRunner().invoke(app, ["init", str(reader.folder)]).output
    with app_in_azure() as azure:
        follow_the_page(reader.folder, azure)
        with reader.serving("--timers") as process:
            wait_until(lambda: "listens on" in reader.log("up.log") or process.poll() is not None, "the bridge", 60)
            assert process.poll() is None, reader.log("up.log")
            yield reader


def follow_the_page(folder: Path, azure: str) -> None:
    for name, blocks in docexamples.files_of(PAGE).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "components/servicebus.json":
            entities = json.loads(path.read_text())
            entities["UserConfig"]["Namespaces"][0]["Queues"] += [json.loads(each) for each in blocks]
            path.write_text(json.dumps(entities))
        elif name == "functions/automations.yaml":
            path.write_text("\n---\n".join([path.read_text(), *blocks]))
        else:
            path.write_text("".join(blocks).replace(IN_AZURE, azure))
    for shared in (
        "python",
        "stock",
        "exports",
        "clock",
        "meters",
    ):  # the environment that `make setup` makes; that of `labels` is made by the host
        if PYTHON.exists():
            (folder / "functions" / shared / ".venv").symlink_to(PYTHON.parent.parent)
    if dotnet_kit.runner() is not None:
        dotnet_kit.copy_app("plain", folder / "functions/items")  # what `dotnet publish` leaves of an app that has such a function
    if go := shutil.which("go"):
        subprocess.run([go, "build", "-o", "handler", "handler.go"], cwd=folder / "functions/goapp", check=True, timeout=240)


def needed_for(command: str, reader: Reader) -> None:
    """Wait until the function can be asked; skip if this machine has not what the page asks for."""
    if "number.square" in command:
        need(shutil.which("go") is not None, "there is no go")
    if "label.make" in command:
        wait_until(lambda: "labels-functions" in reader.log(".bridge/functions.json"), "the app with packages of its own", 240)
        why = json.loads(reader.log(".bridge/functions.json"))["labels-functions"].get("problem", "")
        need("none can be made" not in why, f"no packages can be installed here: {why}")
    elif "functions package" in command:
        need("items" not in command or dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    elif "item.read" in command:
        need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
        wait_until(lambda: "items-functions is ready" in reader.log(".bridge/functions.log"), "the C# app", 60)
    elif "report.make" not in command:
        need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
        wait_until(lambda: "stock-functions is ready" in reader.log(".bridge/functions.log"), "the functions", 60)


@pytest.mark.parametrize(("command", "outcome"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_of_the_page_has_the_outcome_that_it_says(reader: Reader, command: str, outcome: str) -> None:
    needed_for(command, reader)
    assert outcome in reader.run(*shlex.split(command)[1:])


def test_the_function_behind_the_queue_reads_the_correlation_id_from_the_message(reader: Reader) -> None:
    needed_for("parcel.send", reader)
    reader.run("submit", "parcel.send", "item=chair", "--correlation-id", "order-4711", "--wait", "60")
    assert "sent a chair for order-4711" in reader.log(".bridge/functions.log")


def test_what_a_function_over_http_sends_reaches_the_queue(reader: Reader) -> None:
    needed_for("item.pick", reader)
    reader.run("submit", "item.pick", "item=table", "--wait", "60")
    wait_until(lambda: "sent a table for nobody" in reader.log(".bridge/functions.log"), "the message")


def test_a_dead_letter_after_published_is_a_late_result(reader: Reader) -> None:
    needed_for("parcel.announce", reader)
    reader.run("submit", "parcel.announce", "item=piano", "--correlation-id", "late-1", "--wait", "60")
    wait_until(lambda: "lateResult" in reader.run("--json", "get", "late-1"), "the late result")


def test_a_timer_runs_by_its_schedule(reader: Reader) -> None:
    needed_for("clock", reader)
    wait_until(lambda: "tick, past due: False" in reader.log(".bridge/functions.log"), "the timer", 60)


def test_nobody_is_missing(reader: Reader) -> None:
    needed_for("greeting.read", reader)
    needed_for("label.make", reader)
    if shutil.which("go") and dotnet_kit.runner() is not None:
        assert "nobody serves it" not in reader.run("automations")


def test_something_was_found() -> None:
    assert len(COMMANDS) > 12
