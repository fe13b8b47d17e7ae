from __future__ import annotations

import pytest

from tests.contracts.conftest import Inbox


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
