from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog.completion import Verdict, rule, verdict
from tests.core_kit import moderate

OPEN, SUCCEEDED, FAILED = Verdict.OPEN, Verdict.SUCCEEDED, Verdict.FAILED
TEXTS = st.sampled_from(["all", "any", "best-effort", "quorum:1", "quorum:2", "quorum:3"])


@pytest.mark.parametrize(
    ("text", "succeeded", "outstanding", "expected"),
    [
        ("all", 0, 3, OPEN),
        ("all", 2, 1, OPEN),
        ("all", 3, 0, SUCCEEDED),
        ("all", 2, 0, FAILED),
        ("all", 0, 1, OPEN),
        ("any", 0, 3, OPEN),
        ("any", 1, 2, SUCCEEDED),
        ("any", 0, 1, OPEN),
        ("any", 0, 0, FAILED),
        ("quorum:2", 1, 2, OPEN),
        ("quorum:2", 2, 1, SUCCEEDED),
        ("quorum:2", 0, 1, FAILED),
        ("quorum:2", 1, 0, FAILED),
        ("best-effort", 2, 1, OPEN),
        ("best-effort", 1, 0, SUCCEEDED),
        ("best-effort", 0, 0, FAILED),
    ],
)
def test_a_rule_decides_for_three_targets(text, succeeded, outstanding, expected):
    assert verdict(rule(text, 3), succeeded=succeeded, outstanding=outstanding) is expected


@pytest.mark.parametrize(
    "text", ["", "All", "most", "quorum", "quorum:", "quorum:0", "quorum:-1", "quorum:1.5", "quorum:2 ", "quorum:1234567"]
)
def test_another_rule_is_refused_with_those_there_are(text):
    with pytest.raises(ValueError, match="use all, any, quorum:N or best-effort"):
        rule(text, 3)


@pytest.mark.parametrize(("targets", "said"), [(1, "with 1 target$"), (2, "with 2 targets$")])
def test_a_quorum_out_of_reach_is_refused(targets, said):
    with pytest.raises(ValueError, match=said):
        rule("quorum:3", targets)


@moderate
@given(TEXTS, st.lists(st.booleans(), min_size=3, max_size=8))
def test_a_rule_is_decided_once_all_have_ended_and_never_changes_its_mind(text, outcomes):
    known, count = rule(text, len(outcomes)), len(outcomes)
    said = [verdict(known, succeeded=sum(outcomes[:done]), outstanding=count - done) for done in range(count + 1)]
    decided = [each for each in said if each is not OPEN]
    assert decided
    assert len(set(decided)) == 1
    assert said[-len(decided) :] == decided
