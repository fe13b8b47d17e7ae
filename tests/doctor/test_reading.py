"""What is read, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.doctor import engine, reading
from bridge.doctor.findings import DoctorFinding

STORE = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: store
spec:
  type: state.rediss
  version: v1
  metadata:
  - name: redisHost
    envRef: REDIS_HOST
scopes: [app]
"""


def found(path: Path) -> list[DoctorFinding]:
    return engine.examine(reading.read([path]))


def test_a_template_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text("kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n")

    project = reading.read([tmp_path])

    assert (project.documents, engine.examine(project)) == ([], [])
    assert "helm template" in project.skipped[0]


def test_standard_input_is_a_file_like_others() -> None:
    project = reading.read([reading.STDIN], lambda: STORE)

    assert [(str(each.hit.file), each.hit.line) for each in engine.examine(project)] == [("-", 6)]


def test_a_byte_order_mark_and_line_ends_of_windows_move_no_place(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_bytes(b"\xef\xbb\xbf" + STORE.replace("\n", "\r\n").encode())

    [only] = found(tmp_path)

    assert (only.rule.name, only.hit.line) == ("component-type-unknown", 6)


def test_what_is_no_configuration_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{")
    (tmp_path / "notes.txt").write_text("kind: Component")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/store.yaml").write_text(STORE)
    (tmp_path / "workflow.yaml").write_text("on: push\njobs: {build: {steps: []}}\n")

    assert found(tmp_path) == []


@pytest.mark.parametrize(
    "text", [b"\xff\xfe\xff", b"a: &a [*a, *a]\n", b"a: " + b"[" * 5000, b"- " * 3000, b"\x00", b"!!python/object:os.system {}"]
)
def test_a_file_that_nobody_can_read_is_told_with_its_name(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(text)

    assert {each.rule.name for each in found(tmp_path)} <= {"not-readable"}


def test_a_resource_that_is_longer_than_daprd_reads(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(STORE.replace("rediss", "redis") + "# " + "x" * 70_000 + "\nauth: {secretStore: ''}\n")

    assert [each.rule.name for each in found(tmp_path)] == ["document-too-long"]


def test_a_comment_says_what_to_ignore_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text("# doctor: ignore component-type-unknown\n" + STORE)

    assert found(tmp_path) == []


def test_folders_beside_each_other_are_different_sets(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "store.yaml").write_text(STORE.replace("rediss", "redis"))

    assert found(tmp_path) == []


def test_a_set_meets_the_folder_above_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    for path in (tmp_path, tmp_path / "one"):
        (path / "store.yaml").write_text(STORE.replace("rediss", "redis"))

    assert [each.rule.name for each in found(tmp_path)] == ["name-collides"]


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reading.read([tmp_path / "none"])
