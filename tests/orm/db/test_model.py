from __future__ import annotations

from typing import Any

import peewee
import pytest

from greenimi.container.registry import Container
from greenimi.orm import Model
from greenimi.pool.database.database import Database
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.shop import Key, Order, Seat, Shop


@every_kind
def test_rows_come_and_go(tables: Tables) -> None:
    tables(Shop)
    shop = Shop(name="one")
    assert shop.save() == 1
    assert shop.id == 1
    shop.name = "two"
    shop.save()
    assert [found.name for found in Shop.select()] == ["two"]
    found = Shop.find(1)
    assert found == shop
    assert Shop.find(2) is None
    assert Shop.exists(1)
    assert not Shop.exists(name="one")


@every_kind
def test_keys_of_several_fields(tables: Tables) -> None:
    tables(Seat)
    seat = Seat(row=1, number=2)
    seat.save()
    seat.who = "Ann"
    seat.save()
    assert Seat.select().count() == 1
    found = Seat.find(1, 2)
    assert found is not None
    found.who = None
    found.save()
    assert Seat.exists(row=1, who=None)
    with pytest.raises(TypeError, match=r"the key of Seat is \(row, number\), not 1 values"):
        Seat.find(1)
    with pytest.raises(TypeError, match="Seat has no field rwo; it has row, number, who"):
        Seat.find(rwo=1)
    with pytest.raises(TypeError, match="say the key of a Seat, or the values"):
        Seat.find()


def test_a_row_takes_only_what_its_model_has() -> None:
    with pytest.raises(TypeError, match="Seat has no field rwo; it has row, number, who"):
        Seat(rwo=1, number=2)


def test_a_row_with_a_key_of_its_own_is_inserted_first_and_updated_then(tables: Tables) -> None:
    tables(Key)
    key = Key(id="k", name="one")
    key.save()
    key.name = "two"
    key.save()
    read = Key.find("k")
    assert read is not None
    read.name = "three"
    read.save()
    assert [found.name for found in Key.select()] == ["three"]
    read.delete_instance()
    read.save()
    assert Key.exists("k")


def test_only_what_was_set_is_written_where_the_model_says_so(tables: Tables) -> None:
    class Thing(Model):
        a = peewee.IntegerField(default=1)
        b = peewee.IntegerField(default=1)

        class Meta:
            only_save_dirty = True

    tables(Thing)
    Thing.create()
    mine, yours = Thing.get(), Thing.get()
    mine.a = 2
    yours.b = 3
    mine.save()
    yours.save()
    assert Thing.select(Thing.a, Thing.b).tuples().get() == (2, 3)


@every_kind
def test_columns_that_are_computed(tables: Tables) -> None:
    tables(Shop, Order)
    Order.create(shop=Shop.create(name="one"), price=4)
    order = Order.get()
    assert order.total == 12
    assert Order.select().where(Order.total == 12).count() == 1
    assert Order().total is None
    order.price = 5
    order.save()
    assert Order.get().total == 15


def test_models_belong_to_the_application_that_runs(running: Container, tables: Tables) -> None:
    tables(Shop)
    Shop.create(name="one")
    assert Shop._meta.database.now() is running.get(Database, "default")
    with pytest.raises(Exception, match="reports"):
        Shop.fork("shop", "reports").select().count()


@every_kind
def test_a_prefix_stands_before_the_table(running: Container, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables(Shop, Order)
    Shop.create(name="without")
    database: Any = running.get(Database, "default")
    monkeypatch.setattr(database, "settings", _Prefixed())
    tables(Shop, Order)
    Order.create(shop=Shop.create(name="with"))
    other = Shop.alias()
    assert [shop.name for shop in other.select()] == ["with"]
    assert Order.select().join(Shop).where(Shop.name == "with").count() == 1
    assert {"x_shop", "x_order", "shop", "order"} <= set(database.get_tables())
    monkeypatch.undo()
    assert [shop.name for shop in Shop.select()] == ["without"]


class _Prefixed:
    prefix = "x_"


def test_what_may_be_overridden_runs_in_order(tables: Tables) -> None:
    said: list[str] = []

    class Told(Model):
        name = peewee.CharField()

        def before_save(self) -> None:
            self.name = self.name.strip()
            said.append("before save")

        def before_insert(self) -> None:
            said.append("before insert")

        def after_insert(self) -> None:
            said.append(f"after insert {self.id}")

        def before_update(self) -> None:
            said.append("before update")

        def after_update(self) -> None:
            said.append("after update")

        def after_save(self) -> None:
            said.append("after save")

        def before_delete(self) -> None:
            said.append("before delete")

        def after_delete(self) -> None:
            said.append("after delete")

    tables(Told)
    row = Told.create(name=" a ")
    row.save()
    row.delete_instance()
    assert row.name == "a"
    assert said == [
        "before save",
        "before insert",
        "after insert 1",
        "after save",
        "before save",
        "before update",
        "after update",
        "after save",
        "before delete",
        "after delete",
    ]


def test_a_row_can_be_saved_in_part(tables: Tables) -> None:
    tables(Shop, Order)
    order = Order.create(shop=Shop.create(name="one"))
    order.price, order.amount = 9, 9
    before = order.changed = 5
    order.save(only=[Order.price])
    found: Any = Order.get()
    assert (found.price, found.amount) == (9, 3)
    assert found.changed > before


def test_a_row_of_which_nothing_is_to_be_saved(tables: Tables) -> None:
    tables(Shop)
    shop = Shop.create(name="one")
    shop.name = "two"
    with pytest.raises(ValueError, match="no data to save"):
        shop.save(only=[])
    assert Shop.get().name == "one"
