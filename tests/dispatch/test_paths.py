"""Templates, and the tree that finds the route of a path, against a matcher that simply tries them all."""

from __future__ import annotations

import re
from typing import Any
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
