from __future__ import annotations

from typing import Any

import peewee

from greenimi.orm import Model, load
from tests.orm.db.conftest import Tables
from tests.orm.db.relations.library import statements
from tests.orm.db.shop import Order, Shop


class Works(Model):
    name = peewee.CharField()
    gone = peewee.IntegerField(default=0)

    class Meta:
        soft_delete = "gone"


class Worker(Model):
    works = peewee.ForeignKeyField(Works, null=True)
    chief = peewee.ForeignKeyField("self", null=True)


def test_foreign_keys_and_back(tables: Tables) -> None:
    tables(Shop, Order)
    for name in ("one", "two"):
        shop = Shop.create(name=name)
        Order.create(shop=shop, price=1)
        Order.create(shop=shop, price=2)
    with statements() as sent:
        orders: Any = list(Order.select().order_by(Order.id).with_("shop"))
        assert [order.shop.name for order in orders] == ["one", "one", "two", "two"]
        assert orders[0].shop is orders[1].shop
        assert len(sent) == 2
        shops = list(
            Shop.select().order_by(Shop.id).with_("orders.shop", orders=lambda orders: orders.order_by(Order.price.desc()).limit(1))
        )
        assert [[order.price for order in shop.orders] for shop in shops] == [[2], [2]]
        assert shops[0].orders[0].shop.name == "one"
        assert len(sent) == 5


def test_rows_that_are_not_there(tables: Tables) -> None:
    tables(Works, Worker)
    works = Works.create(name="one")
    chief = Worker.create(works=works)
    Worker.create(chief=chief)
    works.delete_instance()
    with statements() as sent:
        workers: Any = list(Worker.select().order_by(Worker.id))
        load(workers, "works", "chief")
        assert [worker.works for worker in workers] == [None, None]
        assert [worker.chief for worker in workers] == [None, chief]
        assert workers[0].works_id == works.id
        assert len(sent) == 3
