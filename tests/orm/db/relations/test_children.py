from __future__ import annotations

from typing import Any

import peewee
import pytest

from greenimi.orm import Model, OneToMany, OneToOne
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.relations.library import MODELS, Author, Book, Hall, Note, Page, Profile, Seat, statements


def some_authors(tables: Tables, count: int = 3) -> None:
    tables(*MODELS)
    for number in range(count):
        author = Author(name=f"a{number}", profile=Profile(text=f"p{number}"))
        author.books = [Book(title=f"b{number}{letter}", price=place) for place, letter in enumerate("dcba")]
        author.notes = [Note(text=f"n{number}")]
        author.save()


def titles(authors: Any) -> list[list[str]]:
    return [[book.title for book in author.books] for author in authors]


@every_kind
def test_all_of_many_rows_in_one_query_each(tables: Tables) -> None:
    some_authors(tables)
    with statements() as sent:
        authors = list(Author.select().order_by(Author.id).with_("books", Author.profile, "notes"))
        assert len(sent) == 4
        assert titles(authors) == [[f"b{number}{letter}" for letter in "abcd"] for number in range(3)]
        assert [author.profile.text for author in authors if author.profile] == ["p0", "p1", "p2"]
        assert [note.text for author in authors for note in author.notes] == ["n0", "n1", "n2"]
        assert authors[1].books[0].author is authors[1]
        assert len(sent) == 4


@every_kind
def test_a_limit_is_one_for_each_row(tables: Tables) -> None:
    some_authors(tables)
    authors = Author.select().order_by(Author.id)
    with statements() as sent:
        assert titles(authors.with_(books=lambda books: books.where(Book.price < 3).limit(2))) == [
            [f"b{number}b", f"b{number}c"] for number in range(3)
        ]
        assert len(sent) == 2
    assert titles(authors.with_(books=lambda books: books.order_by(Book.price.desc()).limit(1).offset(1))) == [["b0b"], ["b1b"], ["b2b"]]
    assert titles(authors.with_(books=lambda books: books.offset(3))) == [["b0d"], ["b1d"], ["b2d"]]
    assert titles(authors.limit(1).with_(books=lambda books: books.order_by().limit(1))) == [["b0d"]]
    joined = authors.with_(books=lambda books: books.join(Author).where(Author.name != "a1").order_by(Author.name, Book.price).limit(1))
    assert titles(joined) == [["b0d"], [], ["b2d"]]
    for change in (lambda books: books.distinct(True).limit(1), lambda books: books.group_by(Book.author).limit(1)):
        with pytest.raises(ValueError, match="a limit for each row does not go with group_by or distinct"):
            list(authors.with_(books=change))


def test_what_is_asked_for_alone_is_read_then_and_stays(tables: Tables) -> None:
    some_authors(tables, 1)
    author: Any = Author.get()
    with statements() as sent:
        assert author.profile.text == "p0"
        assert len(author.books) == len(author.books) == 4
        assert len(sent) == 2
        del author.books
        assert len(author.books) == 4
        assert len(sent) == 3


def test_rows_that_are_new_have_nothing_yet(tables: Tables) -> None:
    tables(*MODELS)
    author = Author(name="new")
    with statements() as sent:
        assert author.books == []
        assert author.profile is None
        author.books.append(Book(title="first"))
        assert sent == []
    author.save()
    assert [book.title for book in Author.get().books] == ["first"]


def test_fewer_columns(tables: Tables) -> None:
    some_authors(tables, 1)
    author = Author.select(Author.id).with_(books=lambda books: books.select(Book.title)).get()
    assert author.books[0].title == "b0a"
    assert author.books[0].__data__ == {"title": "b0a", "author": author.id, "id": 4}
    author = Author.select(Author.name).get()
    with pytest.raises(ValueError, match=r"Author\.books is found by id, and this Author was read without id: select it, too"):
        _ = author.books


def test_rows_that_are_deleted_softly(tables: Tables) -> None:
    class Reader(Model):
        name = peewee.CharField()
        notes = OneToMany(lambda: Note, on="subject_id")
        all_notes = OneToMany(lambda: Note, on="subject_id", deleted=True)

    tables(*MODELS, Reader)
    reader = Reader.create(name="one")
    Note.create(subject_id=str(reader.id), text="a").delete_instance()
    assert reader.notes == []
    assert [note.text for note in reader.all_notes] == ["a"]


