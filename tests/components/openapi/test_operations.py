from __future__ import annotations

from typing import Any

from greenimi import get, http, route
from tests.components.openapi import everything
from tests.components.openapi.conftest import Describe


def numbers(document: Any) -> set[str]:
    return {operation["operationId"] for item in document["paths"].values() for operation in item.values()}


def make(name: str, path: str) -> type:
    @http(path)
    class Made:
        @get()
        def show(self) -> str:
            return ""

    Made.__qualname__ = f"{name}.Thing"
    Made.__name__ = "Thing"
    return Made


def test_ids_stay_when_others_come_and_are_told_apart_where_they_must_be(describe: Describe) -> None:
    @http("/other")
    class Other:
        @route("/a", methods=("GET", "POST"))
        @get("/b")
        def both(self) -> str:
            return ""

        @get("/c")
        def single(self) -> str:
            return ""

    assert numbers(describe(make("One", "/one"))) == {"Thing_show"}
    assert numbers(describe(make("One", "/one"), Other)) == {
        "Thing_show",
        "Other_both_get_other_a",
        "Other_both_get_other_b",
        "Other_both_post",
        "Other_single",
    }
    here = __name__.replace(".", "_")
    assert numbers(describe(make("One", "/one"), make("Two", "/two"))) == {f"{here}_One_Thing_show", f"{here}_Two_Thing_show"}


def test_words_come_from_the_route_or_else_the_docstring(describe: Describe) -> None:
    paths = describe(everything)["paths"]
    listed, placed = paths["/orders"]["get"], paths["/orders"]["post"]
    assert (listed["summary"], listed["description"], listed["tags"]) == ("Lists orders", "The newest come first.", ["Orders"])
    assert (placed["summary"], placed["description"], placed["tags"]) == ("Place it", "At once.", ["buying"])
    assert placed["deprecated"]
    assert "deprecated" not in listed
    assert listed["responses"]["200"]["description"] == "those that were found"


def test_functions_that_python_knows_as_deprecated(describe: Describe) -> None:
    @http
    class Old:
        @get("/old")
        def old(self) -> str:
            """Does it."""
            return ""

    Old.old.__deprecated__ = "use /new"  # type: ignore[attr-defined]  # as warnings.deprecated of Python 3.13 leaves it
    operation = describe(Old)["paths"]["/old"]["get"]
    assert operation["deprecated"]
    assert operation["description"] == "Deprecated: use /new"
