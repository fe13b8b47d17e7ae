from __future__ import annotations

import pytest

from bridge.local.functions import routes
from bridge.local.functions.routes import Match, Route, RouteTable


def table(*written: str, prefix: str = "api") -> RouteTable:
    """A table whose routes are written "METHOD template"; each function is named for its template."""
    pairs = [route.partition(" ")[::2] for route in written]
    return RouteTable((Route(template, template, frozenset({method}) if method != "*" else None) for method, template in pairs), prefix)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("things", "/api/things", {}),
        ("things", "/API/Things/", {}),
        ("things/{kind}", "/api/things/a%2Fb c", {"kind": "a%2Fb c"}),
        ("things/{id?}", "/api/things", {"id": None}),
        ("things/{id?}", "/api/things/7", {"id": "7"}),
        ("things/{id=3}", "/api/things", {"id": "3"}),
        ("files/{*path}", "/api/files/a/b/", {"path": "a/b/"}),
        ("files/{**path}", "/api/files", {"path": None}),
        ("{a}-{b}", "/api/x-y-z", {"a": "x-y", "b": "z"}),
        ("{name}.{extension?}", "/api/report", {"name": "report", "extension": None}),
        ("{name}.{extension?}", "/api/report.tar.gz", {"name": "report.tar", "extension": "gz"}),
        ("v{n:int}/x", "/api/v12/x", {"n": "12"}),
        ("{code:regex(^[a-c]{{2}}$)}", "/api/AB", {"code": "AB"}),
        ("{a}/{b:length(2,3)?}", "/api/x/yy", {"a": "x", "b": "yy"}),
    ],
)
def test_a_path_that_fits_its_template_gives_the_parameters(template: str, path: str, parameters: dict[str, str | None]) -> None:
    assert table(f"GET {template}").match("GET", path) == Match(template, parameters)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/things", "/api/thing", "/api/things/a/b", "/apix/things/a", "/api/things", "/api//things/a"]
)
def test_any_other_path_leads_nowhere(path: str) -> None:
    assert table("GET things/{kind}").match("GET", path) is None


@pytest.mark.parametrize(
    ("constraint", "taken", "refused"),
    [
        ("int", "+5", "5.0"),
        ("int", "2147483647", "2147483648"),
        ("long", "-9223372036854775808", "9223372036854775808"),
        ("bool", "TRUE", "1"),
        ("decimal", "1,000.5", "1e3"),
        ("double", "NaN", "x"),
        ("datetime", "10:30pm", "28.11.2026"),
        ("guid", "{0f8fad5b-d9cb-469f-a165-70867728950e}", "0f8fad5b"),
        ("alpha", "ab", "a1"),
        ("minlength(2)", "ab", "a"),
        ("max(10)", "10", "11"),
        ("range(5,10)", "5", "4"),
        ("file", "a.txt", "a."),
        ("nonfile", "a", "a.txt"),
    ],
)
def test_a_constraint_takes_what_dotnet_reads_so(constraint: str, taken: str, refused: str) -> None:
    routes = table(f"GET {{v:{constraint}}}")

    assert routes.match("GET", f"/api/{taken}") is not None
    assert routes.match("GET", f"/api/{refused}") is None


def test_the_first_function_by_name_answers_whatever_the_others_say_more_exactly() -> None:
    hidden = RouteTable([Route("B", "p/all", None), Route("a", "p/{*rest}", None)], "api")

    assert hidden.match("GET", "/api/p/all") == Match("a", {"rest": "all"})
    assert hidden.hidden() == {"B": "a"}


def test_two_functions_share_a_path_by_method_and_no_other_method_is_there() -> None:
    routes = table("GET things", "POST things/{id?}")

    assert routes.match("post", "/api/things") == Match("things/{id?}", {"id": None})
    assert routes.match("PUT", "/api/things") is None


def test_a_function_without_methods_takes_all_and_one_with_an_empty_list_none() -> None:
    assert table("* any", prefix="").match("PURGE", "/any") == Match("any", {})
    assert RouteTable([Route("none", "none", frozenset())], "").match("GET", "/none") is None


@pytest.mark.parametrize(
    "template",
    ["{id:nosuch}", "{id:range(x)}", "a//b", "/a", "{*a}/b", "{*a?}", "{a}{b}", "{b}/{b}", "{", "a}", "{}", "a?", "{a?}x", "{a=1?}"],
)
def test_a_template_that_does_not_parse_is_an_error_with_its_function(template: str) -> None:
    with pytest.raises(ValueError, match="has the route"):
        table(f"GET {template}")


def test_a_pattern_that_is_none_breaks_the_calls_and_not_the_start() -> None:
    found = table("GET a/{b:regex([)}").match("GET", "/api/a/1")

    assert found is not None
    assert "pattern that is none" in found.broken


def test_routes_of_the_host_and_routes_that_are_there_already_cannot_be_taken() -> None:
    assert "built in" in routes.conflict(Route("a", "Admin/z", None), [])
    assert "'a'" in routes.conflict(Route("b", "x", None), [Route("a", "X", frozenset({"GET"}))])
    assert not routes.conflict(Route("b", "x", frozenset({"PUT"})), [Route("a", "x", frozenset({"GET"}))])


def test_a_route_that_begins_with_a_slash_below_a_prefix_says_what_to_set() -> None:
    with pytest.raises(ValueError, match="as AsgiFunctionApp and WsgiFunctionApp need it"):
        table("GET /{*route}")
    assert table("GET /{*route}", prefix="").match("GET", "/a/b") == Match("/{*route}", {"route": "a/b"})