@every_kind
def test_keys_of_several_fields(tables: Tables) -> None:
    tables(*MODELS)
    for number in (1, 2):
        Hall(city="Rome", number=number, seats=[Seat(name=f"{number}{letter}") for letter in "ab"]).save()
    halls = list(Hall.select().order_by(Hall.number).with_(seats=lambda seats: seats.order_by(Seat.name)))
    assert [[seat.name for seat in hall.seats] for hall in halls] == [["1a", "1b"], ["2a", "2b"]]
    halls = list(Hall.select().order_by(Hall.number).with_(seats=lambda seats: seats.order_by(Seat.name.desc()).limit(1)))
    assert [[seat.name for seat in hall.seats] for hall in halls] == [["1b"], ["2b"]]


@every_kind
def test_orphans_are_removed(tables: Tables) -> None:
    some_authors(tables, 2)
    author: Any = Author.get()
    first, second = author.books[:2]
    first.title = "changed"
    author.books = [first, Book(title="new")]
    author.profile = Profile(text="other")
    author.notes = []
    with statements() as sent:
        author.save()
    assert sum(sql.startswith("UPDATE") for sql in sent) == 2  # the author and the book
    assert [book.title for book in Author.get_by_id(author.id).books] == ["changed", "new"]
    assert Book.select().count() == 2 + 4
    assert [profile.text for profile in Profile.select().order_by(Profile.id)] == ["p1", "other"]
    assert Note.select().count() == 2  # which has no orphans
    author.profile = None
    author.save()
    assert Profile.select().count() == 1
    assert not Book.exists(second.id)


def test_only_what_was_taken_out_is_removed(tables: Tables) -> None:
    some_authors(tables, 1)
    author: Any = Author.select().with_(books=lambda books: books.limit(2)).get()
    Book.create(title="of somebody else", author=author)
    author.save()
    assert Book.select().count() == 5
    gone = author.books.pop()
    with author._meta.database.atomic() as level:
        author.save()
        assert not Book.exists(gone.id)
        level.rollback()
    author.books.append(Book(title="new"))
    author.save()
    assert not Book.exists(gone.id)
    assert Book.select().count() == 5
    author.books.pop()
    author.save()
    assert Book.select().count() == 4
    author = Author.get()
    author.books = []  # whatever is there
    author.save()
    assert Book.select().count() == 0


@every_kind
def test_related_rows_are_deleted_with_it(tables: Tables) -> None:
    some_authors(tables, 2)
    author = Author.get()
    Page.create(book=author.books[0], number=1)
    Note.get(Note.subject_id == str(author.id)).delete_instance()
    author = Author.get()
    assert author.delete_instance() == 1
    assert (Author.select().count(), Book.select().count(), Profile.select().count(), Page.select().count()) == (1, 4, 1, 0)
    assert Note.select_with_deleted().count() == 2
    other = Author.get()
    assert other.delete_for_good() == 1
    assert Note.select_with_deleted().count() == 1  # of the first, which was deleted softly before
    assert Author.select().count() == Book.select().count() == 0


def test_wrong_values(tables: Tables) -> None:
    tables(*MODELS)
    for value, said in ((5, r"Author\.books is a list, not 5"), ([Profile()], r"Author\.books has rows of Book, not <Profile: None>")):
        with pytest.raises(TypeError, match=said):
            Author(name="a", books=value).save()
    with pytest.raises(TypeError, match=r"Author\.profile has rows of Profile, not 'x'"):
        Author(name="a", profile="x").save()
    assert Author.select().count() == 0


def test_a_row_without_the_field_that_others_are_found_by(tables: Tables) -> None:
    class Coded(Model):
        code = peewee.CharField(null=True)
        notes = OneToMany(lambda: Note, on="subject_id", own="code", save=True, orphans="remove")
        note = OneToOne(lambda: Note, on="subject_id", own="code")

    tables(*MODELS, Coded)
    coded = Coded(code=None, notes=[])
    coded.save()
    Note.create()
    assert (Coded.get().notes, Coded.get().note) == ([], None)
    coded.notes.append(Note())
    with pytest.raises(ValueError, match=r"Coded\.notes: rows can belong to it when it has a value in code"):
        coded.save()


def test_the_server_takes_texts_for_the_same(tables: Tables) -> None:
    class Folded(Model):
        code = peewee.CharField(primary_key=True)
        notes = OneToMany(lambda: FoldedNote, on="code")

    class FoldedNote(Model):
        code = peewee.CharField(constraints=[peewee.SQL("COLLATE NOCASE")])

    tables(Folded, FoldedNote)
    Folded.create(code="Abc")
    FoldedNote.create(code="aBC")
    assert len(Folded.get().notes) == 1
