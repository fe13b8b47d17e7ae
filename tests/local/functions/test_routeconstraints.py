from __future__ import annotations

import pytest

from bridge.local.functions import routeconstraints, routes


@pytest.mark.parametrize(
    ("written", "fitting", "others"),
    [
        ("int", ["5", "+5", "-5", " 5", "007", "2147483647"], ["", "x", "5.0", "2147483648", "1" * 5000]),
        ("long", ["2147483648", "-9223372036854775808"], ["9223372036854775808"]),
        ("bool", ["true", "FALSE"], ["1", "yes", ""]),
        ("double", ["1.5", "-1e3", "NaN"], ["x", ""]),
        ("decimal", ["1,000.5"], ["1.5.0"]),
        ("datetime", ["2026-11-28", "2026-11-28T10:00:00Z"], ["tomorrow"]),
        ("guid", ["6f9619ff-8b86-d011-b42d-00cf4fc964ff"], ["6f9619ff"]),
        ("alpha", ["abc", "ABC"], ["a1", "é"]),
        ("required", ["x"], [""]),
        ("min(3)", ["3", "99"], ["2", "x"]),
        ("max(3)", ["3", "-1"], ["4"]),
        ("range(2,4)", ["2", "4"], ["1", "5"]),
        ("minlength(2)", ["ab", "😀"], ["a"]),
        ("maxlength(2)", ["", "ab", "😀"], ["abc", "a😀"]),
        ("length(2)", ["ab"], ["a", "abc"]),
        ("length(1,2)", ["a", "ab"], ["", "abc"]),
        ("regex(^a.c$)", ["abc", "AXC"], ["ab"]),
    ],
)
def test_a_value_fits_as_in_azure(written: str, fitting: list[str], others: list[str]) -> None:
    check = routeconstraints.parse(written)

    assert [each for each in fitting if not check(each)] == []
    assert [each for each in others if check(each)] == []


@pytest.mark.parametrize("written", ["odd", "range(1)", "min", "min(x)", "int(3)", "", "(3)"])
def test_what_is_no_constraint_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="has the constraint"):
        routeconstraints.parse(written)


def test_a_value_that_does_not_fit_leaves_the_path_to_another_route() -> None:
    templates = {
        "number": "things/{id:int:min(1)}",
        "word": "things/{name:alpha}",
        "maybe": "list/{page:int?}",
        "rest": "files/{**path:maxlength(5)}",
    }
    table = routes.RouteTable([routes.Route(name, template, None) for name, template in templates.items()], "api")

    def found(path: str) -> object:
        match = table.match("GET", path)
        return (match.function, dict(match.parameters)) if isinstance(match, routes.Match) else match

    assert found("/api/things/7") == ("number", {"id": "7"})
    assert found("/api/things/abc") == ("word", {"name": "abc"})
    assert found("/api/things/0") is None
    assert found("/api/list") == ("maybe", {"page": None})
    assert found("/api/list/x") is None
    assert found("/api/files/a/b") == ("rest", {"path": "a/b"})
    assert found("/api/files/abc/def") is None
