from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee
import pytest

from greenimi.orm import ManyToOne, Model, OneToMany, Relation, Serialise, load, no_lazy_loading, to_dict
from greenimi.orm.db.relations.base import found
from greenimi.orm.db.relations.plan import Plan
from tests.orm.db.conftest import Tables
from tests.orm.db.relations.library import MODELS, Author, Book, Profile, statements


class Count(Relation[int]):
    """An application's own kind: how many books there are."""

    may = frozenset(("insert",))

    def fetch(self, rows: Sequence[Any], plan: Plan) -> None:
        keys = [row.id for row in rows]
        query = Book.select(Book.author, peewee.fn.COUNT(Book.id)).where(Book.author.in_(keys)).group_by(Book.author)
        counts = dict(query.tuples())
        for row in rows:
            self.put(row, counts.get(row.id, 0))

    def save_after(self, row: Any, *, inserted: bool) -> None:
        for number in range(row.count):
            Book.create(title=str(number), author=row.id)


class Writer(Model):
    name = peewee.CharField()
    count = Count(insert=True)

    class Meta:
        table_name = "author"


def test_an_own_kind(tables: Tables) -> None:
    tables(*MODELS)
    for number in (2, 0, 1):
        Writer(name="a", count=number).save()
    with statements() as sent:
        assert [writer.count for writer in Writer.select().order_by(Writer.id).with_("count")] == [2, 0, 1]
        assert len(sent) == 2
    writer = Writer.get_by_id(1)
    assert writer.count == 2
    writer.save()
    assert Book.select().count() == 3
    with no_lazy_loading():
        assert writer.count == 2
    with pytest.raises(TypeError, match=r"Wrong\.count: a Count has no delete"):
        type("Wrong", (Model,), {"count": Count(delete=True)})


def test_of_the_class_it_is_itself() -> None:
    assert isinstance(Author.books, OneToMany)
    assert repr(Author.books) == "<OneToMany books>"
    assert Author.books.targets() == [Book]
    with pytest.raises(NotImplementedError):
        Relation().fetch([], Plan())


def test_models_that_are_named() -> None:
    assert found(lambda: Book, "x") is Book
    with pytest.raises(TypeError, match="x: 5 is no model"):
        found(lambda: 5, "x")  # type: ignore[arg-type, return-value]


def test_told_as_dicts(tables: Tables) -> None:
    tables(*MODELS)
    Author(name="a", books=[Book(title="b")], profile=Profile(text="p")).save()
    author: Any = Author.select().with_("books", "profile").get()
    assert to_dict(author) == {"id": 1, "name": "a"}
    assert to_dict(author, ["name", "books", "profile", "clubs"]) == {"name": "a", "books": [1], "profile": 1}
    assert to_dict(author, depth=2) == {
        "id": 1,
        "name": "a",
        "books": [{"id": 1, "author": 1, "title": "b", "price": 1}],
        "profile": {"id": 1, "author": 1, "text": "p"},
    }
    with no_lazy_loading():
        assert to_dict(Author.get(), depth=5) == {"id": 1, "name": "a"}


class Shelf(Model):
    name = peewee.CharField()
    label_id = peewee.IntegerField(null=True)
    label = ManyToOne(lambda: Label, own="label_id")
    labels = OneToMany(lambda: Label, on="shelf_id")

    class Meta:
        serialise = Serialise(extract={"label_text": "label.text", "shelf_of_label": "label.shelf.name", "all": "labels"})


class Label(Model):
    shelf_id = peewee.IntegerField(null=True)
    text = peewee.CharField()
    shelf = ManyToOne(lambda: Shelf, own="shelf_id")


def test_paths_read_nothing(tables: Tables) -> None:
    tables(Shelf, Label)
    Shelf.create(name="a", label=Label.create(text="t", shelf_id=1))
    with no_lazy_loading():
        shelf: Any = Shelf.get()
        assert to_dict(shelf)["label_text"] is None
        load([shelf], "label")
        told = to_dict(shelf)
        assert (told["label_text"], told["shelf_of_label"], told["all"]) == ("t", None, None)
