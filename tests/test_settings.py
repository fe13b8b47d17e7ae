from __future__ import annotations

import hashlib
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge import settings
from bridge.errors import ConfigurationError

LOOPBACK = ("http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443")
TOKEN = {"name": "ops", "sha256": "ab" * 32, "roles": ["operators"]}


def read(cwd: Path, text: str = "", flags: dict[str, object] | None = None, /, **environ: str) -> settings.Settings:
    if text:
        (cwd / "bridge.yaml").write_text(text)
    return settings.load(flags or {}, environ, cwd)


def problems(cwd: Path, text: str = "", flags: dict[str, object] | None = None, /, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(cwd, text, flags, **environ)
    return caught.value.problems


def test_without_anything_set_a_laptop_gets_the_embedded_runtime_on_loopback(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.runtime, found.host, found.port) == ("embedded", "127.0.0.1", 8080)
    assert found.data_dir == tmp_path / ".bridge"
    assert found.topics["automation-requests"].submitter == "automation-requests"
    assert (found.retention, found.max_input_bytes, found.max_event_bytes) == (timedelta(days=7), 2**20, None)


def test_service_bus_clients_of_other_machines_need_tls(tmp_path: Path) -> None:
    assert read(tmp_path).servicebus_port is None
    found = read(tmp_path, "servicebus_port: 5671\nservicebus_host: 192.0.2.1", {"servicebus_tls": True})
    assert (found.servicebus_port, found.servicebus_host, found.servicebus_tls) == (5671, "192.0.2.1", True)


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, "port: 1\nqueue_limit: 1\nhost: '::1'", {"port": 3, "host": None}, BRIDGE_PORT="2", BRIDGE_QUEUE_LIMIT="2")
    assert (found.port, found.queue_limit, found.host) == (3, 2, "::1")


def test_parts_of_one_setting_may_come_from_file_and_environment(tmp_path: Path) -> None:
    text = "function_apps: {python-functions: {url: 'https://a.example'}, other: {url: 'https://b.example/'}}"
    found = read(tmp_path, text, BRIDGE_FUNCTION_APPS__PYTHON_FUNCTIONS__KEY_ENV="THE_KEY")
    assert found.function_apps["python-functions"].key_env == "THE_KEY"
    assert found.function_apps["other"].url == "https://b.example"


def test_the_namespace_may_come_from_the_environment(tmp_path: Path) -> None:
    assert read(tmp_path, BRIDGE_SERVICEBUS__NAMESPACE="a.example").servicebus == settings.ServiceBusNamespace(namespace="a.example")
    named = read(tmp_path, BRIDGE_SERVICEBUS__CONNECTION_STRING_FILE="secret").servicebus
    assert named is not None
    assert named.connection_string_file == tmp_path / "secret"


def test_a_list_in_the_environment_is_json(tmp_path: Path) -> None:
    found = read(tmp_path, BRIDGE_REPLY_TOPICS='["a", "b"]', BRIDGE_DEFAULT_REPLY_TOPIC="b")
    assert found.reply_topics == ("a", "b")


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_the_file_may_be_named(tmp_path: Path, how: str) -> None:
    (tmp_path / "other.yaml").write_text("port: 99")
    found = read(tmp_path, "port: 1", {"config": "other.yaml"}) if how == "flag" else read(tmp_path, BRIDGE_CONFIG="other.yaml")
    assert found.port == 99


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        *(
            ("data_limit", written, size)
            for written, size in [
                ("8GiB", 8 * 2**30),
                ("8 GiB", 8 * 2**30),
                ("1 MiB", 2**20),
                ("900kB", 900_000),
                ("1.5MB", 1_500_000),
                ("2TB", 2 * 10**12),
                ("17", 17),
                ("17B", 17),
            ]
        ),
        ("retention", "12h", timedelta(hours=12)),
        ("retention", "PT12H", timedelta(hours=12)),
        ("drain", "0", timedelta(0)),
        ("public_url", "https://bridge.example.com/", "https://bridge.example.com"),
        ("public_url", "", None),
        ("log_format", "json", "json"),
        ("port", "0", 0),
        ("host", "localhost", "localhost"),
        ("cors_origins", '["HTTP://LocalHost:3000", "http://127.0.0.1:80", "https://[::1]:8443"]', LOOPBACK),
        ("functions", "/srv/functions", Path("/srv/functions")),
    ],
)
def test_values_are_read_as_people_write_them(tmp_path: Path, name: str, written: str, value: object) -> None:
    assert getattr(read(tmp_path, **{f"BRIDGE_{name.upper()}": written}), name) == value


