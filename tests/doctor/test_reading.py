"""What is read, and what is left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from bridge.doctor import engine, reading
from bridge.doctor.findings import DoctorFinding
from bridge.files import yamlfile

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


def test_what_a_resource_names_may_stand_in_the_folder_above_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "store.yaml").write_text(STORE.replace("rediss", "redis"))
    policy = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: one}\nspec:\n  targets:\n    components:\n      NAME: {}\n"
    (tmp_path / "one/policy.yaml").write_text(policy.replace("NAME", "stores"))

    assert [each.rule.name for each in found(tmp_path)] == ["target-component-unknown"]
    (tmp_path / "one/policy.yaml").write_text(policy.replace("NAME", "store"))
    assert found(tmp_path) == []


def test_a_sidecar_reads_one_folder_so_names_collide_only_there(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    for path in (tmp_path / "store.yaml", tmp_path / "one/store.yaml", tmp_path / "one/other.yaml"):
        path.write_text(STORE.replace("rediss", "redis"))

    assert [(each.rule.name, each.hit.file.parent.name) for each in found(tmp_path)] == [("name-collides", "one")]


def test_manifests_in_several_files_may_be_alternatives(tmp_path: Path) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
    (tmp_path / "one.yaml").write_text(service)
    (tmp_path / "other.yaml").write_text(service)

    assert found(tmp_path) == []
    (tmp_path / "other.yaml").write_text(f"{service}---\n{service}")
    assert [(each.rule.name, each.hit.line) for each in found(tmp_path)] == [("name-collides", 7)]


def test_a_fault_in_one_document_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "stores.yaml").write_text(f"{STORE}---\nkind: [Component\n---\n{STORE.replace('name: store', 'name: other')}")

    places = [(each.rule.name, each.hit.line) for each in found(tmp_path)]

    assert places == [("component-type-unknown", 6), ("not-readable", 14), ("component-type-unknown", 20)]


def test_a_key_that_stands_twice_hides_no_other_fault(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(STORE.replace("  version: v1\n", "  version: v1\n  Version: v1\n  version: v1\n"))

    places = [(each.rule.name, each.hit.line, each.hit.message) for each in found(tmp_path) if each.rule.name != "field-unknown"]

    assert [place[:2] for place in places] == [("component-type-unknown", 6), ("key-twice", 9)]
    assert "'version'" in places[1][2]


def test_tabs_after_a_value_are_read_as_go_reads_them(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(
        STORE.replace("version: v1", "version: v1\t# ours").replace("- name: redisHost", "-\tname: redisHost")
    )

    assert [(each.rule.name, each.hit.line) for each in found(tmp_path)] == [("component-type-unknown", 6)]


def test_tags_of_other_readers_are_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text("Resources:\n  Bucket: !Ref Name\n")

    assert found(tmp_path) == []


def test_resources_in_json_are_read_and_other_json_is_not(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(json.dumps(yaml.safe_load(STORE), indent=1))
    (tmp_path / "tsconfig.json").write_text('{"kind": "Component", // ours\n}')
    (tmp_path / "broken.json").write_text('{"apiVersion": 1, "kind": ')

    assert [(each.rule.name, each.hit.file.name, each.hit.line) for each in found(tmp_path)] == [
        ("component-type-unknown", "store.json", 8)
    ]


def test_a_link_to_a_file_is_read_and_one_to_a_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/store.yaml").write_text(STORE)
    (tmp_path / "store.yaml").symlink_to("..data/store.yaml")
    (tmp_path / "again").symlink_to(".")
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "round.yaml").symlink_to("round.yaml")

    assert [each.hit.file.name for each in found(tmp_path)] == ["store.yaml"]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "store.yaml").write_text(STORE)

    assert [each.hit.file.name for each in found(tmp_path)] == ["store.yaml"]


def test_a_file_that_is_too_large_is_named_and_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(yamlfile.MOST_BYTES + 1)

    project = reading.read([tmp_path, tmp_path / "large.yaml"])

    assert (project.documents, engine.examine(project)) == ([], [])
    assert "larger than" in project.skipped[0]


def test_the_line_of_a_character_that_yaml_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("a: 1\nb: 2\nc: \0\n")
    assert [(each.rule.name, each.hit.line) for each in found(tmp_path)] == [("not-readable", 3)]

    (tmp_path / "odd.yaml").write_text("a: 1\n---\nb: 2\nc: \0\n")
    assert [(each.rule.name, each.hit.line) for each in found(tmp_path)] == [("not-readable", 4)]


def test_a_template_in_the_middle_of_a_line_is_one(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(STORE.replace("name: store", "name: {{ .Release.Name }}-store"))
    (tmp_path / "rule.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  text: 'on {{ $labels.host }}'\n")

    project = reading.read([tmp_path])

    assert (engine.examine(project), len(project.skipped), len(project.documents)) == ([], 1, 1)


def test_a_patch_is_not_asked_for_what_it_lacks(tmp_path: Path) -> None:
    annotated = "spec: {template: {metadata: {annotations: {dapr.io/app-id: a}}}}"
    patch = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\n{annotated}\n"
    (tmp_path / "patch.yaml").write_text(patch)
    assert [each.rule.name for each in found(tmp_path)] == ["sidecar-not-enabled"]

    (tmp_path / "kustomization.yaml").write_text("patchesStrategicMerge: [patch.yaml]\n")
    assert found(tmp_path) == []


def test_components_of_others_are_none_of_dapr(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n")
    (tmp_path / "catalog-info.yaml").write_text(
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: a}\nspec: {type: service}\n"
    )

    assert found(tmp_path) == []


@pytest.mark.parametrize("value", ["<password>", "${PASSWORD}", "[password]", "******", "{{PASSWORD}}", "#{Password}#"])
def test_what_is_filled_in_later_is_no_secret(tmp_path: Path, value: str) -> None:
    store = STORE.replace("rediss", "redis").replace("scopes", f"  - name: redisPassword\n    value: '{value}'\nscopes")
    (tmp_path / "store.yaml").write_text(store)

    assert found(tmp_path) == []


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reading.read([tmp_path / "none"])
