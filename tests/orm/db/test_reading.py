from __future__ import annotations

import pytest

from greenimi.orm import chunk_by_id, chunk_by_offset, each, paginate
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.shop import Key, Seat, Shop


def fill(tables: Tables, number: int = 25) -> None:
    tables(Shop)
    Shop.insert_many([{"name": f"shop {index:03}"} for index in range(number)]).execute()


@pytest.mark.parametrize("keys_first", [False, True])
def test_pages(tables: Tables, keys_first: bool) -> None:
    fill(tables)
    query = Shop.select().order_by(Shop.name.desc())
    names = []
    for number in (1, 2, 3):
        page = paginate(query, number, 10, keys_first=keys_first)
        assert (page.number, page.size, page.total, page.pages, page.more) == (number, 10, 25, 3, number < 3)
        names += [shop.name for shop in page.rows]
    assert names == [f"shop {index:03}" for index in reversed(range(25))]
    beyond = paginate(query, 9, 10, total=False, keys_first=keys_first)
    assert (beyond.rows, beyond.total, beyond.pages, beyond.more) == ([], None, None, False)


def test_pages_that_are_none() -> None:
    for number, size in ((0, 10), (1, 0)):
        with pytest.raises(ValueError, match="pages are counted from 1 on"):
            paginate(Shop.select(), number, size)
    with pytest.raises(TypeError, match="Seat has no key of one field"):
        paginate(Seat.select(), 1, 5, total=False, keys_first=True)


@pytest.mark.parametrize("size", [1, 7, 25, 26])
def test_chunks_have_every_row_once(tables: Tables, size: int) -> None:
    fill(tables)
    for chunks in (chunk_by_id(Shop.select(), size), chunk_by_offset(Shop.select().order_by(Shop.name), size)):
        found = list(chunks)
        assert [shop.id for chunk in found for shop in chunk] == list(range(1, 26))
        assert max(map(len, found)) == size if size < 26 else len(found) == 1


def test_rows_may_go_while_chunks_are_read(tables: Tables) -> None:
    fill(tables)
    seen = []
    for chunk in chunk_by_id(Shop.select(), 10):
        seen += [shop.id for shop in chunk]
        Shop.delete().where(Shop.id.in_(seen)).execute()
    assert seen == list(range(1, 26))


def test_chunks_by_another_field(tables: Tables) -> None:
    fill(tables)
    assert [shop.id for chunk in chunk_by_id(Shop.select(), 4, Shop.name) for shop in chunk] == list(range(1, 26))


def test_queries_that_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="has an order of its own"):
        next(chunk_by_id(Shop.select().order_by(Shop.name)))
    with pytest.raises(ValueError, match="without an order"):
        next(chunk_by_offset(Shop.select()))
    with pytest.raises(TypeError, match="Seat has no key of one field"):
        next(chunk_by_id(Seat.select()))


@every_kind
def test_rows_one_by_one(tables: Tables) -> None:
    fill(tables, 250)
    shops = each(Shop.select().order_by(Shop.id), size=100)
    first = next(shops)
    assert (type(first), first.name) == (Shop, "shop 000")
    assert [shop.id for shop in shops] == list(range(2, 251))


@every_kind
def test_rows_one_by_one_left_early(tables: Tables) -> None:
    fill(tables, 250)
    for shop in each(Shop.select(), size=10):
        if shop.id == 3:
            break
    del shop
    assert Shop.select().count() == 250
    assert Key.__name__ == "Key"
