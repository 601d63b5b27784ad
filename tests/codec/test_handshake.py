from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.datastructures import Headers as WireHeaders
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.http11 import Response as WireResponse
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from greenimi.codec.deflate import Agreement, DeflateRules
from greenimi.codec.handshake import accept_key, check_upgrade
from greenimi.errors import BadMessage, MethodNotAllowed, Refusal
from greenimi.message import Request

GOOD = (
    ("Host", "example.org"),
    ("Upgrade", "websocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)


def request(*extra: tuple[str, str], without: str = "", method: str = "GET", version: str = "1.1") -> Request:
    fields = [field for field in GOOD if field[0] != without] + list(extra)
    head = "\r\n".join([f"{method} /chat HTTP/{version}", *(f"{name}: {value}" for name, value in fields), "", ""])
    return Request(method, "/chat", "/chat", "", head, version)


def test_the_example_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_good_request_goes_ahead() -> None:
    headers, subprotocol, _ = check_upgrade(request())
    assert headers == (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    assert subprotocol == ""


def test_names_are_case_insensitive_and_lists_may_be_spread() -> None:
    found = check_upgrade(
        request(("connection", "close"), ("Connection", " , UPGRADE"), ("UPGRADE", "h2c, WebSocket/13, WebSocket"), without="Upgrade")
    )
    assert found.subprotocol == ""


def test_a_client_of_other_people_accepts_the_answer() -> None:
    client = ClientProtocol(parse_uri("ws://example.org/chat"), subprotocols=[Subprotocol("v2"), Subprotocol("v1")])
    wire = client.connect()
    head = f"GET /chat HTTP/1.1\r\n{wire.headers}"
    headers, subprotocol, _ = check_upgrade(Request("GET", "/chat", "/chat", "", head), ["v1"])
    client.process_response(WireResponse(101, "Switching Protocols", WireHeaders(headers)))
    assert client.subprotocol == subprotocol == "v1"


def test_other_methods_are_not_allowed() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        check_upgrade(request(method="POST"))
    assert caught.value.headers == (("Allow", "GET"),)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (request(version="1.0"), "HTTP/1.1"),
        (request(without="Host"), "Host"),
        (request(("Host", "b")), "Host"),
        (request(("Host", ""), without="Host"), "Host"),
        (request(without="Sec-WebSocket-Key"), "Sec-WebSocket-Key"),
        (request(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")), "Sec-WebSocket-Key"),
        (request(("Sec-WebSocket-Key", "c2hvcnQ="), without="Sec-WebSocket-Key"), "Sec-WebSocket-Key"),
        (request(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ"), without="Sec-WebSocket-Key"), "Sec-WebSocket-Key"),
        (request(("Sec-WebSocket-Key", "dGhl IHNhbXBsZSBub25jZQ=="), without="Sec-WebSocket-Key"), "Sec-WebSocket-Key"),
        (request(("Sec-WebSocket-Key", "é" * 24), without="Sec-WebSocket-Key"), "Sec-WebSocket-Key"),
        (request(("Sec-WebSocket-Protocol", "a b")), "Sec-WebSocket-Protocol"),
        (request(("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b, a")), "Sec-WebSocket-Protocol"),
    ],
)
def test_bad_requests_name_the_header(bad: Request, named: str) -> None:
    with pytest.raises(BadMessage, match=named) as caught:
        check_upgrade(bad)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "other",
    [
        request(without="Upgrade"),
        request(without="Connection"),
        request(("Upgrade", "h2c"), without="Upgrade"),
        request(("Upgrade", "websocketx"), without="Upgrade"),
        request(("Connection", "keep-alive"), without="Connection"),
        request(without="Sec-WebSocket-Version"),
        request(("Sec-WebSocket-Version", "8"), without="Sec-WebSocket-Version"),
        request(("Sec-WebSocket-Version", "8")),
    ],
)
def test_what_is_wanted_instead_is_told(other: Request) -> None:
    with pytest.raises(Refusal) as caught:
        check_upgrade(other)
    assert caught.value.status == 426
    assert ("Sec-WebSocket-Version", "13") in caught.value.headers
    assert ("Upgrade", "websocket") in caught.value.headers


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        ("v2, v1", ["v1", "v2"], "v2"),
        ("v3,, v1 ,", ["v1", "v2"], "v1"),
        ("v3", ["v1"], ""),
        ("V1", ["v1"], ""),
        ("v1", [], ""),
    ],
)
def test_the_client_prefers_a_subprotocol(offered: str, spoken: Sequence[str], chosen: str) -> None:
    headers, subprotocol, _ = check_upgrade(request(("Sec-WebSocket-Protocol", offered)), spoken)
    assert subprotocol == chosen
    assert (("Sec-WebSocket-Protocol", chosen) in headers) == bool(chosen)


# -- compression ---------------------------------------------------------------------------------------------------

ALONE = DeflateRules()
WITH_CONTEXT = DeflateRules(context=True)
NEITHER = "server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offered", "rules", "answer", "agreed"),
    [
        ("permessage-deflate", ALONE, NEITHER, Agreement(12, 15, False, False)),
        ("permessage-deflate", WITH_CONTEXT, "", Agreement(12, 15, True, True)),
        ("permessage-deflate; client_max_window_bits", ALONE, f"{NEITHER}; client_max_window_bits=12", Agreement(12, 12, False, False)),
        ("permessage-deflate; client_max_window_bits=10", WITH_CONTEXT, "client_max_window_bits=10", Agreement(12, 10, True, True)),
        ('permessage-deflate; client_max_window_bits="8"', WITH_CONTEXT, "client_max_window_bits=8", Agreement(12, 8, True, True)),
        ("permessage-deflate ;server_max_window_bits = 10", WITH_CONTEXT, "server_max_window_bits=10", Agreement(10, 15, True, True)),
        ("permessage-deflate; server_max_window_bits=15", WITH_CONTEXT, "server_max_window_bits=12", Agreement(12, 15, True, True)),
        ("permessage-deflate; server_no_context_takeover", WITH_CONTEXT, "server_no_context_takeover", Agreement(12, 15, False, True)),
        ("permessage-deflate; client_no_context_takeover", WITH_CONTEXT, "client_no_context_takeover", Agreement(12, 15, True, False)),
        ("x-other; y=1, permessage-deflate", WITH_CONTEXT, "", Agreement(12, 15, True, True)),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", WITH_CONTEXT, "", Agreement(12, 15, True, True)),
    ],
)
def test_offers_of_compression(offered: str, rules: DeflateRules, answer: str, agreed: Agreement) -> None:
    found = check_upgrade(request(("Sec-WebSocket-Extensions", offered)), deflate=rules)
    assert found.deflate == agreed
    assert dict(found.headers)["Sec-WebSocket-Extensions"] == "; ".join(
        ["permessage-deflate", answer] if answer else ["permessage-deflate"]
    )


