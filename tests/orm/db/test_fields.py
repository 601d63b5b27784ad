from __future__ import annotations

from typing import Any

import peewee
import pytest

from greenimi.enums import Enum
from greenimi.orm import EnumField, Model
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.shop import Order, Shop


@every_kind
def test_json_of_any_kind(tables: Tables) -> None:
    tables(Shop, Order)
    shop = Shop.create(name="one")
    values: list[Any] = [{"a": [1, {"b": None}]}, [], "text", 1.5, True, None, {"ü": "'\"\\"}]
    for value in values:
        Order.create(shop=shop, more=value)
    assert [order.more for order in Order.select().order_by(Order.id)] == values


@every_kind
def test_json_in_conditions(tables: Tables) -> None:
    tables(Shop, Order)
    shop = Shop.create(name="one")
    for number in range(3):
        Order.create(shop=shop, more={"a": {"number": number}})
    assert Order.select().where(Order.more["a"]["number"] == 1).count() == 1


@pytest.mark.parametrize("value", [[], ["a"], ["b", "a", ""], None])
def test_lists_of_texts(tables: Tables, value: list[str] | None) -> None:
    tables(Shop, Order)
    Order.create(shop=Shop.create(name="one"), tags=value or [], marks=None if value is None else set(value))
    found = Order.get()
    assert found.tags == (value or [])
    assert found.marks == (None if value is None else set(value))


@pytest.mark.parametrize("value", [["a,b"], [1], [""]])
def test_what_a_list_cannot_hold(tables: Tables, value: list[Any]) -> None:
    tables(Shop, Order)
    with pytest.raises(ValueError, match=r"Order\.tags holds texts without ','"):
        Order.create(shop=Shop.create(name="one"), tags=value)


def test_members_of_enums(tables: Tables) -> None:
    class Colour(Enum):
        RED = "r", "Red"
        GREEN = "g", "Green"

    class Car(Model):
        colour = EnumField(Colour)
        plate = peewee.CharField(default="")

    tables(Car)
    Car.create(colour=Colour.RED)
    assert Car.get().colour is Colour.RED
    assert Car.select().where(Car.colour == Colour.GREEN).count() == 0
    with pytest.raises(ValueError, match="'x' is not a valid"):
        Car.create(colour="x")
