from __future__ import annotations

import pytest

from bridge.local.functions.routes import Match, Route, RouteTable, WrongMethod, parse


def table(*routes: str, prefix: str = "api") -> RouteTable:
    """A table whose routes are written "METHOD template"; each function is named for its template."""
    pairs = [route.partition(" ")[::2] for route in routes]
    return RouteTable((Route(template, parse(template), frozenset({method})) for method, template in pairs), prefix)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("things", "/api/things", {}),
        ("things", "/API/Things/", {}),
        ("things/{kind}", "/api/things/a", {"kind": "a"}),
        ("things/{kind}", "/api/things/a%2Fb%20c", {"kind": "a/b c"}),
        ("things/{id?}", "/api/things", {}),
        ("things/{id?}", "/api/things/7", {"id": "7"}),
        ("files/{*path}", "/api/files/a/b", {"path": "a/b"}),
        ("", "/api", {}),
    ],
)
def test_a_path_that_fits_its_template_gives_the_parameters(template: str, path: str, parameters: dict[str, str]) -> None:
    assert table(f"GET {template}").match("GET", path) == Match(template, parameters)


@pytest.mark.parametrize("path", ["/", "/api", "/things", "/api/thing", "/api/things/a/b", "/apix/things/a", "/api/things"])
def test_any_other_path_leads_nowhere(path: str) -> None:
    assert table("GET things/{kind}").match("GET", path) is None


def test_a_word_wins_over_a_parameter_wherever_it_is_declared() -> None:
    found = table("GET things/{kind}", "GET things/all", "GET {*rest}").match("GET", "/api/things/all")

    assert found == Match("things/all", {})


def test_two_functions_share_a_path_by_method() -> None:
    routes = table("GET things", "POST things/{id?}")

    assert routes.match("POST", "/api/things") == Match("things/{id?}", {})
    assert routes.match("PUT", "/api/things") == WrongMethod(frozenset({"GET", "POST"}))


def test_a_function_without_methods_takes_all() -> None:
    assert RouteTable([Route("any", parse("any"), frozenset())], "").match("PATCH", "/any") == Match("any", {})


@pytest.mark.parametrize("template", ["{id:int}", "a{id}", "{id=1}", "{*rest}/a", "{id?}/a", "{a}/{a}", "{}"])
def test_templates_that_mean_something_else_here_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"has \{|has a|names a parameter twice"):
        parse(template)
