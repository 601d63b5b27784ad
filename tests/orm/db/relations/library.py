"""Models for the tests, and the statements that they send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peewee import BigIntegerField, CharField, CompositeKey, ForeignKeyField, IntegerField

from greenimi.container.registry import current_container
from greenimi.orm import ManyToMany, ManyToOne, Model, OneToMany, OneToOne, PolymorphicToMany, PolymorphicToOne
from greenimi.pool.database.database import Database


@contextmanager
def statements() -> Iterator[list[str]]:
    """What the default database is sent meanwhile."""
    database: Any = current_container().get(Database, "default")
    found: list[str] = []
    run = database.execute_sql

    def counted(sql: str, params: Any = None) -> Any:
        found.append(sql)
        return run(sql, params)

    database.execute_sql = counted
    try:
        yield found
    finally:
        del database.execute_sql


def by_title(books: Any) -> Any:
    return books.order_by(Book.title)


class Author(Model):
    name = CharField()
    profile = OneToOne(lambda: Profile, on="author", save=True, delete=True, orphans="remove")
    books = OneToMany(lambda: Book, on="author", query=by_title, save=True, delete=True, orphans="remove")
    clubs = ManyToMany(lambda: Club, lambda: Membership, left="author", right="club", save=True, delete=True, orphans="remove")
    notes = OneToMany(lambda: Note, on="subject_id", where={"subject_kind": "author"}, save=True, delete=True)
    tags = ManyToMany(
        lambda: Tag, lambda: Tagging, left="subject_id", right="tag", where={"subject_kind": "author"}, save=True, delete=True
    )


class Profile(Model):
    author = ForeignKeyField(Author, backref="+")
    text = CharField(default="")


class Book(Model):
    author = ForeignKeyField(Author, null=True)
    title = CharField()
    price = IntegerField(default=1)
    pages = OneToMany(lambda: Page, on="book", save=True, delete=True)
    photo = OneToOne(lambda: Note, on="subject_id", where={"subject_kind": "book"})
    tags = ManyToMany(lambda: Tag, lambda: Tagging, left="subject_id", right="tag", where={"subject_kind": "book"}, save=True)


class Page(Model):
    book = ForeignKeyField(Book, backref="+")
    number = IntegerField()


class Club(Model):
    name = CharField()
    members = ManyToMany(lambda: Author, lambda: Membership, left="club", right="author")


class Membership(Model):
    author = ForeignKeyField(Author, backref="+")
    club = ForeignKeyField(Club, backref="+")
    role = CharField(default="member")
    gone = BigIntegerField(default=0)

    class Meta:
        soft_delete = "gone"


class Note(Model):
    subject_kind = CharField(null=True)
    subject_id = CharField(null=True)
    text = CharField(default="")
    gone = BigIntegerField(default=0)
    subject = PolymorphicToOne({"author": lambda: Author, "book": lambda: Book}, kind="subject_kind", own="subject_id", save=True)

    class Meta:
        soft_delete = "gone"


class Tag(Model):
    name = CharField()
    subjects = PolymorphicToMany(
        {"author": lambda: Author, "book": lambda: Book}, lambda: Tagging, "tag", "subject_kind", "subject_id", save=True, orphans="remove"
    )


class Tagging(Model):
    tag = ForeignKeyField(Tag, backref="+")
    subject_kind = CharField()
    subject_id = IntegerField()


class Hall(Model):
    city = CharField(max_length=50)
    number = IntegerField()
    seats = OneToMany(lambda: Seat, on=("hall_city", "hall_number"), save=True)

    class Meta:
        primary_key = CompositeKey("city", "number")


class Seat(Model):
    hall_city = CharField(max_length=50)
    hall_number = IntegerField()
    name = CharField()
    hall = ManyToOne(lambda: Hall, own=("hall_city", "hall_number"), save=True)


MODELS = (Author, Profile, Book, Page, Club, Membership, Note, Tag, Tagging, Hall, Seat)
