from __future__ import annotations

from typing import Any

import peewee
import pytest

from greenimi.orm import ManyToMany, ManyToOne, Model, OneToMany, OneToOne, PolymorphicToMany, PolymorphicToOne
from greenimi.orm.db.relations import attach
from tests.orm.db.relations.library import Author, Book, Hall, Membership, Profile


def made(**attributes: Any) -> Any:
    return type("Wrong", (Model,), {"name": peewee.CharField(), **attributes})


class Base(Model):
    code = peewee.CharField()
    books: Any = OneToMany(lambda: Book, on="author")
    profile = OneToOne(lambda: Profile, on="author")


def test_relations_of_a_class_and_of_those_above() -> None:
    class Below(Base):
        books = None
        more = OneToMany(lambda: Book, on="author", own="code")

    assert list(Below._meta.relations) == ["profile", "more"]
    assert list(Base._meta.relations) == ["books", "profile"]
    assert list(Base.fork("base_2026")._meta.relations) == ["books", "profile"]
    again: Any = Book
    attach.attach(again)
    assert list(Book._meta.relations) == ["pages", "photo", "tags"]


@pytest.mark.parametrize(
    ("relation", "said"),
    [
        (OneToMany(lambda: Book, on="author", own="nmae"), r"Wrong\.x: Wrong has no field nmae; it has id, name"),
        (OneToMany(lambda: Book, on=("author", "title")), r"Wrong\.x: \(id\) cannot equal \(author, title\): say as many fields"),
        (OneToMany(lambda: Book, on="author", orphans="remove"), r"Wrong\.x: orphans are removed by an update; say save=True"),
        (OneToMany(lambda: Book, on="author", save=True, orphans="delete"), r'orphans is "keep" or "remove", not \'delete\''),  # type: ignore[arg-type]
        (ManyToOne(lambda: Book, own="name", delete=True), r"Wrong\.x: a ManyToOne has no delete"),
        (ManyToOne(lambda: Book, own="nmae"), r"Wrong\.x: Wrong has no field nmae"),
        (ManyToMany(lambda: Book, lambda: Profile, ("a", "b"), "c"), r"Wrong\.x: \(id\) cannot equal \(a, b\)"),
        (PolymorphicToOne({"a": lambda: Book}, kind="knid", own="name"), r"Wrong\.x: Wrong has no field knid"),
        (PolymorphicToMany({"a": lambda: Book}, lambda: Profile, ("a", "b"), "c", "d"), r"Wrong\.x: \(id\) cannot equal \(a, b\)"),
    ],
)
def test_what_cannot_be_is_known_when_the_class_is_made(relation: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        made(x=relation)


def test_models_without_key() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.x: Wrong has no primary key; say which field it is found by"):
        made(x=OneToMany(lambda: Book, on=()), Meta=type("Meta", (), {"primary_key": False}))


def test_options_that_are_not_there() -> None:
    with pytest.raises(TypeError, match="OneToMany has no option oder; it has query, deleted, select"):
        OneToMany(lambda: Book, on="author", oder="x")  # type: ignore[call-arg]


def test_a_way_back_that_hides_a_relation() -> None:
    class Shelf(Model):
        books = OneToMany(lambda: Book, on="author")

    with pytest.raises(TypeError, match=r'Wrong\.shelf: backref="books" hides the relation Shelf\.books'):
        made(shelf=peewee.ForeignKeyField(Shelf, backref="books"))


class Through(Model):
    through = peewee.CharField()


@pytest.mark.parametrize(
    ("relation", "said"),
    [
        (OneToMany(lambda: Bok, on="author"), r"Wrong\.x: its model cannot be found: NameError: name 'Bok' is not defined"),  # type: ignore[name-defined]  # noqa: F821
        (OneToMany(Book, on="author"), r"Wrong\.x: <Book: None> is no model; say lambda: Book"),  # type: ignore[arg-type]
        (OneToMany(lambda: peewee.Model, on="author"), r"Wrong\.x: Model is a plain peewee model"),
        (OneToMany(lambda: Book, on="athor"), r"Wrong\.x: Book has no field athor; it has id, author, title, price"),
        (OneToMany(lambda: Book, on="author", where={"kind": 1}), r"Wrong\.x: Book has no field kind"),
        (OneToMany(lambda: Book, on="author", query=lambda books: 5), r"x: the function must give a query of rows of Book, not 5"),
        (ManyToOne(lambda: Hall, own="name"), r"Wrong\.x: \(name\) cannot equal \(city, number\)"),
        (ManyToOne(lambda: Book, own="name", to="isbn"), r"Wrong\.x: Book has no field isbn"),
        (
            ManyToMany(lambda: Book, lambda: Membership, "author", "book"),
            r"Wrong\.x: Membership has no field book; it has id",
        ),
        (ManyToMany(lambda: Hall, lambda: Membership, "author", "club"), r"Wrong\.x: \(club\) cannot equal \(city, number\)"),
        (ManyToMany(lambda: Through, lambda: Membership, "author", "club"), r"Wrong\.x: Through has an attribute through"),
        (
            PolymorphicToMany({"a": lambda: Author}, lambda: Membership, "author", "kind", "club"),
            r"Wrong\.x: Membership has no field kind",
        ),
        (PolymorphicToOne({"a": lambda: Hall}, kind="name", own="id"), r"Wrong\.x: \(id\) cannot equal \(city, number\)"),
    ],
)
def test_what_cannot_be_with_others_is_known_when_they_exist(relation: Any, said: str) -> None:
    model = made(x=relation)
    with pytest.raises(TypeError, match=said):
        relation.ready(model)
    with pytest.raises(TypeError, match=said):
        model(name="a", id=1).x  # noqa: B018 - the first use
