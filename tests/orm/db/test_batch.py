from __future__ import annotations

import uuid

import peewee
import pytest

from greenimi.orm import Model, delete_rows, insert_rows, update_rows
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.shop import Key, Order, Seat, Shop


@every_kind
def test_many_rows_in_few_statements(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables(Key)
    database = Key._meta.database.now()
    statements: list[str] = []
    execute = database.execute_sql

    def counted(sql: str, params: object = None) -> object:
        statements.append(sql)
        return execute(sql, params)

    monkeypatch.setattr(database, "execute_sql", counted)
    assert insert_rows(Key, (Key(name=f"n{number}") for number in range(2500)), size=1000) == 2500
    assert sum(sql.startswith("INSERT") for sql in statements) == 3
    keys = list(Key.select())
    assert len({key.id for key in keys}) == 2500
    for key in keys:
        key.name = "new"
    assert update_rows(keys) == 2500
    assert not any(key.is_dirty() for key in keys)
    assert Key.select().where(Key.name == "new").count() == 2500
    assert delete_rows(Key, keys) == 2500
    assert Key.select().count() == 0


def test_one_wrong_row_and_none_is_there(tables: Tables) -> None:
    tables(Key)
    with pytest.raises(peewee.IntegrityError):
        insert_rows(Key, [{"id": "a", "name": "a"}, {"id": "b", "name": "b"}, {"id": "a", "name": "c"}], size=1)
    assert Key.select().count() == 0


def test_each_row_writes_what_was_set(tables: Tables) -> None:
    tables(Shop, Order)
    shop = Shop.create(name="one")
    insert_rows(Order, [{"shop": shop, "price": number} for number in range(3)])
    one, two, three = Order.select().order_by(Order.id)
    one.price = 10
    two.price, two.amount = 11, 12
    assert update_rows([one, two, three]) == 3  # of which the third says when
    assert [(order.price, order.amount) for order in Order.select().order_by(Order.id)] == [(10, 3), (11, 12), (2, 3)]
    one.price = two.price = 20
    one.amount = 30
    assert update_rows([one, two], [Order.price]) == 2
    assert [(order.price, order.amount) for order in Order.select().order_by(Order.id)] == [(20, 3), (20, 12), (2, 3)]
    assert update_rows([]) == 0


@every_kind
def test_keys_of_several_fields(tables: Tables) -> None:
    tables(Seat)
    insert_rows(Seat, [{"row": row, "number": number} for row in (1, 2) for number in (1, 2)])
    seats = list(Seat.select().where(Seat.row == 1))
    for seat in seats:
        seat.who = "Ann"
    assert update_rows(seats) == 2
    assert Seat.select().where(Seat.who == "Ann").count() == 2
    assert delete_rows(Seat, [(2, 1), *seats]) == 3
    assert Seat.select(Seat.row, Seat.number).tuples().get() == (2, 2)


@every_kind
def test_keys_of_fields_that_are_written_in_another_way(tables: Tables) -> None:
    class Ticket(Model):
        code = peewee.UUIDField()
        number = peewee.IntegerField()

        class Meta:
            primary_key = peewee.CompositeKey("code", "number")

    tables(Ticket)
    code = uuid.uuid4()
    insert_rows(Ticket, [{"code": code, "number": number} for number in (1, 2)])
    assert delete_rows(Ticket, [(code, 1)]) == 1
    assert [ticket.number for ticket in Ticket.select()] == [2]


def test_soft_and_hard(tables: Tables) -> None:
    tables(Shop)
    insert_rows(Shop, [{"name": str(number)} for number in range(3)])
    assert delete_rows(Shop, [1]) == 1
    assert Shop.select_deleted().count() == 1
    assert delete_rows(Shop, [1, 2], hard=True) == 2
    assert Shop.select_with_deleted().count() == 1
