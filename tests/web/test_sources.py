from __future__ import annotations

from typing import Annotated, get_type_hints

import pytest

from greenimi import message, web
from greenimi.web import Cookie, Field, Form, FromSession, Header, Query, Source


@pytest.mark.parametrize(
    ("kind", "place"),
    [(Query, "query"), (Header, "header"), (Cookie, "cookie"), (Form, "form"), (Field, "field"), (FromSession, "session")],
)
def test_every_source_has_its_word_and_a_key(kind: type[Source], place: str) -> None:
    assert (kind.place, kind("x").key, kind().key) == (place, "x", "")
    assert kind("x") == kind("x")
    assert len({kind("x"), kind("x"), kind("y")}) == 2  # annotations are compared and kept in sets


def test_two_sources_are_never_equal() -> None:
    found: list[Source] = [Query("x"), Header("x")]
    assert found[0] != found[1]


def test_within_annotations() -> None:
    def handler(page: Annotated[int, Query("p")] | None) -> None: ...

    assert get_type_hints(handler, include_extras=True)["page"] == Annotated[int, Query("p")] | None


def test_there_is_one_body() -> None:
    assert web.Body is message.Body
