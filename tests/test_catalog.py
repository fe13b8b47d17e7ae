from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bridge import catalog
from bridge.catalog import Automation
from bridge.errors import ConfigurationError, UnknownAutomation
from tests.core_kit import automation

SHIPPED = Path(__file__).parents[1] / "functions" / "automations.yaml"
HTTP = {"name": "inspect", "http": {"app": "python-functions", "path": "/api/inspect"}}
TOPIC = {"name": "tidy", "topic": {"name": "automation-powershell"}}


def document(name: str = "report", **spec: Any) -> dict[str, Any]:
    whole = {"deadline": "2m", "targets": [HTTP], **spec}
    return {"apiVersion": "bridge/v1", "kind": "Automation", "metadata": {"name": name}, "spec": whole}


def write(tmp_path: Path, *documents: Any) -> Path:
    """The file; text stands in it as it is, anything else as JSON, which is YAML."""
    file = tmp_path / "automations.yaml"
    file.write_text("\n---\n".join(each if isinstance(each, str) else json.dumps(each) for each in documents))
    return file


def load(tmp_path: Path, *documents: Any) -> list[Automation]:
    return list(catalog.load(write(tmp_path, *documents)))


def problems(tmp_path: Path, *documents: Any) -> list[str]:
    """What is wrong, without the name of the file."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, *documents)
    assert all(each.startswith(str(tmp_path / "automations.yaml")) for each in caught.value.problems)
    return [each.removeprefix(str(tmp_path / "automations.yaml")) for each in caught.value.problems]


# What a file says.


def test_the_shipped_catalogue_can_be_used():
    assert len(list(catalog.load(SHIPPED))) >= 3


def test_an_automation_is_read_with_its_defaults(tmp_path):
    (known,) = load(tmp_path, document())
    assert (known.name, known.description, known.input_schema, known.deadline) == ("report", "", {}, timedelta(minutes=2))
    assert (known.rule.text, known.allow.submit, known.allow.read) == ("all", None, None)
    (target,) = known.targets
    assert target.http is not None
    assert (target.name, target.http.method, target.http.path, target.http.concurrency) == ("inspect", "POST", "/api/inspect", 20)


def test_everything_can_be_said(tmp_path):
    whole = document(targets=[HTTP, TOPIC], succeedsWhen="quorum:2", allow={"submit": ["operators"], "read": []}, input={"type": "object"})
    whole["metadata"]["description"] = "Counts"
    (known,) = load(tmp_path, whole)
    assert (known.description, known.rule.needed, known.allow.submit, known.allow.read) == ("Counts", 2, ("operators",), ())
    assert known.targets[1].topic is not None
    assert (known.targets[1].topic.name, known.targets[1].topic.attempts) == ("automation-powershell", 1)


def test_an_empty_file_has_no_automations(tmp_path):
    assert load(tmp_path, "") == []


def test_an_automation_is_found_by_name_and_the_nearest_is_named(tmp_path):
    known = catalog.load(write(tmp_path, document("report"), document("inspect")))
    assert known.get("report").name == "report"
    with pytest.raises(UnknownAutomation, match=r"No automation is named 'reprot'\. Did you mean 'report'\?"):
        known.get("reprot")
    with pytest.raises(UnknownAutomation, match="GET /v1/automations lists the names"):
        known.get("x" * 1_000_000)


# What is wrong with it.


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (document("no good"), "metadata.name: "),
        (document(deadline="soon"), "spec.deadline: 'soon' is not a duration; write it like"),
        (document(deadline="0s"), "deadline: must be longer than 0s"),
        (document(succeedsWhen="most"), "'most' is not a rule; use all, any, quorum:N or best-effort"),
        (document(succeedsWhen="quorum:2"), "quorum:2 can never be reached with 1 target"),
        (document(targets=[]), "spec.targets: "),
        (document(targets=[HTTP, HTTP]), "two targets have the same name: inspect"),
        (document(dedline="2m"), "spec.dedline: is not known here; did you mean 'deadline'?"),
        (document(zzz=1), "spec.zzz: is not known here; remove it"),
        (document(allow={"submit": "operators"}), "spec.allow.submit: "),
        (document(input={"type": "strin"}), "input: is not JSON Schema 2020-12 at type: "),
        (document(input={"$schema": "https://example.com/own"}), "input: names a $schema that is not known here; leave it out"),
        (document(input={"properties": {"a": {"pattern": "("}}}), "input: is not JSON Schema 2020-12 at properties/a/pattern: "),
        (document(input={"properties": {"a": {"$ref": "https://elsewhere/a"}}}), "elsewhere"),
        (document(input={"$ref": "#/$defs/none"}), "none"),
        (document() | {"apiVersion": "bridge/v2"}, "apiVersion: must be 'bridge/v1' (it is 'bridge/v2')"),
        (document() | {"kind": "Function"}, "kind: must be 'Automation'"),
        (document() | {"spec": None}, "spec: "),
        ({"metadata": {}}, "metadata.name: is missing; add it"),
        ([], "document: "),
        ("just text", "document: "),
    ],
)
def test_a_mistake_is_told_with_document_path_and_mend(tmp_path, whole, said):
    assert any(each.startswith(", document 2 (") and said in each for each in problems(tmp_path, document("good"), whole))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"name": "Upper"}, ".name: "),
        ({"name": "x" * 25}, ".name: "),
        ({"name": "a/b"}, ".name: "),
        ({"name": "~deadline"}, ".name: "),
        ({"http": None}, ": a target has one of http, topic and queue"),
        ({"topic": {"name": "t"}}, ": a target has one of http, topic and queue"),
        ({"http": {"app": "https://elsewhere", "path": "/"}}, ".http.app: must be the name of an app, of lower-case letters"),
        ({"http": {"app": "a", "path": "api"}}, ".http.path: must be the path of a function, such as /api/items"),
        ({"http": {"app": "a", "path": "/api?x=1"}}, ".http.path: "),
        ({"http": {"app": "a", "path": "/", "method": "post"}}, ".http.method: "),
        ({"http": {"app": "a", "path": "/", "concurrency": 0}}, ".http.concurrency: "),
        ({"http": {"app": "a", "path": "/", "metod": "GET"}}, ".http.metod: is not known here; did you mean 'method'?"),
        ({"http": None, "topic": {"name": "t", "attempts": 0}}, ".topic.attempts: "),
        ({"http": {"app": "a", "path": "/", "errors": "count"}}, ".http.errors: "),
        ({"http": None, "topic": {"name": "t", "completes": "published", "errors": "fail"}}, ".topic: errors: fail is too late"),
    ],
)
def test_a_mistake_in_a_target_is_told_with_its_place(tmp_path, target, said):
    assert any(f"(report), spec.targets.0{said}" in each for each in problems(tmp_path, document(targets=[{**HTTP, **target}])))


def test_all_documents_are_looked_at(tmp_path):
    found = problems(tmp_path, document(deadline="x"), document(), document("a b"), document(), {})
    assert [each.partition(" (")[0].partition(", metadata")[0] for each in found] == [
        ", document 1",
        ", document 3",
        ", document 4",
        *[", document 5"] * 4,
    ]
    assert any("'report' stands in an earlier document; give it another name" in each for each in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\t: x", "is not YAML: "),
        ("a: [", "is not YAML: "),
        ("a: 1\na: 2", "the key 'a' appears twice"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_the_line(tmp_path, text, said):
    (problem,) = problems(tmp_path, text)
    assert said in problem
    assert "line " in problem


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "automations.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigurationError, match="is not YAML"):
        catalog.load(tmp_path / "automations.yaml")


def test_a_file_that_is_not_there_is_a_problem_with_the_option_to_name_it(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.yaml: cannot be read \(No such file or directory\)\. .*--catalogue"):
        catalog.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"succeedsWhen": "most", "deadline": "0s"}, ["'most'", "longer than 0s"]),
        ({"targets": [HTTP, HTTP], "input": {"type": "strin"}}, ["same name", "not JSON Schema"]),
        ({"succeedsWhen": "most", "allow": {"submitt": []}}, ["'most'", "submitt"]),
    ],
)
def test_all_mistakes_of_a_document_are_told_at_once(tmp_path, spec, said):
    found = problems(tmp_path, document(**spec))
    assert [any(each in problem for problem in found) for each in said] == [True, True]


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"succeedsWhen": "most"}, "spec.succeedsWhen:"),
        ({"deadline": "0s"}, "spec.deadline:"),
        ({"input": {"type": "strin"}}, "spec.input"),
    ],
)
def test_a_mistake_is_told_with_its_whole_path(tmp_path, spec, place):
    (problem,) = problems(tmp_path, document(**spec))
    assert place in problem


def test_one_mistake_in_a_target_is_one_problem(tmp_path):
    assert len(problems(tmp_path, document(targets=[{**HTTP, "name": "Upper"}]))) == 1


@pytest.mark.parametrize(
    "text",
    ["? [a]\n: b", "x: &x [*x]", json.dumps(document(deadline="9999999999d"))],
    ids=["a list as a key", "a list in itself", "a deadline beyond time"],
)
def test_whatever_stands_in_the_file_is_a_problem_of_the_configuration(tmp_path, text):
    assert problems(tmp_path, text)


@pytest.mark.parametrize("whole", ["text", document(targets={})])
def test_a_mistake_is_told_in_words_of_the_file(tmp_path, whole):
    (problem,) = problems(tmp_path, whole)
    assert "tuple" not in problem
    assert "CatalogDocument" not in problem


def test_a_mapping_may_be_merged(tmp_path):
    schema = "{properties: {a: &text {type: string}, b: {<<: *text, maxLength: 3}}}"
    text = json.dumps(document(input="SCHEMA")).replace('"SCHEMA"', schema)
    assert load(tmp_path, text)[0].violations({"b": "long"})[0]["rule"] == "maxLength"


# What an input breaks.


@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({}, {"any": 1}, []),
        ({"type": "object"}, [], [("", "type")]),
        ({"required": ["a"]}, {}, [("", "required")]),
        ({"properties": {"a/b~c": {"items": {"type": "string"}}}}, {"a/b~c": ["x", 1]}, [("/a~1b~0c/1", "type")]),
        ({"properties": {"d": {"format": "date"}}}, {"d": "soon"}, [("/d", "format")]),
        ({"properties": {}, "additionalProperties": False}, {"a": 1}, [("", "additionalProperties")]),
        ({"additionalProperties": False}, {"a": 1}, [("", "additionalProperties")]),
        ({"type": "integer"}, 2**100, []),
        ({"maximum": 2**60}, 2**60 + 1, [("", "maximum")]),
        ({"const": 2**60}, 2**60 + 1, [("", "const")]),
        ({"multipleOf": 0.1}, 0.3, []),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": [{"type": "string"}]}, [1], [("/0", "type")]),
    ],
)
def test_violations_are_named_with_pointer_and_rule(schema, value, found):
    assert [(each["pointer"], each["rule"]) for each in automation(**schema).violations(value)] == found


def test_no_more_violations_are_told_than_wanted():
    strings = automation(items={"type": "string"})
    assert len(strings.violations([1] * 100)) == 20
    assert len(strings.violations([1] * 100, most=3)) == 3


@pytest.mark.parametrize(
    "rule", [{"type": "integer"}, {"enum": ["a"]}, {"format": "email"}, {"const": "a"}, {"pattern": "^x"}, {"maxLength": 1}]
)
def test_a_violation_never_repeats_the_value(rule):
    (violation,) = automation(properties={"password": rule}).violations({"password": "hunter2"})
    assert "hunter2" not in str(violation)


def test_a_recursive_schema_reads_deep_input():
    tree = automation(**{"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}})
    assert tree.violations(json.loads("[" * 200 + "]" * 200)) == []
    assert tree.violations(json.loads("[" * 200 + "1" + "]" * 200))[0]["pointer"] == "/0" * 200


def test_a_property_that_may_not_be_is_told_as_such():
    (violation,) = automation(properties={"a": False}).violations({"a": 1})
    assert violation["rule"] in ("false", "properties")


def test_an_automation_knows_the_secrets_of_its_input():
    assert automation(properties={"password": {"writeOnly": True}}).secret_paths == (("password",),)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/api",
        "/../admin",
        "/api/../admin",
        "/api/%2e%2e/admin",
        "/api/..%2fadmin",
        "/api/..%2Fadmin",
        "/api%2f..%2fadmin",
        "/api/%2e%2e%2fadmin",
        "/api/..%5cadmin",
        "/api/%252e%252e%252fadmin",
        "/api/.%2fadmin",
        "/api/.",
        "/api?code=1",
        "/api#x",
        "http://evil.example",
        "/a b",
    ],
)
def test_a_target_leads_to_a_path_of_its_app_and_nowhere_else(tmp_path, path):
    (problem,) = problems(tmp_path, document(targets=[{"name": "a", "http": {"app": "python-functions", "path": path}}]))
    assert "spec.targets.0.http.path" in problem


@pytest.mark.parametrize("path", ["/api/a..b", "/api/...", "/api//x", "/api/%20", "/api/a%2fb", "/api/..a%2f.b", "/api/100%25"])
def test_what_only_looks_like_another_path_is_taken(tmp_path, path):
    (known,) = load(tmp_path, document(targets=[{"name": "a", "http": {"app": "python-functions", "path": path}}]))
    assert known.targets[0].http is not None
    assert known.targets[0].http.path == path


# What a schema may lead to.


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that gives a schema to whoever asks for one, and what it was asked for."""
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "object"}')

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/schema", asked
        server.shutdown()