@pytest.mark.parametrize(("written", "size"), [("17", 17), ("900kB", 900_000)])
def test_a_size_in_a_file_may_be_a_number(tmp_path: Path, written: str, size: int) -> None:
    assert read(tmp_path, f"data_limit: {written}").data_limit == size


@pytest.mark.parametrize("written", ["true", "1.5", "-1"])
def test_another_value_in_a_file_is_no_size(tmp_path: Path, written: str) -> None:
    assert "is not a size" in problems(tmp_path, f"data_limit: {written}")[0]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("port", "eighty", ["BRIDGE_PORT: 'eighty' cannot be used", "integer", "The port the API listens on"]),
        ("port", "70000", ["less than or equal to 65535"]),
        ("runtime", "dopr", ["'dopr'", "'embedded' or 'dapr'"]),
        ("retention", "week", ["'week' is not a duration", '"7d"']),
        ("retention", "0", ["more than 0s"]),
        ("max_wait", "2m", ["expected 1m at most"]),
        ("max_event_bytes", "200kB", ["expected 256000 at least", "replies"]),
        *(("data_limit", text, [f"'{text}' is not a size", '"8GiB"']) for text in ("8XB", "-1", "GiB", "much")),
        ("data_limit", "0", ["greater than 0"]),
        ("retention", "PT", ["'PT' is not a duration", '"PT30S"']),
        ("public_url", "bridge", ["'bridge'", "such as https://"]),
        ("default_reply_topic", "elsewhere", ["expected one of reply_topics"]),
        ("servicebus_host", "192.0.2.1", ["loopback", "servicebus_tls"]),
        ("servicebus_port", "65536", ["65535"]),
        ("reply_topics", "a,b", ["should be a list"]),
        ("datadir", "x", ["BRIDGE_DATADIR: no setting has this name; did you mean BRIDGE_DATA_DIR?"]),
        ("zzz", "x", ["BRIDGE_ZZZ: no setting has this name; remove it"]),
        ("host", "0.0.0.0", ["because there are no tokens", "Make a token with python3"]),  # noqa: S104 - the address to refuse
    ],
)
def test_a_bad_value_is_named_with_what_is_expected(tmp_path: Path, key: str, value: str, says: list[str]) -> None:
    found = problems(tmp_path, **{f"BRIDGE_{key.upper()}": value})
    assert len(found) == 1
    assert all(part in found[0] for part in says), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dataDir: x", "bridge.yaml: dataDir: no setting has this name; did you mean bridge.yaml: data_dir?"),
        ("tokens: [{name: a}]", "bridge.yaml: tokens.0.sha256: is missing"),
        ("tokens: [{name: a, sha256: short}]", "bridge.yaml: tokens.0.sha256: it should match"),
        ("servicebus: {namespace: a.example, connection_string_file: b}", "expected namespace or connection_string_file, one of the two"),
        ("servicebus: {}", "expected namespace or connection_string_file, one of the two"),
        ("servicebus: {namespace: 'sb://a.example/'}", "cannot be used: it should match"),
        ("servicebus: {name_space: a.example}", "did you mean bridge.yaml: servicebus.namespace"),
        ("function_apps: {Bad Name: {url: 'http://a'}}", "'Bad Name' cannot be used: it should match"),
        ("function_apps: {a: {url: 'http://a', key_env: A, key_file: b}}", "expected key_file or key_env, not both"),
        ("function_apps: {a: {url: 'http://a', app_id: a}}", "expected url or app_id, one of the two"),
        ("function_apps: {a: {key_env: A}}", "expected url or app_id, one of the two"),
        ("topics: {a: {submitter: b, role: [c]}}", "topics.a.role: no setting has this name; did you mean bridge.yaml: topics.a.roles?"),
        ("- port", "bridge.yaml: holds list, expected a mapping"),
        ("port: [", "bridge.yaml: is not YAML at line 1"),
    ],
)
def test_a_problem_in_the_file_is_named_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in problem for problem in problems(tmp_path, text))


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    found = problems(tmp_path, "retention: never\ndatadir: x", {"port": "eighty"}, BRIDGE_RUNTIME="cloud")
    assert sorted(problem.split(": ")[0] for problem in found) == ["--port", "BRIDGE_RUNTIME", "bridge.yaml", "bridge.yaml"]


def test_a_named_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, "", {"config": "nowhere.yaml"}) == [
        "nowhere.yaml: there is no such file; name another with --config or BRIDGE_CONFIG, or leave both out."
    ]


@pytest.mark.parametrize("text", ["tokens: [{name: a, sha256: s3cret}]", "function_apps: {a: {url: 'https://u:s3cret@host/?code=s3cret'}}"])
def test_a_problem_never_repeats_what_may_be_secret(tmp_path: Path, text: str) -> None:
    assert "s3cret" not in "\n".join(problems(tmp_path, text))


