from __future__ import annotations

from typing import Any

import gevent
import peewee
import pytest

from greenimi.container.registry import Container
from greenimi.orm import ManyToOne, Model, OneToMany
from greenimi.pool.database.database import Database
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.relations.library import MODELS, Author, Book, Page, Profile, statements


class Torn(Model):
    author_id = peewee.IntegerField(null=True)
    ends = False

    def before_insert(self) -> None:
        if self.ends:
            raise gevent.GreenletExit


class Whole(Model):
    name = peewee.CharField()
    torn = OneToMany(lambda: Torn, on="author_id", save=True)


def test_killed_in_between(tables: Tables) -> None:
    tables(Whole, Torn)
    one, two = Torn(), Torn()
    two.ends = True
    row = Whole(name="a", torn=[one, two])
    found = gevent.spawn(row.save)
    found.join()
    assert isinstance(found.value, gevent.GreenletExit)
    assert Whole.select().count() == Torn.select().count() == 0
    two.ends = False
    row.save()
    assert len(Whole.get().torn) == 2


@every_kind
def test_all_or_nothing_and_the_objects_know(tables: Tables) -> None:
    tables(*MODELS)
    author: Any = Author(name="a", books=[Book(title="one"), Book(title=None)])
    with pytest.raises(peewee.IntegrityError):
        author.save()
    assert Author.select().count() == Book.select().count() == 0
    assert (author.id, author.books[0].id) == (None, None)
    author.books[1].title = "two"
    author.save()
    assert [book.title for book in Author.get().books] == ["one", "two"]
    author.name = author.books[1].title = "changed"
    author.books[0].title = None
    with pytest.raises(peewee.IntegrityError):
        author.save()
    author.books[0].title = "also"
    author.save()
    assert (Author.get().name, [book.title for book in Author.get().books]) == ("changed", ["also", "changed"])


def test_a_transaction_around_it_that_is_rolled_back(running: Container, tables: Tables) -> None:
    tables(*MODELS)
    database: Any = running.get(Database, "default")
    author: Any = Author(name="a", profile=Profile())
    with database.atomic() as level:
        author.save()
        level.rollback()
    author.save()
    assert Author.get().profile == author.profile
    with database.atomic() as level:
        author.delete_instance()
        level.rollback()
    author.name = "b"
    author.save()
    assert Author.get().name == "b"


def test_one_transaction_for_all(tables: Tables) -> None:
    tables(*MODELS)
    with statements() as sent:
        Author(name="a", books=[Book(title=str(number), pages=[Page(number=1)]) for number in range(3)]).save()
    assert [sql.split()[0] for sql in sent] == ["INSERT"] * 7
    author = Author.get()
    author.books[1].pages[0].number = 7
    with statements() as sent:
        author.save(only=["name"])
        assert len(sent) == 1
        author.save()
    assert Page.select().where(Page.number == 7).count() == 1


def test_only_what_is_loaded(tables: Tables) -> None:
    tables(*MODELS)
    Author(name="a", books=[Book(title="b")]).save()
    author = Author.get()
    with statements() as sent:
        author.save()
        assert len(sent) == 1
    assert Book.select().count() == 1


class Left(Model):
    name = peewee.CharField()
    inserted = OneToMany(lambda: Right, on="left_id", where={"kind": 1}, insert=True)
    updated = OneToMany(lambda: Right, on="left_id", where={"kind": 2}, update=True)
    nothing = OneToMany(lambda: Right, on="left_id", where={"kind": 3})


class Right(Model):
    left_id = peewee.IntegerField(null=True)
    kind = peewee.IntegerField()
    left = ManyToOne(lambda: Left, own="left_id", save=True)


def test_when_each_is_written(tables: Tables) -> None:
    tables(Left, Right)
    row: Any = Left(name="a", inserted=[Right()], updated=[Right()], nothing=[Right()])
    row.save()
    assert [right.kind for right in Right.select()] == [1]
    row.inserted.append(Right())
    row.save()
    assert [right.kind for right in Right.select().order_by(Right.kind)] == [1, 2]
    row.delete_instance()
    assert Right.select().count() == 2


class Ring(Model):
    name = peewee.CharField()
    next_id = peewee.IntegerField(null=True)
    next = ManyToOne(lambda: Ring, own="next_id", save=True)
    before = OneToMany(lambda: Ring, on="next_id", save=True, delete=True)


def test_rows_in_a_ring(tables: Tables) -> None:
    tables(Ring)
    one = Ring(name="one")
    one.next = Ring(name="two", before=[one])
    one.save()
    assert sorted((ring.name, ring.next_id) for ring in Ring.select()) == [("one", 1), ("two", None)]
    two: Any = one.next
    two.next = one
    two.save()
    assert one.delete_instance() == 1
    assert Ring.select().count() == 0
