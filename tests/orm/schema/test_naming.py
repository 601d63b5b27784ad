from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.orm import Model
from greenimi.orm.schema.naming import class_name, field_name, module_name


@pytest.mark.parametrize(
    ("table", "name", "module"),
    [
        ("order_items", "OrderItems", "order_items"),
        ("OrderItems", "OrderItems", "order_items"),
        ("base", "Base", "base_"),
        ("class", "Class", "class_"),
        ("none", "None_", "none"),
        ("2024 sales", "T2024Sales", "t_2024_sales"),
        ("-", "T", "table"),
        ("größe", "Größe", "größe"),
    ],
)
def test_tables(table: str, name: str, module: str) -> None:
    assert (class_name(table, ()), module_name(table, ())) == (name, module)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("customerName", "customer_name"),
        ("class", "class_"),
        ("select", "select_"),
        ("save", "save_"),
        ("validate_model", "validate_model_"),
        ("peewee", "peewee_"),
        ("id", "id"),
        ("_meta", "meta"),
        ("__x", "x"),
        ("2nd", "column_2nd"),
        ("a b-c", "a_b_c"),
        ("²", "column_2"),
        ("", "column"),
    ],
)
def test_columns(column: str, name: str) -> None:
    assert field_name(column, ()) == name


def test_columns_that_refer() -> None:
    assert field_name("shop_id", (), refers=True) == "shop"
    assert field_name("_id", (), refers=True) == "id"


def test_names_that_are_taken() -> None:
    assert field_name("name", {"name", "name_2"}) == "name_3"
    assert class_name("order", {"Order"}) == "Order_2"
    assert module_name("class", {"class_"}) == "class_2"


@given(st.text(min_size=1, max_size=30))
def test_whatever_a_thing_is_called_python_takes_it(text: str) -> None:
    for name in (class_name(text, ()), module_name(text, ()), field_name(text, ())):
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
    field = field_name(text, ())
    assert field == "id" or not hasattr(Model, field)