@pytest.mark.parametrize(
    "schema",
    [
        {"$schema": "REMOTE"},
        {"$schema": ["REMOTE"]},
        {"properties": {"a": {"$id": "urn:x:a", "$schema": "REMOTE"}}},
        {"$defs": {"a": {"$id": "urn:x:a", "$schema": "REMOTE"}}, "$ref": "#/$defs/a"},
        {"definitions": {"a": {"$id": "urn:x:a", "$schema": "REMOTE"}}, "$ref": "#/definitions/a"},
        {"propertyNames": {"$id": "urn:x:a", "$schema": "REMOTE"}},
        {"$ref": "REMOTE"},
        {"items": {"anyOf": [{"$ref": "REMOTE#/a"}]}},
        {"$dynamicRef": "REMOTE"},
        {"$id": "REMOTE", "$ref": "other"},
        {"$schema": "file:///etc/hostname"},
        {"$ref": "file:///etc/hostname"},
    ],
)
def test_nothing_is_fetched_for_a_schema(tmp_path, elsewhere, schema):
    remote, asked = elsewhere
    (problem,) = problems(tmp_path, json.dumps(document(input=schema)).replace("REMOTE", remote))
    assert "spec.input: " in problem
    assert asked == []


def test_a_property_may_be_named_like_a_keyword(tmp_path):
    (known,) = load(tmp_path, document(input={"properties": {"$schema": {"type": "string"}, "$ref": {"type": "string"}}}))
    assert known.violations({"$schema": "http://x.example/y"}) == []


