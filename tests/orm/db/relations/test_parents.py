from __future__ import annotations

from typing import Any

import pytest

from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.relations.library import MODELS, Author, Book, Hall, Note, Page, Seat, statements


@every_kind
def test_rows_of_several_models_in_one_query_each(tables: Tables) -> None:
    tables(*MODELS)
    author, book = Author.create(name="a"), Book.create(title="b")
    for subject in (author, book, author, None):
        Note.create(subject=subject)
    Note.create(subject_kind="film", subject_id="1")
    Note.create(subject_kind="book", subject_id="77")
    with statements() as sent:
        notes = list(Note.select().order_by(Note.id).with_("subject"))
        assert [note.subject for note in notes] == [author, book, author, None, None, None]
        assert len(sent) == 3


def test_setting_it_sets_the_fields(tables: Tables) -> None:
    tables(*MODELS)
    author, book = Author.create(name="a"), Book.create(title="b")
    note: Any = Note(subject=book)
    assert (note.subject_kind, note.subject_id) == ("book", str(book.id))
    note.subject = author
    note.save()
    assert Note.get().subject == author
    with pytest.raises(TypeError, match=r"Note\.subject is a row of Author or Book, not <Page: None>"):
        note.subject = Page()
    note.subject = None
    assert note.subject_id is None


def test_setting_the_fields_sets_it(tables: Tables) -> None:
    tables(*MODELS)
    one, two = Author.create(name="a"), Author.create(name="b")
    note: Any = Note.create(subject=one)
    note.subject_id = str(two.id)
    assert note.subject == two
    note.subject_id = "77"
    assert note.subject is None
    note.subject_id = str(one.id)
    assert note.subject == one
    with statements() as sent:
        assert note.subject == one
        assert sent == []


def test_rows_that_are_new_are_written_before(tables: Tables) -> None:
    tables(*MODELS)
    note: Any = Note(subject=Author(name="new"))
    note.save()
    found: Any = Note.get().subject
    assert found.name == "new"
    note.subject.name = "changed"
    note.save()
    assert Author.get().name == "changed"
    Seat(name="x", hall=Hall(city="Rome", number=3)).save()
    seat: Any = Seat.select().with_("hall").get()
    assert (seat.hall.city, seat.hall.number, seat.hall_number) == ("Rome", 3, 3)
    seat.hall = None
    seat.hall_city, seat.hall_number = "Bari", 1
    seat.save()
    assert Seat.get().hall is None
