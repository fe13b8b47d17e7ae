"""Where the sidecar is, as `dapr run`, the injector and the settings say."""

from __future__ import annotations

import pytest

from bridge.adapters.dapr import SidecarConfig
from bridge.errors import ConfigurationError
from bridge.settings import Settings, Token

TOKENS = {"APP_API_TOKEN": "a", "DAPR_API_TOKEN": "d"}
EVERYWHERE = Settings(host="0.0.0.0", tokens=(Token(name="ops", sha256="ab" * 32),))  # noqa: S104 - the case in question


def test_the_variables_of_dapr_run_are_enough():
    read = SidecarConfig.read(Settings(), {**TOKENS, "DAPR_HTTP_PORT": "4500", "APP_PORT": "9000"})
    assert (read.address, read.app_port, read.app_token, read.api_token) == ("http://127.0.0.1:4500", 9000, "a", "d")


def test_without_variables_the_usual_ports_are_taken():
    read = SidecarConfig.read(Settings(), {})
    assert (read.address, read.app_port) == ("http://127.0.0.1:3500", 8081)


def test_a_whole_address_beats_a_port_and_a_setting_beats_the_port_for_deliveries():
    environ = {"DAPR_HTTP_ENDPOINT": "http://sidecar:1", "DAPR_HTTP_PORT": "2", "APP_PORT": "3"}
    read = SidecarConfig.read(Settings(deliveries_port=4), environ)
    assert (read.address, read.app_port) == ("http://sidecar:1", 4)


def test_the_names_of_components_are_settings():
    read = SidecarConfig.read(Settings(dapr_bus="b", dapr_queues="q", dapr_store="s"), {})
    assert (read.bus, read.queues, read.store) == ("b", "q", "s")


@pytest.mark.parametrize("text", ["x", "0", "70000", "-1"])
def test_a_variable_that_is_no_port_is_named(text):
    with pytest.raises(ConfigurationError, match="DAPR_HTTP_PORT"):
        SidecarConfig.read(Settings(), {"DAPR_HTTP_PORT": text})


def test_without_the_app_token_the_api_must_be_on_loopback():
    with pytest.raises(ConfigurationError, match="APP_API_TOKEN is not set"):
        SidecarConfig.read(EVERYWHERE, {})
    assert SidecarConfig.read(EVERYWHERE, TOKENS).app_token == "a"


def test_showing_it_shows_no_token():
    assert "APP" not in repr(SidecarConfig.read(Settings(), {"APP_API_TOKEN": "APP", "DAPR_API_TOKEN": "APP"}))
