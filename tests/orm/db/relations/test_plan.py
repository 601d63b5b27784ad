from __future__ import annotations

from typing import Any

import pytest

from greenimi.orm.db.relations import plan
from tests.orm.db.relations.library import Author, Note


def test_a_tree_of_names() -> None:
    tree = plan.planned(Author, ["books.pages", Author.profile, "books.author"], {"books": str})
    assert set(tree) == {"books", "profile"}
    assert tree["books"].change is str
    assert set(tree["books"].below) == {"pages", "author"}
    both = plan.merged(tree, plan.planned(Author, ["books.photo"], {}))
    assert both["books"].change is str
    assert set(both["books"].below) == {"pages", "author", "photo"}


@pytest.mark.parametrize(
    ("model", "path", "said"),
    [
        (Author, "boks", "boks: Author has no relation boks; it has books, clubs, notes, profile, tags"),
        (Author, "books.title", r"books\.title: Book has no relation title; it has pages, photo, tags"),
        (Note, "subject.seats", r"subject\.seats: Author or Book has no relation seats; it has books, clubs, notes, pages"),
    ],
)
def test_relations_that_are_not_there(model: Any, path: str, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        model.select().with_(path)


def test_some_of_several_models_have_it() -> None:
    assert Note.select().with_("subject.books.pages").plans["subject"].below["books"].below["pages"] == plan.WHOLE


def test_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="books: a function that changes the query is expected, not 5"):
        Author.select().with_(books=5)
