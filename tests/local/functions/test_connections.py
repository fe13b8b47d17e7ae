"""Which namespace a function's connection means."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.local.functions.servicebus import connectionstring
from bridge.local.functions.servicebus.connections import BrokerInSettings, choose
from bridge.local.functions.servicebus.namespaces import FileNamespace, IdentityNamespace, NamedNamespace, NotThere, own_queue

DATA = Path("data")
OWN = own_queue(DATA)
REAL = "Endpoint=sb://orders.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0"
EMULATOR = "Endpoint=sb://localhost;SharedAccessKeyName=Root;SharedAccessKey={};UseDevelopmentEmulator=true;"
NONE = BrokerInSettings()


def chosen(name: str, settings: dict[str, str], broker: BrokerInSettings = NONE) -> object:
    return choose(name, settings, broker, DATA).source


@pytest.mark.parametrize("settings", [{}, {"Bus": ""}, {"Bus": EMULATOR.format("SAS_KEY_VALUE")}])
def test_what_nobody_has_set_is_the_broker_of_the_bridge(settings: dict[str, str]) -> None:
    file = Path("secrets/bus")
    assert chosen("Bus", settings) == OWN
    assert chosen("Bus", settings, BrokerInSettings("orders.servicebus.windows.net")) == IdentityNamespace("orders.servicebus.windows.net")
    assert chosen("Bus", settings, BrokerInSettings(connection_string_file=file)) == FileNamespace(file)


@pytest.mark.parametrize("key", ["Bus", "AzureWebJobsBus", "ConnectionStrings:Bus", "ConnectionStrings__Bus"])
@pytest.mark.parametrize("text", [REAL, EMULATOR.format("a real key")])
def test_a_string_with_a_key_is_used_as_given_whatever_the_bridge_has(key: str, text: str) -> None:
    given = NamedNamespace(connectionstring.parse(text))
    assert chosen("Bus", {key: text}, BrokerInSettings("other.servicebus.windows.net")) == given


def test_a_placeholder_without_the_emulators_flag_is_used_as_given() -> None:
    assert isinstance(chosen("Bus", {"Bus": REAL.replace("c2VjcmV0", "SAS_KEY_VALUE")}), NamedNamespace)


def test_the_placeholder_is_known_by_the_flag_of_the_emulator_too() -> None:
    text = "Endpoint=sb://localhost;SharedAccessKeyName=Root;SharedAccessKey=SAS_KEY_VALUE;"
    assert not connectionstring.parse(text).is_placeholder
    assert connectionstring.parse(text + "UseDevelopmentEmulator=true;").is_placeholder


def test_a_binding_without_a_connection_has_azures_usual_one() -> None:
    assert chosen("", {}) == OWN
    assert chosen("", {"AzureWebJobsServiceBus": REAL}) == NamedNamespace(connectionstring.parse(REAL))


def test_a_namespace_by_name_is_opened_with_the_identity_that_its_section_names() -> None:
    host, options = "orders.servicebus.windows.net", (("clientid", "4711"), ("credential", "managedidentity"))
    settings = {"Bus__fullyQualifiedNamespace": host, "Bus__credential": "managedidentity", "Bus__clientId": "4711"}
    assert chosen("Bus", settings) == IdentityNamespace(host, options)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hunter2", "not a connection string"),
        ("Endpoint=sb://;SharedAccessKeyName=a;SharedAccessKey=hunter2", "needs Endpoint"),
        ("Endpoint=sb://a.b;SharedAccessKey=hunter2", "needs SharedAccessKeyName"),
        ("Endpoint=sb://a.b:hunter2;SharedAccessKeyName=a;SharedAccessKey=hunter2", "needs Endpoint"),
    ],
)
def test_a_string_that_cannot_be_used_is_refused_without_being_shown(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"has the connection Bus, .*{problem}") as refused:
        choose("Bus", {"Bus": text}, NONE, DATA)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", [REAL, EMULATOR.format("hunter2")])
def test_no_secret_is_in_what_is_logged(text: str) -> None:
    source, why = choose("Bus", {"Bus": text}, NONE, DATA)
    for said in (source.title, why, repr(source)):
        assert "hunter2" not in said
        assert "c2VjcmV0" not in said


def test_a_namespace_in_azure_is_reached_over_tls_and_an_emulator_without() -> None:
    real, emulator = (NamedNamespace(connectionstring.parse(text)).address() for text in (REAL, EMULATOR.format("key")))
    assert (real.host, real.port, real.tls is not None) == ("orders.servicebus.windows.net", 5671, True)
    assert (emulator.host, emulator.port, emulator.tls) == ("localhost", 5672, None)


def test_a_file_may_hold_the_string_alone_or_in_json_and_may_come_later(tmp_path: Path) -> None:
    found = FileNamespace(tmp_path / "bus")
    with pytest.raises(NotThere, match="is not there"):
        found.address()
    for text in (REAL, f'{{"connectionString": "{REAL}"}}'):
        (tmp_path / "bus").write_text(text + "\n")
        assert found.address().host == "orders.servicebus.windows.net"
