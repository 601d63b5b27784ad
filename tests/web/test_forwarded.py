"""Which of the proxies' words are believed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi import get, http
from greenimi.errors import BadMessage, ConfigError
from greenimi.message import Request
from greenimi.servers.entrance.trusted import Trusted
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.forwarded import FIELDS, Forwarded, address_in, check_forwarded, parse_forwarded

PROXIES = Trusted(["10.0.0.0/8", "2001:db8:1::/48", "unix"])
OWN = FIELDS[1:]


class Connection(NamedTuple):
    address: Any
    secure: bool = False


def told(fields: Iterable[tuple[str, str]], believed: Iterable[str] = OWN, peer: Any = ("10.0.0.1", 1), *, secure: bool = False) -> Request:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    request = Request("GET", "/", "/", "", f"GET / HTTP/1.1\r\nHost: inner:8000\r\n{lines}\r\n", connection=Connection(peer, secure))  # type: ignore[arg-type]
    layer = Forwarded(list(believed), PROXIES)
    assert layer(request, lambda request: "answer") == "answer"
    return request


def where(request: Request) -> tuple[str, str, str, str]:
    return request.client, request.scheme, request.host, request.prefix


def test_nobody_else_is_believed() -> None:
    fields = [("X-Forwarded-For", "192.0.2.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")]
    assert where(told(fields, peer=("192.0.2.1", 1))) == ("192.0.2.1", "http", "inner:8000", "")
    assert where(told([("Forwarded", "for=192.0.2.9;proto=https")], ["forwarded"], ("192.0.2.1", 1))) == (
        "192.0.2.1",
        "http",
        "inner:8000",
        "",
    )


def test_fields_that_the_proxy_does_not_set_are_not_looked_at() -> None:
    fields = [("X-Forwarded-For", "192.0.2.9"), ("X-Forwarded-Host", "evil.example"), ("Forwarded", "for=192.0.2.7;host=evil.example")]
    assert where(told(fields, ["x-forwarded-for"])) == ("192.0.2.9", "http", "inner:8000", "")
    assert where(told(fields[:2], ["forwarded"])) == ("10.0.0.1", "http", "inner:8000", "")


def test_everything_that_one_proxy_tells() -> None:
    fields = [
        ("X-Forwarded-For", "192.0.2.9"),
        ("X-Forwarded-Proto", "HTTPS"),
        ("X-Forwarded-Host", "shop.example"),
        ("X-Forwarded-Port", "8443"),
        ("X-Forwarded-Prefix", "/shop/"),
    ]
    request = told(fields)
    assert where(request) == ("192.0.2.9", "https", "shop.example:8443", "/shop")
    assert request.url == "https://shop.example:8443/shop/"


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("6.6.6.6, 192.0.2.9", "192.0.2.9"),  # what a client sent itself stands on the left
        ("6.6.6.6, 192.0.2.9, 10.1.1.1", "192.0.2.9"),
        ("6.6.6.6, 192.0.2.9, 2001:db8:1::5, 10.1.1.1", "192.0.2.9"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9"),  # all of them trusted: the outermost
        ("192.0.2.9:4711", "192.0.2.9"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("6.6.6.6, unknown, 10.1.1.1", "10.1.1.1"),  # the last that is known
        ("6.6.6.6, <script>", "10.0.0.1"),
        ("", "10.0.0.1"),
        (",,", "10.0.0.1"),
    ],
)
def test_the_walk_from_the_right(chain: str, client: str) -> None:
    assert told([("X-Forwarded-For", chain)]).client == client
    if chain.strip(","):
        elements = ", ".join(f'for="{hop.strip()}"' for hop in chain.split(","))
        assert told([("Forwarded", elements)], ["forwarded"]).client == client


def test_several_fields_of_a_name_are_one_list() -> None:
    assert told([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.9")]).client == "192.0.2.9"
    assert told([("Forwarded", "for=6.6.6.6"), ("Forwarded", "for=192.0.2.9")], ["forwarded"]).client == "192.0.2.9"


def test_of_a_chain_the_proxy_that_the_client_spoke_to_tells_how() -> None:
    chain = ("X-Forwarded-For", "6.6.6.6, 192.0.2.9, 10.1.1.1")
    assert told([chain, ("X-Forwarded-Proto", "http, https, http")]).scheme == "https"
    assert told([chain, ("X-Forwarded-Proto", "https")]).scheme == "https"
    elements = "for=6.6.6.6;proto=http, for=192.0.2.9;proto=https;host=shop.example, for=10.1.1.1;proto=http;host=inner"
    assert where(told([("Forwarded", elements)], ["forwarded"])) == ("192.0.2.9", "https", "shop.example", "")


@pytest.mark.parametrize(
    "field",
    [
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Host", "evil.example/path"),
        ("X-Forwarded-Host", 'x"><script>'),
        ("X-Forwarded-Port", "80a"),
        ("X-Forwarded-Port", "999999"),
        ("X-Forwarded-Port", "\xb2"),
        ("X-Forwarded-Prefix", "//evil.example"),
        ("X-Forwarded-Prefix", "evil"),
        ("X-Forwarded-Prefix", "/a b"),
    ],
)
def test_nonsense_is_not_taken(field: tuple[str, str]) -> None:
    assert where(told([field])) == ("10.0.0.1", "http", "inner:8000", "")


def test_a_port_alone_goes_to_the_host_that_was_asked_for() -> None:
    assert told([("X-Forwarded-Port", "443")]).host == "inner:443"
    assert told([("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "https")]).host == "inner"
    assert told([("X-Forwarded-Port", "80")]).host == "inner"
    assert told([("X-Forwarded-Port", "443"), ("X-Forwarded-Host", "[2001:db8::1]:80")]).host == "[2001:db8::1]:443"


def test_a_proxy_on_a_unix_socket() -> None:
    assert where(told([("X-Forwarded-For", "192.0.2.9")], peer="")) == ("192.0.2.9", "http", "inner:8000", "")
    stranger = Request("GET", "/", "/", "", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n", connection=Connection(""))  # type: ignore[arg-type]
    Forwarded(OWN, Trusted(["10.0.0.0/8"]))(stranger, lambda request: None)
    assert stranger.client == ""


def test_tls_to_the_proxy_itself_counts_where_it_says_nothing() -> None:
    assert told([("X-Forwarded-For", "192.0.2.9")], secure=True).scheme == "https"
    assert told([("X-Forwarded-Proto", "http")], secure=True).scheme == "http"


def test_parts_of_forwarded() -> None:
    hops = parse_forwarded('For="[2001:db8:cafe::17]:4711";Proto=HTTPS ; host="a\\.example:80",for=_hidden;by=203.0.113.60')
    assert [tuple(hop) for hop in hops] == [("[2001:db8:cafe::17]:4711", "https", "a.example:80"), ("_hidden", "", "")]
    assert address_in("_hidden") == ""
    assert parse_forwarded("") == []
    assert [tuple(hop) for hop in parse_forwarded(" , ;, for=a;, ")] == [("a", "", "")]


@pytest.mark.parametrize("text", ['for="192.0.2.9, for=10.0.0.1', "for", "for=", "for=a for=b", "for=a;for=b", 'for="a"b', "=a", "for =a"])
def test_a_malformed_forwarded_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        told([("Forwarded", text)], ["forwarded"])


@pytest.mark.parametrize("text", [f"for=a;{' ' * 300_000}b", f"for=a{' ' * 300_000}b", f"{' ;' * 300_000}b", f'for="{"a" * 300_000}'])
def test_what_is_made_to_take_long_does_not(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_forwarded(text)


@http
class Pages:
    @get("/where")
    def where(self, request: Request) -> list[str]:
        return [request.client, request.scheme]


def test_a_malformed_one_is_answered_like_any_bad_request(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenimi.access")
    conf = {
        "kind": "http",
        "trusted": ["127.0.0.1"],
        "forwarded": ["forwarded"],
        "access_log": {"format": "common"},
        "security": {"enabled": True},
    }
    with HttpClient(app_factory([Pages], {"servers": {"web": conf}})) as web:
        refused = web.get("/where", headers={"Forwarded": 'for="'})
        assert (refused.status, refused.headers["x-content-type-options"]) == (400, "nosniff")
        found = web.get("/where", headers={"Forwarded": "for=192.0.2.9;proto=https"})
        assert found.json() == ["192.0.2.9", "https"]
        assert "strict-transport-security" in found.headers
    logged = [record.getMessage() for record in caplog.records if record.name == "greenimi.access"]
    assert [line.split()[0] for line in logged] == ["127.0.0.1", "192.0.2.9"]
    assert '" 400 ' in logged[0]


@given(st.text(st.sampled_from('for=;,"\\ []:.1a_'), max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        hops = parse_forwarded(text)
    except BadMessage:
        return
    assert all(isinstance(hop.client, str) for hop in hops)


def test_what_a_client_sends_never_moves_what_the_proxy_appends() -> None:
    @given(st.text(st.sampled_from('for=;,"\\ []:.1a_'), max_size=40))
    def check(sent: str) -> None:
        try:
            assert told([("Forwarded", f"{sent}, for=192.0.2.9")], ["forwarded"]).client == "192.0.2.9"
        except BadMessage:
            pass
        assert told([("X-Forwarded-For", f"{sent}, 192.0.2.9")]).client == "192.0.2.9"

    check()


@pytest.mark.parametrize(
    ("fields", "trusted", "problem"),
    [
        (["x-forwarded-fro"], ["::1"], "no field 'x-forwarded-fro'"),
        (["forwarded", "x-forwarded-for"], ["::1"], "or the x-forwarded"),
        (["forwarded"], [], "no proxy is trusted"),
    ],
)
def test_settings_that_cannot_be_meant(fields: list[str], trusted: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check_forwarded(fields, trusted)
    check_forwarded([], [])
    check_forwarded(["forwarded"], ["::1"])
