"""Templates, and the tree that finds the route of a path, against a matcher that simply tries them all."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.dispatch.paths import PathRouter, Template, parse_template
from greenimi.errors import StartError


def router(*templates: str) -> PathRouter[str]:
    found: PathRouter[str] = PathRouter()
    for template in templates:
        found.add(parse_template(template), "GET", template)
    return found


def match(routes: PathRouter[str], path: str, method: str = "GET") -> tuple[str, dict[str, Any]] | None:
    found = routes.find(method, path)
    return (found[0], dict(found[1])) if found else None


# -- templates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("/", "/", {}),
        ("/a/b", "/a/b", {}),
        ("/a/", "/a/", {}),
        ("/{x}", "/ä b", {"x": "ä b"}),
        ("/{x:str}", "/1", {"x": "1"}),
        ("/{x:int}", "/-12", {"x": -12}),
        ("/{x:float}", "/1.50", {"x": 1.5}),
        ("/{x:uuid}", "/12345678-1234-1234-1234-1234567890aB", {"x": UUID("123456781234123412341234567890ab")}),
        ("/{x:[a-z]+}", "/abc", {"x": "abc"}),
        ("/{x:[0-9]{4}}", "/2024", {"x": "2024"}),
        ("/{x:(a|b)c}", "/bc", {"x": "bc"}),
        ("/{a}-{b}", "/1-2-3", {"a": "1-2", "b": "3"}),
        ("/v{major:int}.{minor:int}", "/v1.2", {"major": 1, "minor": 2}),
        ("/{name}.json", "/a.b.json", {"name": "a.b"}),
        ("/files/{rest:path}", "/files/a/b/c", {"rest": "a/b/c"}),
        ("/files/{rest:path}", "/files/", {"rest": ""}),
        ("/{a}/x/{b:int}", "/1/x/2", {"a": "1", "b": 2}),
    ],
)
def test_what_matches(template: str, path: str, params: dict[str, Any]) -> None:
    found = match(router(template), path)
    assert found == (template, params)
    assert found is not None
    assert {name: type(value) for name, value in found[1].items()} == {name: type(value) for name, value in params.items()}


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/a", "/a/"),
        ("/a", "/A"),
        ("/a", "/"),
        ("/{x}", "/"),
        ("/{x}", "/a/b"),
        ("/{x:int}", "/1a"),
        ("/{x:int}", "/1\n"),
        ("/{x:int}", "/\uff11"),
        ("/{x:int}", "/+1"),
        ("/{x:int}", "/1_0"),
        ("/{x:int}", "/" + "9" * 19),
        ("/{x:float}", "/nan"),
        ("/{x:float}", "/1e9"),
        ("/{x:uuid}", "/1234567812341234123412345678abcd"),
        ("/{x:[a-z]+}", "/abc1"),
        ("/{a}-{b}", "/-b"),
        ("/files/{rest:path}", "/files"),
        ("/a.c", "/abc"),
    ],
)
def test_what_does_not_match(template: str, path: str) -> None:
    assert match(router(template), path) is None


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a", "does not start with /"),
        ("", "does not start with /"),
        ("/{", "unreadable placeholder"),
        ("/}", "unreadable placeholder"),
        ("/{}", "unreadable placeholder"),
        ("/{1x}", "unreadable placeholder"),
        ("/{x}{", "unreadable placeholder"),
        ("/{x}/{y", "unreadable placeholder"),
        ("/<int:x>", "hint: write {name}, {name:int}"),
        ("/{x:integer}", "there is no type 'integer'\n  hint: types are str, int, float, uuid, path"),
        ("/{x:[}", "neither a type nor a regular expression"),
        ("/{x}/{x}", "uses the placeholder 'x' twice"),
        ("/{rest:path}/x", "must be the last segment, alone"),
        ("/a{rest:path}", "must be the last segment, alone"),
    ],
)
def test_templates_that_are_none(template: str, said: str) -> None:
    with pytest.raises(StartError, match=re.escape(said)):
        parse_template(template)


def test_shapes_are_equal_for_templates_that_match_the_same() -> None:
    same = [
        ("/{a}/x", "/{b}/x"),
        ("/{a:int}", "/{b:int}"),
        ("/{a}-{b:int}", "/{c}-{d:int}"),
        ("/{a:path}", "/{b:path}"),
        ("/{a:str}", "/{b}"),
    ]
    for one, two in same:
        assert parse_template(one).shape == parse_template(two).shape
    different = [("/{a}", "/{a:int}"), ("/{a}", "/{a:path}"), ("/a", "/{a}"), ("/a/", "/a")]
    for one, two in different:
        assert parse_template(one).shape != parse_template(two).shape


def test_a_template_tells_its_rules_and_itself_without_them() -> None:
    template = parse_template("/a/{b}/{c:int}-{d:[a-z]{2}}/{e:path}")
    assert template.rules == ("str", "int", "[a-z]{2}", "path")
    assert template.plain == "/a/{b}/{c}-{d}/{e}"


# -- precedence ----------------------------------------------------------------------------------------------------


def test_literals_before_patterns_before_plain_before_rest() -> None:
    routes = router("/{rest:path}", "/{x}", "/{x:int}", "/7", "/a/{rest:path}")
    assert [match(routes, path)[0] for path in ("/7", "/8", "/x", "/x/y", "/a/b")] == [  # type: ignore[index]
        "/7",
        "/{x:int}",
        "/{x}",
        "/{rest:path}",
        "/a/{rest:path}",
    ]


def test_declaration_order_among_equals() -> None:
    assert match(router("/{a:[a-z]+}", "/{b:[a-y]+}"), "/abc") == ("/{a:[a-z]+}", {"a": "abc"})
    assert match(router("/{b:[a-y]+}", "/{a:[a-z]+}"), "/abc") == ("/{b:[a-y]+}", {"b": "abc"})


def test_a_dead_end_is_backed_out_of() -> None:
    routes = router("/a/b/c", "/a/{x}/d", "/{y}/b/e", "/{rest:path}")
    assert match(routes, "/a/b/d") == ("/a/{x}/d", {"x": "b"})
    assert match(routes, "/a/b/e") == ("/{y}/b/e", {"y": "a"})
    assert match(routes, "/a/b/f") == ("/{rest:path}", {"rest": "a/b/f"})


def test_placeholders_of_dead_ends_leave_no_values() -> None:
    routes = router("/{x:int}/{y}/end", "/{z}/{rest:path}")
    assert match(routes, "/1/2/other") == ("/{z}/{rest:path}", {"z": "1", "rest": "2/other"})
    routes = router("/a/{one:path}", "/{two}/b/c")
    assert match(routes, "/a/b/c") == ("/a/{one:path}", {"one": "b/c"})


def test_one_path_has_several_methods() -> None:
    routes: PathRouter[str] = PathRouter()
    for method in ("GET", "POST"):
        routes.add(parse_template("/{x}"), method, method)
        routes.add(parse_template("/static"), method, method)
    for path in ("/a", "/static"):
        assert routes.methods(path) == {"GET", "POST"}
        assert [match(routes, path, method) is not None for method in ("GET", "POST", "PUT")] == [True, True, False]
    assert routes.methods("/a/b") == set()


def test_methods_of_one_path_under_different_names() -> None:
    """GET /things/{number} beside PUT /things/{name}: one path to a client, which may use both methods."""
    routes: PathRouter[str] = PathRouter()
    routes.add(parse_template("/things/{number}"), "GET", "show")
    routes.add(parse_template("/things/{name}"), "PUT", "change")
    assert match(routes, "/things/7") == ("show", {"number": "7"})
    assert match(routes, "/things/7", "PUT") == ("change", {"name": "7"})
    assert routes.methods("/things/7") == {"GET", "PUT"}


def test_methods_of_one_path_on_different_branches() -> None:
    """GET /things/new beside DELETE /things/{name}: the thing called new can be deleted."""
    routes: PathRouter[str] = PathRouter()
    routes.add(parse_template("/things/new"), "GET", "form")
    routes.add(parse_template("/things/{name}"), "DELETE", "remove")
    assert match(routes, "/things/new") == ("form", {})
    assert match(routes, "/things/new", "DELETE") == ("remove", {"name": "new"})
    assert match(routes, "/things/old") is None
    assert routes.methods("/things/new") == {"GET", "DELETE"}


# -- against the reference -----------------------------------------------------------------------------------------

WORDS = ["", "a", "b", "ab", "1", "12", "-1"]
SEGMENTS = ["a", "b", "ab", "1", "{%s}", "{%s:int}", "{%s:[a-b]+}", "x{%s}", "{%s:int}a"]


@st.composite
def templates(draw: st.DrawFn) -> list[str]:
    found = []
    for _ in range(draw(st.integers(1, 6))):
        segments = [
            part % f"p{at}" if "%s" in part else part for at, part in enumerate(draw(st.lists(st.sampled_from(SEGMENTS), max_size=3)))
        ]
        if draw(st.integers(0, 4)) == 0:
            segments.append("{rest:path}")
        found.append("/" + "/".join(segments))
    return list({parse_template(text).shape: text for text in found}.values())


def rank(template: Template) -> tuple[int, ...]:
    """Compares like the router tries: segment by segment."""
    return tuple(0 if s.literal is not None else 3 if s.rest else 1 if s.pattern else 2 for s in template.segments)


EXPRESSIONS = {"": "[^/]+", ":int": "-?[0-9]{1,18}", ":[a-b]+": "[a-b]+", ":path": ".*"}


def naive(all_templates: list[str], path: str) -> set[tuple[str, tuple[str, ...]]]:
    """Every template of the best rank that matches, with its values."""
    found = []
    for text in all_templates:
        pattern = re.sub(r"\{(\w+)([^}]*)\}", lambda hole: f"(?P<{hole[1]}>{EXPRESSIONS[hole[2]]})", text)
        if matched := re.fullmatch(pattern, path):
            found.append((rank(parse_template(text)), text, matched))
    best = min((order for order, _, _ in found), default=())
    return {(text, matched.groups()) for order, text, matched in found if order == best}


@given(templates(), st.lists(st.sampled_from([*WORDS, "xa", "1a"]), max_size=4))
def test_the_tree_finds_what_trying_all_of_them_finds(found: list[str], words: list[str]) -> None:
    path = "/" + "/".join(words)
    expected = naive(found, path)
    actual = match(router(*found), path)
    if actual is None:
        assert not expected
    else:
        template, params = actual
        assert (template, tuple(str(params[name]) for name in parse_template(template).names)) in expected


# -- several routes of one shape -----------------------------------------------------------------------------------


def test_the_first_of_several_is_found_and_the_others_can_be_chosen() -> None:
    routes: PathRouter[str] = PathRouter()
    for template, route, spare in (("/a", "spare", True), ("/a", "one", False), ("/a", "two", False), ("/{x}", "any", False)):
        routes.add(parse_template(template), "GET", route, spare=spare)
    assert routes.find("GET", "/a") == ("one", {})
    asked: list[tuple[str, dict[str, Any]]] = []

    def last(route: str, params: Any) -> bool:
        asked.append((route, dict(params)))
        return route == "any"

    assert routes.choose("GET", "/a", last) == ("any", {"x": "a"})
    assert asked == [("one", {}), ("two", {}), ("spare", {}), ("any", {"x": "a"})]
    assert routes.choose("GET", "/a", lambda route, params: False) is None
    assert routes.methods("/a", lambda route, params: route == "none") == set()


def test_literals_that_ignore_case_come_after_those_that_do_not() -> None:
    routes: PathRouter[str] = PathRouter()
    routes.add(parse_template("/{x}/y"), "GET", "any")
    routes.add(parse_template("/Straße/{n}-X", ignore_case=True), "GET", "free")
    routes.add(parse_template("/STRASSE/{n:int}-x"), "GET", "exact")
    assert match(routes, "/STRASSE/1-x") == ("exact", {"n": 1})
    assert match(routes, "/STRASSE/a-x") == ("free", {"n": "a"})
    assert match(routes, "/strasse/A-X") == ("free", {"n": "A"})
    assert match(routes, "/strasse/y") == ("any", {"x": "strasse"})


@pytest.mark.parametrize(
    ("template", "other"), [("/", None), ("/a", "/a/"), ("/a/", "/a"), ("/{x}", "/{x}/"), ("/a/{rest:path}", None), ("/{x}/", "/{x}")]
)
def test_the_other_end(template: str, other: str | None) -> None:
    found = parse_template(template).with_other_end()
    assert (found.text if found is not None else None) == other
    if found is not None:
        assert found.segments == parse_template(found.text).segments


def test_shapes_tell_whether_case_counts() -> None:
    assert parse_template("/A/x{b}", ignore_case=True).shape == parse_template("/a/X{c}", ignore_case=True).shape
    assert parse_template("/a", ignore_case=True).shape != parse_template("/a").shape


# -- back into a path ----------------------------------------------------------------------------------------------


class Size(Enum):
    LARGE = "large"


@pytest.mark.parametrize(
    ("template", "values", "path"),
    [
        ("/", {}, "/"),
        ("/größe/{x}", {"x": "ä b%"}, "/gr%C3%B6%C3%9Fe/%C3%A4%20b%25"),
        ("/{x}", {"x": "a?b#c;d=e,f@g:h"}, "/a%3Fb%23c;d=e,f@g:h"),
        ("/{x:int}/", {"x": 7}, "/7/"),
        ("/{x:int}", {"x": "7"}, "/7"),
        ("/{x:float}", {"x": 1.5}, "/1.5"),
        ("/{x:uuid}", {"x": UUID(int=1)}, "/00000000-0000-0000-0000-000000000001"),
        ("/{x:large|small}", {"x": Size.LARGE}, "/large"),
        ("/{a}-{b:int}.csv", {"a": "x-y", "b": 3}, "/x-y-3.csv"),
        ("/f/{rest:path}", {"rest": "a/b c"}, "/f/a/b%20c"),
        ("/f/{rest:path}", {"rest": ""}, "/f/"),
    ],
)
def test_templates_become_paths(template: str, values: dict[str, Any], path: str) -> None:
    assert parse_template(template).render(values) == path


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("/{x}", {}),
        ("/{x}", {"x": ""}),
        ("/{x}", {"x": "a/b"}),
        ("/{x}", {"x": ".."}),
        ("/{x}", {"x": "."}),
        ("/.{x}", {"x": "."}),
        ("/{x:int}", {"x": "a"}),
        ("/{x:int}", {"x": 1.5}),
        ("/{x:int}", {"x": True}),
        ("/{x:int}", {"x": None}),
        ("/{x:int}", {"x": 10**18}),
        ("/{x:float}", {"x": 1e30}),
        ("/{x:uuid}", {"x": "1"}),
        ("/{x:[a-z]+}", {"x": "A"}),
        ("/{a}-{b}", {"a": "x", "b": "y-z"}),  # would be taken apart as x-y and z
        ("/f/{rest:path}", {"rest": "a/../b"}),
        ("/{rest:path}", {"rest": "/evil.example"}),
    ],
)
def test_values_that_would_not_come_back(template: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(template))):
        parse_template(template).render(values)


@given(st.sampled_from(["/{a}/x/{b}", "/{a}-{b}", "/x{a:[a-c/]*}/{b:path}"]), st.text(max_size=6), st.text(max_size=6))
def test_a_rendered_path_gives_its_values_back(template: str, a: str, b: str) -> None:
    try:
        path = parse_template(template).render({"a": a, "b": b})
    except (ValueError, UnicodeEncodeError):
        return
    found = match(router(template), unquote(path, errors="strict"))
    assert found is not None
    assert found[1] == {"a": a, "b": b}


@given(templates(), st.lists(st.sampled_from([*WORDS, "xa", "1a"]), max_size=4))
def test_all_that_fit_are_offered_once_the_most_literal_first(found: list[str], words: list[str]) -> None:
    path = "/" + "/".join(words)
    asked: list[str] = []
    assert router(*found).choose("GET", path, lambda route, params: bool(asked.append(route))) is None  # type: ignore[func-returns-value]
    fitting = {text for text in found if match(router(text), path) is not None}
    assert sorted(asked) == sorted(fitting)
    assert [rank(parse_template(text)) for text in asked] == sorted(rank(parse_template(text)) for text in asked)
