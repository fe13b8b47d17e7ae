from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.sqlfilter import MessageProperties, apply_action, parse_action

ORDER = MessageProperties({"label": "order", "to": "a"}, {"color": "red", "Quantity": 10, "price": 2.5})


def changes(text: str) -> tuple[dict, dict, set]:
    found = apply_action(parse_action(text), ORDER)
    return found.system, found.user, set(found.removed)


def test_set_adds_and_replaces_and_remove_removes():
    assert changes("SET quantity = quantity / 2; SET size = 'L'; REMOVE COLOR; REMOVE absent") == (
        {},
        {"Quantity": 5, "size": "L"},
        {"color"},
    )


def test_each_statement_sees_the_ones_before_it():
    assert changes("SET a = 1 SET b = a + 1 REMOVE a") == ({}, {"b": 2}, set())


def test_system_properties_are_texts_and_can_be_unset():
    assert changes("SET sys.Label = color + quantity; REMOVE sys.To; SET sys.CorrelationId = 7") == (
        {"label": "red10", "to": None, "correlation_id": "7"},
        {},
        set(),
    )


def test_a_value_is_converted_to_the_type_that_the_property_had():
    assert changes("SET color = 5; SET price = 3")[1] == {"color": "5", "price": 3.0}
    assert isinstance(changes("SET price = 3")[1]["price"], float)


def test_what_is_not_known_sets_null():
    assert changes("SET color = absent")[1] == {"color": None}


def test_a_statement_that_changes_nothing_is_no_change():
    assert changes("SET color = 'red'; SET sys.Label = 'order'") == ({}, {}, set())


def test_the_message_itself_is_left_as_it_was():
    changes("SET color = 'blue' REMOVE quantity SET sys.Label = 'x'")
    assert ORDER.user == {"color": "red", "Quantity": 10, "price": 2.5}
    assert ORDER.system == {"label": "order", "to": "a"}


@given(st.dictionaries(st.sampled_from("abc"), st.integers()), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1))
def test_a_row_of_statements_does_what_a_dictionary_does(properties, steps):
    model = dict(properties)
    for name, number in steps:
        if number:
            model[name] = number
        else:
            model.pop(name, None)
    text = ";".join(f"SET {name} = {number}" if number else f"REMOVE {name}" for name, number in steps[:32])
    found = apply_action(parse_action(text), MessageProperties(user=properties)) if len(steps) <= 32 else None
    if found is not None:
        assert {name: value for name, value in (properties | found.user).items() if name not in found.removed} == model
