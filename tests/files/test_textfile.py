from __future__ import annotations

from pathlib import Path

import pytest

from bridge import entities
from bridge.adapters.apps import Apps
from bridge.files import textfile, yamlfile
from bridge.settings import FunctionApp, load

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
ENTITIES = """{"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [], "Topics": []}]}}"""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_byte_order_mark_names_the_encoding_and_is_no_text(encoding: str) -> None:
    assert textfile.decode("grün".encode(encoding)) == "grün"


@pytest.mark.parametrize("data", [b"\xff", b"gr\xfcn", b"\xff\xfea"])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        textfile.decode(data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_yaml_is_read_in_each_of_them(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes("a: grün\r\n---\r\nb: 2\r\n".encode(encoding))
    assert yamlfile.read(path, "") == [{"a": "grün"}, {"b": 2}]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_settings_entities_and_keys_are_read_in_each_of_them(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "bridge.yaml").write_bytes("port: 1234\r\n".encode(encoding))
    (tmp_path / "servicebus.json").write_bytes(ENTITIES.encode(encoding))
    (tmp_path / "key").write_bytes("k3y\r\n".encode(encoding))
    apps = Apps({"there": FunctionApp(url="http://127.0.0.1", key_file=tmp_path / "key")}, tmp_path, {})

    assert load({}, {}, tmp_path).port == 1234
    assert entities.load(tmp_path / "servicebus.json").name == "n"
    assert apps.find("there").key == "k3y"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": [1, 2,], /* b */ "c": "//",} // d', {"a": [1, 2], "c": "//"}),
        ("{'a': 1, b: 2}", {"a": 1, "b": 2}),
        ('{"a": 1, "a": 2,}', {"a": 2}),
    ],
)
def test_json_is_read_as_azures_own_tools_read_it(tmp_path: Path, text: str, value: object) -> None:
    (tmp_path / "file.json").write_text(text)
    assert textfile.read_json(tmp_path / "file.json") == value


@pytest.mark.parametrize("text", ["", "{", '{"a" 1}', "a", "[1] 2", "[" * 50_000, "\x00", '"'])
def test_what_is_no_json_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(ValueError, match=r"not JSON at line 1|too deeply|No JSON"):
        textfile.read_json(tmp_path / "file.json")


@pytest.mark.parametrize(("text", "found"), [('{"a": 1,}', {"a": 1}), ("[1]", {}), ("{", {}), (None, {})])
def test_an_object_that_cannot_be_read_is_empty(tmp_path: Path, text: str | None, found: object) -> None:
    if text is not None:
        (tmp_path / "file.json").write_text(text)
    assert textfile.json_object(tmp_path / "file.json") == found
