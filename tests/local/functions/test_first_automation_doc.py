"""docs/first-automation.md, as a reader follows it by hand: its functions, its catalogue, its subscription and its commands."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docexamples
from tests.docexamples import Reader

from .conftest import CHECKOUT, PYTHON, need, wait_until

PAGE = docexamples.DOCS / "first-automation.md"
COMMANDS = docexamples.commands_of(PAGE)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """The checkout's Python app, catalogue and entities with what the page adds to them, and a bridge that runs there."""
    need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
    reader = Reader.at(tmp_path_factory.mktemp("reader"), BRIDGE_FUNCTIONS_PYTHON=str(PYTHON))
    for name in ("functions/python", "functions/automations.yaml", "functions/resiliency.yaml", "components/servicebus.json"):
        source, target = CHECKOUT / name, reader.folder / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    follow_the_page(reader.folder)
    with reader.serving("--functions", "functions") as process:
        wait_until(lambda: "is ready" in reader.log(".bridge/functions.log") or process.poll() is not None, "the functions", 60)
        assert process.poll() is None, reader.log("up.log")
        yield reader


def follow_the_page(folder: Path) -> None:
    for name, blocks in docexamples.files_of(PAGE).items():
        path = folder / name
        if name == "components/servicebus.json":
            entities = json.loads(path.read_text())
            topics = {each["Name"]: each for each in entities["UserConfig"]["Namespaces"][0]["Topics"]}
            topics["automation-python"]["Subscriptions"] += [json.loads(each) for each in blocks]
            path.write_text(json.dumps(entities))
        else:
            path.write_text("\n\n".join([path.read_text(), *blocks]))


@pytest.mark.parametrize(("command", "outcome"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_of_the_page_has_the_outcome_that_it_says(reader: Reader, command: str, outcome: str) -> None:
    assert outcome in reader.run(*shlex.split(command)[1:])


def test_every_file_of_the_page_was_found() -> None:
    assert {name: len(blocks) for name, blocks in docexamples.files_of(PAGE).items()} == {
        "functions/python/function_app.py": 2,
        "functions/automations.yaml": 2,
        "components/servicebus.json": 1,
    }
