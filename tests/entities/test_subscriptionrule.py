from __future__ import annotations

from tests.entities.entities_kit import correlation, load, problems, sql, topic


def test_a_rule_may_have_a_sql_filter_and_an_action(tmp_path):
    loaded = load(tmp_path, topic(Rules=[sql("color = 'red'", Action={"SqlExpression": "SET size = 1"})]))
    (rule,) = loaded.topics[0].subscriptions[0].rules
    assert (rule.properties.sql_filter.sql_expression, rule.properties.action.sql_expression) == ("color = 'red'", "SET size = 1")


def test_an_expression_that_does_not_parse_is_refused_with_its_place(tmp_path):
    found = problems(tmp_path, topic(Rules=[sql("color = "), sql("a = 1", Action={"SqlExpression": "SET size"})]))
    assert "Rules[0].Properties.SqlFilter.SqlExpression: 'color = ' cannot be used: position 9: expected a property" in found[0]
    assert "Rules[1].Properties.Action.SqlExpression: 'SET size' cannot be used: position 9: expected '='" in found[1]


def test_a_rule_has_the_filter_that_its_type_names_and_no_other(tmp_path):
    both = sql("a = 1", CorrelationFilter={"Label": "x"})
    none = {"Name": "none", "Properties": {"FilterType": "Correlation"}}
    found = problems(tmp_path, topic(Rules=[both, none]))
    assert "FilterType is Sql, so CorrelationFilter has no effect" in found[0]
    assert "FilterType is Correlation, but CorrelationFilter is missing" in found[1]


def test_a_correlation_filter_may_name_numbers(tmp_path):
    loaded = load(tmp_path, topic(Rules=[correlation(Label="x", Properties={"size": 3, "exact": 2.5, "urgent": True})]))
    its = loaded.topics[0].subscriptions[0].rules[0].properties.correlation_filter
    assert (its.fields, dict(its.properties)) == ({"label": "x"}, {"size": 3, "exact": 2.5, "urgent": True})


def test_a_filter_that_names_nothing_is_refused(tmp_path):
    (problem,) = problems(tmp_path, topic(Rules=[correlation()]))
    assert "the filter names no field" in problem
