from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.scaffold import pythonapp

APP = '''"""Mine."""

# A comment.
import azure.functions as func

own = func.FunctionApp()  # with a name of its own


@own.route("x")
def x(req): ...
'''


def test_the_module_is_imported_and_registered_and_every_line_stays() -> None:
    after = pythonapp.registered(APP, "words_count", Path("function_app.py"))

    assert [line for line in after.split("\n") if line in APP.split("\n")][: len(APP.rstrip().split("\n"))] == APP.rstrip().split("\n")
    assert "import azure.functions as func\nimport words_count\n" in after
    assert after.endswith("\n\n\nown.register_functions(words_count.blueprint)\n")
    ast.parse(after)


@pytest.mark.parametrize(("text", "reason"), [("x = 1\n", "no line such as app = func.FunctionApp"), ("def\n", "line 1: is not Python")])
def test_a_file_to_which_nothing_can_be_added_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        pythonapp.registered(text, "words_count", Path("function_app.py"))


@pytest.mark.parametrize("text", ["azure-functions\ncloudevents==2.2.0\n", "CloudEvents\n"])
def test_a_requirement_that_is_there_is_not_added(text: str) -> None:
    assert pythonapp.required(text, "cloudevents", "cloudevents>=2.2,<3") == text


def test_a_requirement_is_added_at_the_end() -> None:
    assert pythonapp.required("# ours\nazure-functions", "cloudevents", "cloudevents>=2") == "# ours\nazure-functions\ncloudevents>=2\n"
