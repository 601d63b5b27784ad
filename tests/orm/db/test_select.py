from __future__ import annotations

from tests.orm.db.shop import Order, Seat, Shop


def test_conditions_are_part_of_the_query() -> None:
    """Without a database: what is sent."""
    alias = Shop.alias("s")
    queries = [
        Order.select(Order.id).join(Shop),
        Order.select(Order.id).join(alias, on=(alias.id == Order.shop)),
        Seat.select(Seat.row).join(Shop, on=(Shop.id == Seat.row)),
    ]
    for query in queries:
        sql = query.bind(None).sql()[0]
        assert sql.count('"gone" = ?') == 1
        assert " WHERE " not in sql
    assert '"gone" = ?' not in Shop.select_with_deleted().bind(None).sql()[0]
