from __future__ import annotations

from typing import Any

import gevent
import pytest

from greenimi.orm import LazyLoading, no_lazy_loading
from greenimi.orm.db.relations import lazy
from tests.orm.db.conftest import Tables
from tests.orm.db.relations.library import MODELS, Author, Book
from tests.orm.db.shop import Order, Shop


def test_nothing_is_read_one_by_one(tables: Tables) -> None:
    tables(*MODELS)
    Book.create(title="b", author=Author.create(name="a"))
    book: Any = Book.get()
    author: Any = Author.select().with_("books").get()
    with no_lazy_loading():
        assert len(author.books) == 1
        assert author.books[0].author is author
        assert Author(name="new").books == []
        with pytest.raises(LazyLoading, match=r"Book\.author was not loaded, and to read it for one row is forbidden here"):
            _ = book.author
        for name in ("profile", "book_set"):
            with pytest.raises(LazyLoading, match=rf"Author\.{name} was not loaded"):
                getattr(author, name)
        assert book.author_id == author.id
    assert book.author == author
    assert author.profile is None
    assert author.book_set.count() == 1


def test_others_may_meanwhile(tables: Tables) -> None:
    tables(Shop, Order)
    order: Any = Order.create(shop=Shop.create(name="one").id)
    with no_lazy_loading():
        found = gevent.spawn(lambda: order.shop.name)
        found.join()
    assert found.value == "one"


def test_fields_are_watched_alone() -> None:
    for field in (Book.author, Book.title):
        lazy.watch(field)
    assert Book.author.accessor_class is lazy.ForeignKeyAccessor
    assert not hasattr(Book.title, "backref_accessor_class")
