from __future__ import annotations

from pathlib import Path

import pytest

from bridge.adapters.servicebus.client import opened
from bridge.errors import ConfigurationError
from bridge.settings import ServiceBusNamespace

STRING = "Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=k;SharedAccessKey=czNjcmV0;UseDevelopmentEmulator=true;"


@pytest.mark.parametrize("text", [STRING, f"{STRING}\n", f'{{"connectionString": "{STRING}"}}'])
async def test_a_connection_string_is_read_as_text_and_as_the_file_of_a_namespace(tmp_path: Path, text: str) -> None:
    (tmp_path / "string").write_text(text)
    async with opened(ServiceBusNamespace(connection_string_file=tmp_path / "string")) as client:
        assert client.fully_qualified_namespace == "127.0.0.1:5672"


@pytest.mark.parametrize("text", ["", "s3cret", '{"connectionString": 5}', '{"other": "s3cret"}', "{s3cret", "Endpoint=sb://s3cret"])
async def test_what_is_no_connection_string_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "string").write_text(text)
    with pytest.raises(ConfigurationError) as fault:
        async with opened(ServiceBusNamespace(connection_string_file=tmp_path / "string")):
            pass
    assert ("holds no connection string" in str(fault.value), "s3cret" in str(fault.value)) == (True, False)


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere cannot be read"):
        async with opened(ServiceBusNamespace(connection_string_file=tmp_path / "nowhere")):
            pass