@pytest.mark.parametrize(
    "schema",
    [
        "{maximum: 0x" + "f" * 100_000 + "}",
        "{default: 2020-01-01}",
        "{default: !!binary aGVsbG8=}",
        "{default: !!set {a, b}}",
        "{properties: {1: {}}}",
        "{maximum: .inf}",
        "{pattern: '((\\w{500}){500}){500}'}",
        '{"items":' * 100_000 + "{}" + "}" * 100_000,
        "&a {properties: {a: *a}}",
        "{a0: &a0 [x, x], " + ", ".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)) + "}",
    ],
)
def test_a_schema_that_cannot_be_meant_is_a_problem_in_words(tmp_path, schema):
    text = json.dumps(document(input="SCHEMA")).replace('"SCHEMA"', schema)
    (problem,) = problems(tmp_path, text)
    assert len(problem) < 1_500


@pytest.mark.parametrize("value", ["0x" + "f" * 800, "[" + "1," * 10_000 + "1]", "'" + "x" * 10_000 + "'"])
def test_a_problem_shows_the_beginning_of_what_is_long(tmp_path, value):
    text = json.dumps(document(deadline="DEADLINE", succeedsWhen="DEADLINE")).replace('"DEADLINE"', value)
    assert all(len(problem) < 500 for problem in problems(tmp_path, text))
