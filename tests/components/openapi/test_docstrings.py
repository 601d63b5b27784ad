from __future__ import annotations

import pytest

from greenimi.components.openapi.docstrings import parse_docstring


def test_the_first_sentence_is_the_summary() -> None:
    found = parse_docstring("Place an order.  It is paid later.\n\nNobody waits.")
    assert (found.summary, found.description) == ("Place an order", "It is paid later.\n\nNobody waits.")
    assert found.text == "Place an order.  It is paid later.\n\nNobody waits."


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("Where is it?  Here.", "Where is it?"),
        ("No full stop", "No full stop"),
        ("Over two\n    lines.  More.", "Over two lines"),
        ("Version 1.2 of it.", "Version 1.2 of it"),
        ("No full stop\n\nA paragraph.", "No full stop"),
        (None, ""),
        ("", ""),
    ],
)
def test_summaries(text: str | None, summary: str) -> None:
    assert parse_docstring(text).summary == summary


SPHINX = """Place an order.

:param str sku: what it is,
    in a word
:param pieces: how many
:type pieces: int
:raises NotFound: when it is sold out
:return: the order

The end.
"""

GOOGLE = """Place an order.

Args:
    sku (str): what it is,
        in a word
    pieces: how many

Returns:
    the order

Raises:
    NotFound: when it is sold out

The end.
"""

BACKQUOTES = """Place an order.

``sku``     what it is,
            in a word
``pieces``  how many
:return: the order

The end.
"""


@pytest.mark.parametrize("text", [SPHINX, GOOGLE, BACKQUOTES], ids=["sphinx", "google", "backquotes"])
def test_parameters_are_found_in_three_ways(text: str) -> None:
    found = parse_docstring(text, frozenset({"sku", "pieces"}))
    assert found.parameters == {"sku": "what it is, in a word", "pieces": "how many"}
    assert found.returns == "the order"
    assert (found.summary, found.description) == ("Place an order", "The end.")


def test_what_is_not_said_of_a_parameter_stays() -> None:
    text = "Place it.\n\n``other``  a word\n\nExample:\n    shop.place()\n\nNote: it is quick."
    found = parse_docstring(text, frozenset({"sku"}))
    assert found.parameters == {}
    assert found.description == "``other``  a word\n\nExample:\n    shop.place()\n\nNote: it is quick."


def test_roles_become_code() -> None:
    assert parse_docstring("Gives an :class:`~shop.Order` back.").summary == "Gives an `shop.Order` back"
