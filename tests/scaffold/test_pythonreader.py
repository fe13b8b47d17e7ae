"""What is found in the code of Python functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.scaffold import pythonreader
from bridge.scaffold.existing import NOTHING, CodeFacts
from bridge.scaffold.pythonsource import PythonSource


def read(tmp_path: Path, code: str, **modules: str) -> CodeFacts:
    for name, text in {"function_app": code, **modules}.items():
        (tmp_path / f"{name}.py").write_text(text)
    source = PythonSource(tmp_path / "function_app.py", tmp_path)
    return pythonreader.read(source, source.functions["main"])


def found(facts: CodeFacts) -> dict[str, Any]:
    return {f"{use.place.value} {'/'.join(use.path)}": (use.type, use.required) for use in facts.uses}


def test_the_parts_of_a_request(tmp_path: Path) -> None:
    code = """
def main(req):
    a = req.params["a"]
    b = int(req.params.get("b") or 3)
    c = req.route_params.get("c")
    d = req.headers.get("X-D")
    body = req.get_json()
    e = body["e"]["f"]
    if "g" in body: pass
    h = body.get("h", True)
    i = req.form.get("i")
"""
    assert found(read(tmp_path, code)) == {
        "query a": ("", True),
        "query b": ("integer", False),
        "route c": ("", False),
        "header X-D": ("", False),
        "body e": ("", True),
        "body e/f": ("", True),
        "body g": ("", False),
        "body h": ("boolean", False),
        "form i": ("", False),
    }


def test_the_body_as_text_that_is_parsed(tmp_path: Path) -> None:
    code = "import json\ndef main(msg):\n    order = json.loads(msg.get_body().decode('utf-8'))\n    return order['number']\n"

    assert found(read(tmp_path, code)) == {"body number": ("", True)}


def test_functions_of_the_app_are_followed_into_other_modules(tmp_path: Path) -> None:
    code = "import helpers\nfrom helpers import two\ndef main(req):\n    helpers.one(req)\n    two(value=req.get_json())\n"
    helpers = "def one(request):\n    return one(request) or request.params['one']\ndef two(*, value):\n    return value['two']\n"

    facts = read(tmp_path, code, helpers=helpers)

    assert (set(found(facts)), facts.notes) == ({"query one", "body two"}, [])


def test_a_model_of_the_app_has_the_fields_of_its_class(tmp_path: Path) -> None:
    code = """
class Order(BaseModel):
    number: int
    gift: bool = False
    note: str | None = None

def main(req):
    order = Order(**req.get_json())
"""
    facts = read(tmp_path, code)

    assert found(facts) == {"body number": ("integer", True), "body gift": ("boolean", False), "body note": ("string", False)}
    assert [use.default for use in facts.uses] == [NOTHING, False, NOTHING]


def test_what_leaves_the_app_is_named_with_its_line(tmp_path: Path) -> None:
    facts = read(tmp_path, "import elsewhere\ndef main(req):\n    elsewhere.work(req.get_json())\n")

    assert facts.notes == ["the body goes to elsewhere.work (line 3); add the fields that are read there"]


def test_an_answer_that_is_written_to_the_same_names_is_no_input(tmp_path: Path) -> None:
    facts = read(
        tmp_path, "def main(req):\n    answer = {}\n    answer['x'] = req.params.get('y')\n    body = req.get_json()\n    body['z'] = 1\n"
    )

    assert set(found(facts)) == {"query y"}


def test_a_function_of_the_bridge_takes_the_event(tmp_path: Path) -> None:
    code = "def main(message):\n    invoked = bridge_result.read_invoked(message.get_body())\n    return invoked.get_data()['csv']\n"

    facts = read(tmp_path, code)

    assert (facts.reads_event, set(found(facts))) == (True, {"body csv"})
