"""What a developer is shown of an unexpected error, and what nobody is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi import Identity
from greenimi.config.secret import Secret
from greenimi.web.debugpage import as_details, as_page, chain_of, frames_of, hidden, request_facts, shown
from tests.web.sent import request


def raised(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def deep(depth: int = 0) -> None:
    if depth < 200:
        deep(depth + 1)
    raise ValueError("deep down")


def test_the_stack_begins_where_it_happened() -> None:
    def outer() -> None:
        cake = "layered"
        inner(cake.upper())

    def inner(cake: str) -> None:
        raise KeyError(cake)

    first, second, *_ = frames_of(raised(outer))
    assert (first.function.rpartition(".")[2], second.function.rpartition(".")[2]) == ("inner", "outer")
    assert first.variables == {"cake": "'LAYERED'"}
    assert second.variables["cake"] == "'layered'"
    assert dict(first.source)[first.line].strip() == "raise KeyError(cake)"
    assert first.file == __file__
    assert len(frames_of(raised(deep))) == 50


def test_what_led_to_an_error() -> None:
    def causes() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    def context() -> None:
        try:
            causes()
        except ValueError:
            raise TypeError("third")  # noqa: B904

    def hides() -> None:
        try:
            context()
        except TypeError:
            raise OSError("alone") from None

    assert [str(error) for error in chain_of(raised(context))] == ["third", "second", "'first'"]
    assert [str(error) for error in chain_of(raised(hides))] == ["alone"]
    circle = ValueError("a")
    circle.__cause__ = ValueError("b")
    circle.__cause__.__cause__ = circle
    assert len(chain_of(circle)) == 2


@dataclass
class Account:
    name: str
    password: str


class Bad:
    def __repr__(self) -> str:
        raise RuntimeError("half made")


class Worse(dict[str, str]):
    def items(self) -> Any:
        raise RuntimeError("half made")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "hunter2"),
        ("API_KEY", "hunter2"),
        ("key", "hunter2"),
        ("x-api-key", "hunter2"),
        ("access-key", "hunter2"),
        ("text", "X-Api-Key: hunter2"),
        ("session_id", "hunter2"),
        ("authorization", ["hunter2"]),
        ("value", Secret("hunter2")),
        ("values", [Secret("hunter2"), {"a": Secret("hunter2")}]),
        ("settings", {"db": {"password": "hunter2"}, "token": "hunter2"}),
        ("pairs", {"headers": {"Authorization": "hunter2"}}),
        ("account", Account("ann", "hunter2")),
        ("accounts", [Account("ann", 'it\'s "hunter2" ')]),
        ("address", "mysql://root:hunter2@db/shop"),
        ("text", "GET /?access_token=hunter2&b=c"),
        ("text", "Authorization: hunter2"),
        ("text", '{"client_secret": "hunter2"}'),
    ],
)
def test_secrets_are_masked(name: str, value: Any) -> None:
    text = shown(name, value)
    assert "hunter2" not in text
    assert "***" in text


def test_the_rest_is_shown_short() -> None:
    assert shown("name", "ann") == "'ann'"
    assert shown("table", {"a": 1}) == "{'a': 1}"
    assert shown("bad", Bad()).startswith("<Bad instance at ")
    assert shown("worse", Worse()) == "<Worse: RuntimeError while it was shown>"
    assert len(shown("long", "x" * 10_000)) <= 400
    assert len(shown("long", list(range(10_000)))) <= 400
    assert len(shown("nested", [[["x" * 1000] * 100] * 100] * 100)) <= 400


def test_facts_of_a_request() -> None:
    asked = request("/a?token=x&b=c", {"Authorization": "Bearer x", "Cookie": "a=x", "Accept": "text/html"})
    asked.params = {"name": "ann"}
    asked.identity = Identity("bob")
    facts = request_facts(asked)
    assert facts["target"] == "/a?token=***&b=c"
    assert (facts["authorization"], facts["cookie"], facts["accept"]) == ("***", "***", "text/html")
    assert (facts["{name}"], facts["identity"], facts["client"]) == ("'ann'", "bob", "192.0.2.1")


def test_as_json() -> None:
    def fails() -> None:
        pieces = 3
        raise ValueError(f"not {pieces}")

    details = as_details(raised(fails), request())
    (error,) = details["errors"]
    assert (error["type"], error["text"]) == ("ValueError", "not 3")
    assert error["stack"][0]["source"] == 'raise ValueError(f"not {pieces}")'
    assert error["stack"][0]["locals"] == {"pieces": "3"}


# -- nothing of it can become a part of the page -------------------------------------------------------------------

TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "p",
    "h1",
    "h2",
    "main",
    "details",
    "summary",
    "span",
    "pre",
    "mark",
    "table",
    "tr",
    "td",
}
ATTRIBUTES = {"lang", "charset", "open"}


class Seen(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title><script>",
    "</style><script>",
    "</pre>&lt;",
    "<!--",
]


def page_with(attack: str) -> str:
    error = type(f"E{attack}", (Exception,), {})(attack)
    asked = request(f"/{attack}?{attack}", {"Accept": attack, "X-A": attack}, method="GET")
    asked.params = {attack: attack}
    asked.identity = Identity(attack)
    namespace: dict[str, Any] = {"error": error, "attack": attack}
    code = compile("def fails():\n    local = attack\n    raise error\nfails()\n", f"{attack}.py", "exec")
    try:
        exec(code, namespace)  # a file of that name in the stack
    except Exception as found:
        return as_page(found, asked, 500, "Internal Server Error")
    raise AssertionError


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks(attack: str) -> None:
    seen = Seen(page_with(attack))
    assert seen.tags <= TAGS
    assert seen.attributes <= ATTRIBUTES
    assert attack in seen.text


@given(st.text(st.sampled_from("<>\"'&/=ab!-;#x"), min_size=1, max_size=30))
def test_any_text(text: str) -> None:
    seen = Seen(page_with(text))
    assert seen.tags <= TAGS
    assert seen.attributes <= ATTRIBUTES


@given(st.text(max_size=200))
def test_hiding_never_fails(text: str) -> None:
    hidden(text)
    assert "hunter2" not in hidden(f"{text} password='hunter2'") or re.search(r"['\"\\]", text)


@pytest.mark.parametrize("text", ["a-" * 20_000, "secret" * 6_000, "secret " * 6_000, "://" * 10_000, "secret='" * 5_000])
def test_no_text_keeps_it_busy(text: str) -> None:
    assert len(hidden(text)) <= 8_000
