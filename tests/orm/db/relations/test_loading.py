from __future__ import annotations

from typing import Any

import peewee
import pytest

from greenimi.orm import Model, OneToMany, OneToOne, chunk_by_id, each, load, paginate
from greenimi.orm.db.relations import keys
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.relations.library import MODELS, Author, Book, Note, Page, statements


def some_books(tables: Tables, count: int) -> None:
    tables(*MODELS)
    author = Author.create(name="a")
    for number in range(count):
        book = Book.create(title=f"b{number}", author=author)
        Page.create(book=book, number=number)


def test_rows_that_are_there_already(tables: Tables) -> None:
    some_books(tables, 3)
    author: Any = Author.get()
    books = list(Book.select().order_by(Book.id))
    Note.create(subject=author)
    with statements() as sent:
        load([author], "books.pages", "notes.subject.books")
        assert len(sent) == 5
        assert [book.pages[0].number for book in author.books] == [0, 1, 2]
        assert author.notes[0].subject.books == author.books
        assert len(sent) == 5
        load(books, "author")
        assert [book.pages[0].number for book in Book.alias("b").select().with_("pages")] == [0, 1, 2]
        load(books, pages=lambda pages: pages.where(Page.number > 1))
        assert [book.author.name for book in books] == ["a"] * 3
        assert [len(book.pages) for book in books] == [0, 0, 1]
        assert len(sent) == 9
    load([], "books")


@every_kind
def test_more_keys_than_a_statement_takes(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    some_books(tables, 5)
    monkeypatch.setattr(keys, "PARAMETERS", 2)
    with statements() as sent:
        books = list(Book.select().order_by(Book.id).with_(pages=lambda pages: pages.limit(1)))
        assert len(sent) == 1 + 3
    assert [[page.number for page in book.pages] for book in books] == [[0], [1], [2], [3], [4]]


class Root(Model):
    name = peewee.CharField()
    leaves = OneToMany(lambda: Leaf, on="root", select=True)


class Leaf(Model):
    root = peewee.ForeignKeyField(Root, backref="+")
    up = OneToOne(lambda: Root, on="id", own="root", select=True)


def test_what_comes_with_each_query(tables: Tables) -> None:
    tables(Root, Leaf)
    root = Root.create(name="r")
    Leaf.create(root=root)
    with statements() as sent:
        found = list(Root.select())
        assert len(sent) == 3
        assert found[0].leaves[0].up == root
        assert len(sent) == 3
        list(Root.select(Root.name))
        list(Root.select().dicts())
        assert Root.select().count() == 1
        assert len(sent) == 6
    with statements() as sent:
        assert list(Root.select().where(Root.id == 77)) == []
        assert len(sent) == 1


def test_pages_and_chunks(tables: Tables) -> None:
    some_books(tables, 5)
    books = Book.select().with_("pages")
    for keys_first in (False, True):
        with statements() as sent:
            page = paginate(books.order_by(Book.id), 2, 2, total=False, keys_first=keys_first)
            assert [book.pages[0].number for book in page.rows] == [2, 3]
            assert len(sent) == (3 if keys_first else 2)
    with statements() as sent:
        assert [[book.pages[0].number for book in some] for some in chunk_by_id(books, 3)] == [[0, 1, 2], [3, 4]]
        assert len(sent) == 4
    with pytest.raises(ValueError, match="rows that are streamed cannot have related rows loaded with them"):
        list(each(books))
    with pytest.raises(ValueError, match="rows that are read one by one cannot have related rows"):
        books.iterator()


def test_a_query_that_is_none(tables: Tables) -> None:
    some_books(tables, 1)
    changes: list[Any] = [lambda pages: None, lambda pages: pages.dicts(), lambda pages: Book.select()]
    for change in changes:
        with pytest.raises(TypeError, match="pages: the function must give a query of rows of Page, not "):
            list(Book.select().with_(pages=change))
