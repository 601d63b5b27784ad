"""Where the value of a handler's parameter comes from, said within ``Annotated``: ``page: Annotated[int, Query("page-size")]``.

``key`` is the name on the wire; without one it is the parameter's own (of a header field with ``-`` for ``_``).  ``Body`` says that a
value is the whole decoded body: ``wish: Annotated[Wish, Body]``; as an annotation of its own it is the body as it arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from greenimi.message import Body

__all__ = ["Body", "Cookie", "Field", "Form", "FromSession", "Header", "Query", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Base of the places; ``place`` is its word in listings and in the errors that a client gets."""

    place: ClassVar[str] = ""

    key: str = ""


class Query(Source):
    """A parameter of the query; all of that name where the type is a collection."""

    __slots__ = ()
    place = "query"


class Header(Source):
    """A header field; of a field sent several times every one, where the type is a collection."""

    __slots__ = ()
    place = "header"


class Cookie(Source):
    """A cookie."""

    __slots__ = ()
    place = "cookie"


class Form(Source):
    """A field of a form, urlencoded or multipart; never of a JSON body."""

    __slots__ = ()
    place = "form"


class Field(Source):
    """A field of the decoded body; dots go deeper: ``Field("user.name")``."""

    __slots__ = ()
    place = "field"


class FromSession(Source):
    """A value of the session, by its dotted name: ``FromSession("cart.items")``."""

    __slots__ = ()
    place = "session"
