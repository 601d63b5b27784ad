"""What ``@http``, ``@get`` and their like may say besides a path.  All of it is optional."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

Rules = str | Mapping[str, str] | Sequence[str | Mapping[str, str]]
"""Rules of fields, all of which must hold: ``"id"`` (it is there), ``"!id"`` (it is not), ``"id=100"``, ``"id!=100"`` (or not there),
``{"id": "[0-9]+"}`` (all of it fits the regular expression), or several of these."""


class AddressOptions(TypedDict, total=False):
    """Of every controller that has a path.

    ``domain``          only requests for this host: ``shop.example.org``, or ``{tenant}.example.org`` with placeholders for parameters
    ``ignore_case``     upper and lower case letters of the path are the same; otherwise as conf says for the server
    ``auto_end_slash``  the path also counts with a slash at its end (or, where it has one, without); otherwise as conf says
    """

    domain: str
    ignore_case: bool
    auto_end_slash: bool


class ControllerOptions(AddressOptions, total=False):
    """Of ``@http`` and ``@resource``: what holds for all of a controller's routes that say nothing else themselves.

    ``name``            the handlers are named ``name.method`` for ``url_for``
    ``header``          rules of header fields; those of a handler are added to them
    ``consumes``        media types of the body: ``application/json``, ``image/*``, ``application/*+json``, or several
    ``max_body``        bytes of a request's body; more is refused with 413
    ``max_time``        seconds that a request may take
    ``tags``, ``deprecated``, ``include_in_docs``  for OpenAPI
    """

    name: str
    header: Rules
    consumes: str | tuple[str, ...]
    max_body: int
    max_time: float
    tags: tuple[str, ...]
    deprecated: bool
    include_in_docs: bool


class RouteOptions(ControllerOptions, total=False):
    """Of ``@route``, ``@get``, ``@post`` and their like.

    ``name``            the route's own name, as it stands
    ``prefix``          False: the path stands alone, without the controller's prefix
    ``query``, ``form``, ``body``  rules of query parameters, of form fields, of the fields of any other decoded body (dots go deeper)
    ``summary``, ``description``   for OpenAPI
    """

    prefix: bool
    query: Rules
    form: Rules
    body: Rules
    summary: str
    description: str


def check_options(decorator: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise TypeError for an option that ``@decorator`` does not know."""
    names = list(known)
    for option in options:
        if option not in names:
            close = difflib.get_close_matches(option, names, 1)
            raise TypeError(f"@{decorator} has no option {option!r}{f'; did you mean {close[0]}?' if close else ''}")


def check_brackets(decorator: str, found: Iterable[object], kind: type | tuple[type, ...] = str, example: str = '"..."') -> None:
    """TypeError where a decorator that is called stands without its brackets, and so was given what it decorates."""
    if not all(isinstance(each, kind) for each in found):
        raise TypeError(f"write @{decorator}({example}), with its brackets")
