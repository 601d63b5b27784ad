from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenimi.orm import insert_rows
from greenimi.orm.db.relations import keys
from tests.orm.db.conftest import Tables
from tests.orm.db.relations.library import MODELS, Author, Book, Note, Tag, Tagging


def authors(*ids: int) -> list[Any]:
    return [Author(id=each, name="a") for each in ids]


def test_keys_as_the_other_column_has_them() -> None:
    rows = authors(1, 2, 2)
    index = keys.Index([*rows, Author(name="new")], ["id"], [Note.subject_id], "Author.notes")
    assert list(index.rows) == [("1",), ("2",)]
    assert index.of(("2",)) == rows[1:]


def test_texts_that_a_server_takes_for_the_same() -> None:
    rows = [Note(subject_id=text) for text in ("Ann", "ann ", "Bob")]
    index = keys.Index(rows, ["subject_id"], [Note.text], "x")
    assert [note.subject_id for note in index.of(("ANN",))] == ["Ann", "ann "]
    with pytest.raises(LookupError, match=r"x: the database found a row of the key \('Zoe',\), which is none of those it was asked for"):
        index.of(("Zoe",))


def test_columns_are_added_once() -> None:
    query = Author.select(Author.name)
    assert keys.with_columns(query, [Author.name]) is query
    assert len(keys.with_columns(query, [Author.name, Author.id])._returning) == 2


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    owners=st.lists(st.integers(1, 4), max_size=25),
    limit=st.none() | st.integers(0, 4),
    offset=st.none() | st.integers(0, 3),
    batch=st.integers(1, 9),
)
def test_some_of_each_as_slices_would_have_it(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, owners: list[int], limit: int | None, offset: int | None, batch: int
) -> None:
    tables(*MODELS)
    for model in (Tagging, Book, Tag, Author):
        model.delete().execute()
    insert_rows(Author, [{"id": each, "name": "a"} for each in range(1, 5)])
    insert_rows(Book, [{"id": place, "author": owner, "title": str(place % 7)} for place, owner in enumerate(owners)])
    insert_rows(Tag, [{"id": place, "name": str(place % 7)} for place in range(len(owners))])
    insert_rows(Tagging, [{"tag": place, "subject_kind": "author", "subject_id": owner} for place, owner in enumerate(owners)])
    monkeypatch.setattr(keys, "PARAMETERS", batch)
    some = slice(offset or 0, None if limit is None else (offset or 0) + limit)
    wanted = [sorted((str(place % 7), place) for place, one in enumerate(owners) if one == owner)[some] for owner in range(1, 5)]
    found = Author.select().with_(
        books=lambda books: books.order_by(Book.title, Book.id).limit(limit).offset(offset),
        tags=lambda tags: tags.order_by(Tag.name, Tag.id).limit(limit).offset(offset),
    )
    authors = list(found.order_by(Author.id))
    assert [[(book.title, book.id) for book in author.books] for author in authors] == wanted
    assert [[(tag.name, tag.id) for tag in author.tags] for author in authors] == wanted