def test_showing_the_settings_masks_the_tokens(tmp_path: Path) -> None:
    found = read(tmp_path, "", {"tokens": [TOKEN]})
    assert found.tokens[0].sha256 == "ab" * 32
    assert "abab" not in repr(found) + str(found)


def test_with_tokens_the_bridge_may_listen_everywhere(tmp_path: Path) -> None:
    assert read(tmp_path, "", {"tokens": [TOKEN], "host": "0.0.0.0"}).host == "0.0.0.0"  # noqa: S104 - the case in question


def test_with_tokens_pages_of_any_exact_origin_may_be_named(tmp_path: Path) -> None:
    found = read(tmp_path, "", {"tokens": [TOKEN], "cors_origins": ["https://console.example.com", "https://a-b.example:444"]})
    assert found.cors_origins == ("https://console.example.com", "https://a-b.example:444")


@pytest.mark.parametrize("origin", ["https://console.example.com", "http://localhost.evil.example", "http://10.0.0.1"])
def test_without_tokens_only_pages_of_this_machine_may(tmp_path: Path, origin: str) -> None:
    found = problems(tmp_path, "", {"cors_origins": ["http://localhost:3000", origin]})
    assert len(found) == 1
    assert f"and not {origin}, because there are no tokens" in found[0]


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "", "console.example.com", "https://", "https://*.example.com", "https://a.example/", "https://a.example/path"),
        *(
            "https://a.example?x",
            "https://u:p@a.example",
            "ftp://a.example",
            "https://a.example:port",
            "https://a.example:0443",
            "https://a b",
        ),
    ],
)
def test_what_is_no_exact_origin_is_refused(tmp_path: Path, origin: str) -> None:
    found = problems(tmp_path, "", {"tokens": [TOKEN], "cors_origins": [origin]})
    assert len(found) == 1
    assert "an exact origin such as https://" in found[0]


@pytest.mark.parametrize(
    ("other", "said"),
    [({"name": "dev", "sha256": TOKEN["sha256"]}, "the same sha256"), ({"name": TOKEN["name"], "sha256": "cd" * 32}, "different roles")],
)
def test_tokens_that_would_leave_a_doubt_are_refused(tmp_path: Path, other: dict[str, Any], said: str) -> None:
    assert said in problems(tmp_path, "", {"tokens": [TOKEN, other]})[0]


def test_an_owner_may_have_two_tokens_while_one_takes_the_place_of_the_other(tmp_path: Path) -> None:
    assert len(read(tmp_path, "", {"tokens": [TOKEN, TOKEN | {"sha256": "cd" * 32}]}).tokens) == 2


def test_the_command_in_the_hint_makes_a_token_and_its_hash() -> None:
    said = subprocess.run(settings.MAKE_A_TOKEN, shell=True, capture_output=True, text=True, check=True)  # noqa: S602 - as a user pastes it
    token, digest = said.stdout.split()
    assert hashlib.sha256(token.encode()).hexdigest() == digest


def test_variables_of_kubernetes_service_links_and_of_the_command_line_are_not_settings(tmp_path: Path) -> None:
    found = read(
        tmp_path, BRIDGE_SERVICE_HOST="10.0.0.1", BRIDGE_PORT_8080_TCP="tcp://10.0.0.1:8080", BRIDGE_URL="http://x", BRIDGE_TOKEN="t"
    )
    assert found == read(tmp_path)


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, info in settings.Settings.model_fields.items() if not info.description] == []


def test_reading_settings_makes_nothing(tmp_path: Path) -> None:
    read(tmp_path, "", {"data_dir": "data", "functions": "functions"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]),
            "unfold to more than a million million",
        ),
        ("a: &a [*a]", "an alias stands within the value"),
        ("[" * 50_000, "nested too deeply"),
        ("port: 0x" + "f" * 100_000, "more than 1,000 characters"),
    ],
)
def test_a_file_that_is_too_much_is_told_as_such(tmp_path: Path, text: str, says: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith("bridge.yaml: is not YAML")
    assert says in found


@pytest.mark.parametrize("value", ["[" * 50_000, "{a: &a [*a]}", "[" + "9" * 100_000 + "]", "[0x" + "f" * 900 + "]"])
def test_a_variable_that_is_too_much_is_told_as_such(tmp_path: Path, value: str) -> None:
    found = problems(tmp_path, BRIDGE_REPLY_TOPICS=value)
    assert found
    assert all("BRIDGE_REPLY_TOPICS" in problem for problem in found)
