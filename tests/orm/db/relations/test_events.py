from __future__ import annotations

from typing import Any

from greenimi.container.registry import Container
from greenimi.event import Events
from greenimi.orm import (
    AfterLoad,
    BeforeLoad,
    BeforeRelatedSave,
    RelationEvent,
)
from greenimi.orm.db.relations import events
from tests.orm.db.conftest import Tables
from tests.orm.db.relations.library import MODELS, Author, Book, Profile


def test_each_is_told_once_and_in_order(running: Container, tables: Tables) -> None:
    tables(*MODELS)
    told: list[Any] = []
    hub = running.get(Events)

    def note(event: Any) -> None:
        told.append((type(event).__name__, event.relation.name, len(event.rows)))

    hub.on(RelationEvent, note)
    for name in "ab":
        Author(name=name, books=[Book(title=name)]).save()
    assert told == [("BeforeRelatedSave", "books", 1), ("AfterRelatedSave", "books", 1)] * 2
    del told[:]
    authors = list(Author.select().with_("books"))
    assert told == [("BeforeLoad", "books", 2), ("AfterLoad", "books", 2)]
    del told[:]
    assert authors[0].profile is None
    assert told == [("BeforeLoad", "profile", 1), ("AfterLoad", "profile", 1)]
    del told[:]
    Profile.create(author=authors[0])
    authors[0].delete_instance()
    assert told[:4] == [
        ("BeforeRelatedDelete", "profile", 1),
        ("AfterRelatedDelete", "profile", 1),
        ("BeforeRelatedDelete", "books", 1),
        ("BeforeRelatedDelete", "pages", 1),
    ]


def test_listeners_may_change_what_was_loaded_and_what_is_written(running: Container, tables: Tables) -> None:
    tables(*MODELS)
    hub = running.get(Events)

    def reverse(event: AfterLoad) -> None:
        for row in event.rows:
            row.books.reverse()

    def count(event: BeforeRelatedSave) -> None:
        for place, book in enumerate(event.rows[0].books):
            book.price = place

    hub.on(AfterLoad, reverse)
    hub.on(BeforeRelatedSave, count)
    Author(name="a", books=[Book(title=title) for title in "ab"]).save()
    assert [(book.title, book.price) for book in Author.get().books] == [("b", 1), ("a", 0)]


def test_outside_of_an_application_nobody_is_told() -> None:
    events.tell(BeforeLoad, Author.books, [])
    assert Author.books.name == "books"