@pytest.mark.parametrize(
    "offered",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; unknown",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "",
        ",",
    ],
)
def test_offers_that_are_declined(offered: str) -> None:
    headers, _, agreed = check_upgrade(request(("Sec-WebSocket-Extensions", offered)), deflate=ALONE)
    assert agreed is None
    assert "Sec-WebSocket-Extensions" not in dict(headers)


@pytest.mark.parametrize("offered", ["permessage-deflate;", "permessage-deflate; =1", "a b", 'a; b="c', 'a; b=""', "a; b=c d", "ä"])
def test_what_is_no_list_of_extensions(offered: str) -> None:
    with pytest.raises(BadMessage, match="Extensions"):
        check_upgrade(request(("Sec-WebSocket-Extensions", offered)), deflate=ALONE)
    assert check_upgrade(request(("Sec-WebSocket-Extensions", offered))).deflate is None, "nobody who does not compress reads it"


@pytest.mark.parametrize("rules", [ALONE, WITH_CONTEXT])
@pytest.mark.parametrize(
    "wanted", [{}, {"server_max_window_bits": 10}, {"client_max_window_bits": 9}, {"client_no_context_takeover": True}]
)
def test_a_client_of_other_people_accepts_what_is_agreed_on(rules: DeflateRules, wanted: dict[str, Any]) -> None:
    client = ClientProtocol(parse_uri("ws://example.org/chat"), extensions=[ClientPerMessageDeflateFactory(**wanted)])
    head = f"GET /chat HTTP/1.1\r\n{client.connect().headers}"
    headers, _, agreed = check_upgrade(Request("GET", "/chat", "/chat", "", head), deflate=rules)
    client.process_response(WireResponse(101, "Switching Protocols", WireHeaders(headers)))
    (spoken,) = client.extensions
    assert isinstance(spoken, PerMessageDeflate)
    assert agreed is not None
    assert (spoken.remote_no_context_takeover, spoken.local_no_context_takeover) == (not agreed.context, not agreed.peer_context)
    assert spoken.remote_max_window_bits >= agreed.window
    assert spoken.local_max_window_bits <= agreed.peer_window
