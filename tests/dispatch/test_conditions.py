"""What a route asks of a request, one condition at a time."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.dispatch.conditions import Conditions, Domain, conditions_from, media_type, rule_tests, takes
from greenimi.errors import BadMessage, StartError
from greenimi.message import Request


def request(query: str = "", body: bytes = b"", **headers: str) -> Request:
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    made = Request("POST", f"/?{query}", "/", query, f"POST / HTTP/1.1\r\n{fields}\r\n")
    made.raw = body
    return made


def with_json(value: Any) -> Request:
    return request(body=json.dumps(value).encode(), content_type="application/json; charset=utf-8")


def form(text: str) -> Request:
    return request(body=text.encode(), content_type="application/x-www-form-urlencoded")


def hold(found: Request, **options: Any) -> bool:
    light, heavy = rule_tests(conditions_from(options).rules)
    return all(test(found) for test in [*light, *heavy])


# -- rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "query", "holds"),
    [
        ("id=100", "id=100", True),
        ("id=100", "id=0100", False),
        ("id=100", "", False),
        ("id=100", "id=100&id=7", False),  # the last counts, as for arguments
        ("id=100", "id=7&id=100", True),
        ("id!=100", "id=7", True),
        ("id!=100", "id=100", False),
        ("id!=100", "", True),
        ("id<>100", "id=100", False),
        ("id", "id=", True),
        ("id", "other=1", False),
        ("!id", "other=1", True),
        ("!id", "", True),
        ("!id", "id=", False),
        ("id=", "id=", True),
        ("id=a=b", "id=a=b", True),
        ("id=a b", "id=a+b", True),
        ({"id": "[0-9]+"}, "id=12", True),
        ({"id": "[0-9]+"}, "id=12x", False),
        ({"id": "[0-9]+"}, "", False),
        (["id=1", "!draft"], "id=1", True),
        (["id=1", "!draft"], "id=1&draft", False),
        (["id=1", {"name": "a.*", "x": "."}], "id=1&name=ab&x=y", True),
        (["id=1", {"name": "a.*", "x": "."}], "id=1&name=ab&x=yy", False),
    ],
)
def test_rules_of_the_query(rule: Any, query: str, holds: bool) -> None:
    assert hold(request(query), query=rule) is holds


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("x-version=2", True),
        ("X-VERSION=2", True),
        ("x-version=3", False),
        ({"accept": "text/.*"}, True),
        ("!x-other", True),
        ("!accept", False),
    ],
)
def test_rules_of_header_fields(rule: Any, holds: bool) -> None:
    assert hold(request(X_Version="2", Accept="text/html"), header=rule) is holds


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("kind=tea", True),
        ("kind=coffee", False),
        ("order.lines.1.sku=b", True),
        ("order.lines.2.sku=b", False),
        ("order.lines", True),
        ("!order.lines", False),
        ("!order.none", True),
        ("order.lines=x", False),  # no text is equal to a list
        ("order.lines!=x", True),
        ({"order.lines": ".*"}, False),
        ("pieces=3", True),
        ("price=2.5", True),
        ("paid=true", True),
        ("paid=True", False),
        ("note=null", True),
        ("note", True),
        ({"pieces": "[0-9]"}, True),
        ({"kind": "T.*"}, False),
    ],
)
def test_rules_of_the_body(rule: Any, holds: bool) -> None:
    body = {"kind": "tea", "pieces": 3, "price": 2.5, "paid": True, "note": None, "order": {"lines": [{"sku": "a"}, {"sku": "b"}]}}
    assert hold(with_json(body), body=rule) is holds


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_a_body_without_fields_has_none(body: Any) -> None:
    assert hold(with_json(body), body="!kind")
    assert not hold(with_json(body), body="kind")


def test_forms_and_other_bodies_are_told_apart() -> None:
    assert hold(form("kind=tea&kind=coffee"), form="kind=coffee")
    assert not hold(form("kind=tea"), body="kind=tea")
    assert not hold(with_json({"kind": "tea"}), form="kind=tea")
    assert hold(with_json({"kind": "tea"}), form="!kind")
    assert hold(request(), form="!kind", body=["!kind", "kind!=tea"])  # there is no body at all
    assert not hold(request(content_type="application/json"), body="kind")


def test_the_body_is_there_again_for_the_handler() -> None:
    found = with_json({"kind": "tea"})
    assert hold(found, body="kind=tea")
    assert (found.data, found.body()) == ({"kind": "tea"}, b'{"kind": "tea"}')


def test_what_cannot_be_read_is_told() -> None:
    with pytest.raises(BadMessage):
        hold(request(body=b"{", content_type="application/json"), body="kind")
    with pytest.raises(BadMessage):
        hold(request("a=%FF"), query="a")


@pytest.mark.parametrize("source", ["query", "form", "body", "header"])
@pytest.mark.parametrize("rule", ["", "=1", "!", "!id=1", "a b", {"id": "("}])
def test_rules_that_cannot_be_read(source: str, rule: Any) -> None:
    with pytest.raises(StartError, match=r"cannot be read|no regular expression"):
        conditions_from({source: rule})


# -- the host ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "host", "values"),
    [
        ("shop.example.org", "shop.example.org", {}),
        ("shop.example.org", "SHOP.Example.org:8000", {}),
        ("Shop.example.org", "shop.example.org.", {}),
        ("shop.example.org", "shop.example.org.evil.com", None),
        ("shop.example.org", "shopxexample.org", None),
        ("{tenant}.example.org", "a-1.example.org", {"tenant": "a-1"}),
        ("{tenant}.example.org", "A.example.org", {"tenant": "a"}),
        ("{tenant}.example.org", "a.b.example.org", None),
        ("{tenant}.example.org", ".example.org", None),
        ("{tenant}.example.org", "example.org", None),
        ("{tenant:[a-z.]+}.example.org", "a.b.example.org", {"tenant": "a.b"}),
        ("{tenant:[a-z]{2}}.example.org", "ab.example.org", {"tenant": "ab"}),
        ("s{shard:int}.{zone}.example.org", "s12.eu.example.org", {"shard": 12, "zone": "eu"}),
        ("{id:uuid}.example.org", "12345678-1234-1234-1234-1234567890ab.example.org", {"id": UUID("123456781234123412341234567890ab")}),
        ("{host}", "localhost:80", {"host": "localhost"}),
        ("{host}", "[::1]:80", None),
    ],
)
def test_domains(domain: str, host: str, values: dict[str, Any] | None) -> None:
    assert Domain(domain).match(host) == values


@pytest.mark.parametrize("domain", ["a.org:80", "http://a.org", "a.org/x", "bücher.example", "a b", "{a", "{x:path}", "{a:(}.org", "a@b"])
def test_what_is_no_domain(domain: str) -> None:
    with pytest.raises(StartError):
        conditions_from({"domain": domain})


def test_a_host_is_rendered_only_of_what_can_stand_in_one() -> None:
    domain = Domain("{tenant}.example.org")
    assert domain.render({"tenant": "shop"}) == "shop.example.org"
    for value in ("evil.com/", "a.b", "", "a@b", "a:1"):
        with pytest.raises(ValueError, match="tenant"):
            domain.render({"tenant": value})
    with pytest.raises(ValueError, match="no host"):
        Domain("{any:.+}.example.org").render({"any": "evil.com/"})


# -- media types ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consumes", "kind", "taken"),
    [
        ("application/json", "application/json", True),
        ("application/json", "Application/JSON; charset=utf-8", True),
        ("Application/Json", "application/json", True),
        ("application/json", "application/jsonx", False),
        ("application/json", "", False),
        ("image/*", "image/png", True),
        ("image/*", "imagex/png", False),
        ("application/*+json", "application/problem+json", True),
        ("application/*+json", "application/json", False),
        ("*/*", "text/plain", True),
        ("*/*", "", False),
        (("text/plain", "image/*"), "image/gif", True),
        (("text/plain", "image/*"), "text/html", False),
    ],
)
def test_media_types(consumes: Any, kind: str, taken: bool) -> None:
    found = request(content_type=kind) if kind else request()
    assert takes(conditions_from({"consumes": consumes}).consumes)(found) is taken


@pytest.mark.parametrize("kind", ["json", "*/json", "text/", "text/plain; charset=utf-8", "text/*x", "a b/c", ""])
def test_what_is_no_media_type(kind: str) -> None:
    with pytest.raises(StartError, match="is no media type"):
        conditions_from({"consumes": kind})


def test_the_media_type_of_a_request() -> None:
    assert [media_type(request(content_type=kind)) for kind in ("Text/HTML ; x=1", "")] == ["text/html", ""]


# -- comparing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        ({}, {}, True),
        ({}, {"query": "id"}, True),
        ({"query": "id"}, {}, False),
        ({"query": "id"}, {"query": ["id", "x=1"]}, True),
        ({"query": "id"}, {"query": "id=1"}, False),  # it does, but that is not looked into
        ({"query": ["b", "a"]}, {"query": ["a", "b"]}, True),
        ({"query": "id"}, {"header": "id"}, False),
        ({"domain": "{a}.org"}, {"domain": "{b}.org"}, True),
        ({"domain": "{a}.org"}, {"domain": "x.org"}, False),
        ({}, {"domain": "x.org"}, True),
        ({"domain": "x.org"}, {"domain": "X.org"}, True),
        ({"consumes": "text/*"}, {"consumes": ("text/plain", "text/html")}, True),
        ({"consumes": "text/*"}, {"consumes": ("text/plain", "image/png")}, False),
        ({"consumes": "*/*"}, {"consumes": "text/*"}, True),
        ({"consumes": "text/plain"}, {"consumes": "text/*"}, False),
        ({"consumes": "application/*+json"}, {"consumes": "application/a+json"}, True),
        ({"consumes": "*/*"}, {}, False),  # a request without a body has no type
    ],
)
def test_conditions_that_cover_others(one: dict[str, Any], other: dict[str, Any], covers: bool) -> None:
    assert conditions_from(one).covers(conditions_from(other)) is covers


RULES = st.lists(st.sampled_from(["a", "!a", "a=1", "a!=1", "b", "b=2"]), max_size=3)


@given(RULES, RULES, st.sampled_from(["", "a=1", "a=2", "b=2", "a=1&b=2", "b=1"]))
def test_what_is_covered_never_holds_alone(one: list[str], other: list[str], query: str) -> None:
    if conditions_from({"query": one}).covers(conditions_from({"query": other})) and hold(request(query), query=other):
        assert hold(request(query), query=one)


def test_conditions_in_words() -> None:
    found = conditions_from(
        {"domain": "{a}.org", "query": ["id=1", "!x"], "header": "X-A", "body": {"a.b": "c+"}, "consumes": ("text/*", "a/b")}
    )
    assert found.described() == ["domain {a}.org", "query id=1", "query !x", "header x-a", "body a.b~c+", "consumes text/* or a/b"]
    assert found
    assert not Conditions()
    assert conditions_from({}).described() == []
