from __future__ import annotations

import peewee
import pytest

from greenimi.orm import Model
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.shop import Order, Shop


@every_kind
def test_deleted_rows_are_seen_nowhere(tables: Tables) -> None:
    tables(Shop, Order)
    one, two = Shop.create(name="one"), Shop.create(name="two")
    Order.create(shop=one)
    Order.create(shop=two)
    assert one.delete_instance() == 1
    assert one.gone > 0
    other = Shop.alias()
    assert [shop.name for shop in Shop.select()] == ["two"]
    assert Shop.select().count() == other.select().count() == 1
    assert not Shop.exists(1)
    assert Order.select().join(Shop).count() == 1
    assert Order.select().join(other, on=(Order.shop == other.id)).count() == 1
    assert Order.select().join(Shop, peewee.JOIN.LEFT_OUTER).count() == 2
    assert Shop.update(name="x").execute() == 1
    assert Shop.delete().where(Shop.id == 1).execute() == 0
    with pytest.raises(peewee.DoesNotExist):
        _ = Order.get(Order.shop == 1).shop


@every_kind
def test_deleted_rows_come_back(tables: Tables) -> None:
    tables(Shop)
    for name in ("one", "two", "three"):
        Shop.create(name=name)
    assert Shop.delete().where(Shop.name != "two").execute() == 2
    assert sorted(shop.name for shop in Shop.select_deleted()) == ["one", "three"]
    assert Shop.select_with_deleted().count() == 3
    shop = Shop.select_deleted().where(Shop.name == "one").get()
    assert shop.undelete() == 1
    assert Shop.exists(name="one")
    assert Shop.restore().execute() == 1
    assert Shop.select().count() == 3
    assert Shop.restore().execute() == 0


def test_deleted_for_good(tables: Tables) -> None:
    tables(Shop)
    shop = Shop.create(name="one")
    shop.delete_instance()
    assert shop.delete_for_good() == 1
    assert Shop.select_with_deleted().count() == 0


def test_deleting_with_those_that_depend(tables: Tables) -> None:
    tables(Shop, Order)
    shop = Shop.create(name="one")
    Order.create(shop=shop)
    shop.delete_instance(recursive=True)
    assert Order.select().count() == 0  # a model that deletes its rows
    assert Shop.select_deleted().count() == 1


def test_a_field_that_may_be_null(tables: Tables) -> None:
    class Note(Model):
        text = peewee.CharField()
        deleted_at = peewee.DateTimeField(null=True)

        class Meta:
            soft_delete = "deleted_at"

    tables(Note)
    Note.create(text="a").delete_instance()
    assert Note.select().count() == 0
    Note.restore().execute()
    assert Note.get().deleted_at is None


def test_models_that_delete_their_rows_have_nothing_to_restore() -> None:
    with pytest.raises(TypeError, match=r"Order deletes its rows: it has no Meta\.soft_delete"):
        Order.restore()
    with pytest.raises(TypeError, match="Order deletes its rows"):
        Order.select_deleted()


@pytest.mark.parametrize(
    ("field", "name", "said"),
    [
        (peewee.IntegerField(), "gone", "needs a value: say null=True, or a default"),
        (peewee.IntegerField(default=int), "gone", "the default says that a row is not deleted, so it cannot be a function"),
        (peewee.IntegerField(null=True), "gnoe", "Meta.soft_delete names gnoe, which is no field of it"),
    ],
)
def test_fields_that_cannot_say_it(field: peewee.Field, name: str, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        type("Wrong", (Model,), {"gone": field, "Meta": type("Meta", (), {"soft_delete": name})})
