"""What the rules know of Dapr is what its sources say."""

from __future__ import annotations

import json

from tests.local.functions.conftest import need
from tools.dapr import known
from tools.goprograms import NotThere
from tools.helm import kinds


def test_the_list_is_that_of_the_sources() -> None:
    missing = ""
    try:
        known.sources("components-contrib")
    except NotThere as fault:
        missing = str(fault)
    need(not missing, missing)

    assert known.known() == json.loads(known.TARGET.read_text())


def test_the_fields_of_kubernetes_are_those_of_its_sources() -> None:
    missing, found = "", {}
    try:
        found = kinds.fields()
    except NotThere as fault:
        missing = str(fault)
    need(not missing, missing)

    assert found == json.loads(kinds.TARGET.read_text())
