from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scripted_api import ScriptedApi, serving


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    with serving() as scripted:
        monkeypatch.setenv("BRIDGE_URL", scripted.url)
        yield scripted
