"""What the tests of CloudEvents write, and how they read a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from bridge.errors import Malformed

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/test", "type": "test"}
BINARY = {f"ce-{name}": value for name, value in REQUIRED.items()} | {"content-type": "application/json"}

printable = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=20)


def structured(**members: Any) -> bytes:
    return json.dumps({**REQUIRED, **members}).encode()


def refused(call: Any, *arguments: Any) -> Malformed:
    with pytest.raises(Malformed) as caught:
        call(*arguments)
    return caught.value


def pointers(fault: Malformed) -> list[tuple[str, str]]:
    return [(each["pointer"], each["rule"]) for each in fault.errors]
