from __future__ import annotations

from typing import Any

import pytest

from greenimi.orm.db import shards
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.shop import Key, Order, Shop


@every_kind
def test_a_fork_has_its_own_table(tables: Tables) -> None:
    archive = Shop.fork("shop_archive")
    tables(Shop, archive)
    Shop.create(name="now")
    archive.create(name="then").delete_instance()
    assert [shop.name for shop in archive.select_deleted()] == ["then"]
    assert Shop.select_with_deleted().count() == 1
    assert Shop.fork("shop_archive") is archive
    assert issubclass(archive, Shop)


def test_a_fork_of_a_fork_and_of_a_model_with_references(tables: Tables) -> None:
    old = Order.fork("order_old")
    older = old.fork("order_older")
    tables(Shop, Order, old, older)
    shop = Shop.create(name="one")
    Order.create(shop=shop)
    for _ in range(2):
        old.create(shop=shop)
    assert (shop.orders.count(), old.select().count(), older.select().count()) == (1, 2, 0)


def test_a_key_says_to_which_shard_it_belongs(tables: Tables) -> None:
    tables(Key.shard(0), Key.shard(1))
    for number in range(10):
        Key.shard(number).create(name=str(number))
    assert [Key.shard(number).select().count() for number in (2, 3)] == [5, 5]
    assert Key.shard(0) is Key.shard(2)
    with pytest.raises(TypeError, match=r"Shop has no Meta\.shard"):
        Shop.shard(1)


def test_a_shard_in_another_database() -> None:
    class Meta:
        shard = staticmethod(lambda key: ("reports", f"shop_{key}"))

    far: Any = type("Far", (Shop,), {"Meta": Meta})
    found = far.shard(3)
    assert found._meta.database.name == "reports"
    assert found._meta.table_name == "shop_3"


def test_tables_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MOST", 2)

    class Many(Shop):
        pass

    assert Many.fork("a") is not Many.fork("b")
    with pytest.raises(ValueError, match="Many has 2 forks already; is 'c' one of finitely many"):
        Many.fork("c")
