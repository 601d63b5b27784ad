"""Which other sites' pages may use a server."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from greenimi import Response, get, http
from greenimi.errors import ConfigError
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.web.cors import Cors
from greenimi.web.settings import CorsSettings
from tests.web.sent import request

SHOP = "https://shop.example"
ASKED = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type, x-token"}


def answer(
    settings: dict[str, Any], origin: str | None, more: dict[str, str] | None = None, *, method: str = "GET", own: Response | None = None
) -> dict[str, str]:
    """The fields that the layer adds to a Response, or answers with."""
    sent = {"Origin": origin, **(more or {})} if origin is not None else {}
    response: Response = Cors(CorsSettings(**settings))(request("/", sent, method=method), lambda request: own or Response("x"))
    return {name.lower().removeprefix("access-control-"): value for name, value in response.headers}


def preflight(settings: dict[str, Any], origin: str, more: dict[str, str] | None = None) -> dict[str, str]:
    return answer(settings, origin, {**ASKED, **(more or {})}, method="OPTIONS")


@pytest.mark.parametrize(
    ("listed", "origin", "allowed"),
    [
        (SHOP, SHOP, True),
        (SHOP, "http://shop.example", False),
        (SHOP, "https://shop.example:8443", False),
        (SHOP, "https://shop.example.evil", False),
        (SHOP, "https://evilshop.example", False),
        (SHOP, "https://shopxexample", False),
        (SHOP, f"{SHOP}\n", False),
        (SHOP, "null", False),
        (SHOP, "", False),
        ("https://*.shop.example", "https://a.shop.example", True),
        ("https://*.shop.example", "https://a.b.shop.example", True),
        ("https://*.shop.example", SHOP, False),
        ("https://*.shop.example", "https://evil.example/.shop.example", False),
        ("https://*.shop.example", "https://evil@a.shop.example", False),
        ("https://*.shop.example:8443", "https://a.shop.example:8443", True),
        (r"/https://shop-\d+\.example/", "https://shop-17.example", True),
        (r"/https://shop-\d+\.example/", "https://shop-17.example.evil", False),
        (r"/a|b/", "ab", False),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]:80", True),
        ("app://localhost", "app://localhost", True),
    ],
)
def test_origins(listed: str, origin: str, allowed: bool) -> None:
    found = answer({"origins": [listed]}, origin)
    assert found == ({"vary": "Origin", "allow-origin": origin} if allowed else {"vary": "Origin"})


def test_a_request_of_no_page() -> None:
    assert answer({"origins": [SHOP]}, None) == {"vary": "Origin"}


def test_any_origin() -> None:
    assert answer({"origins": ["*"]}, "https://anybody.example") == {"allow-origin": "*"}
    assert answer({"origins": ["*"]}, None) == {"allow-origin": "*"}  # a cache may give it to a page later
    assert answer({"origins": ["*"]}, None, method="OPTIONS") == {"allow-origin": "*"}


def test_credentials_and_exposed_fields() -> None:
    settings = {"origins": [SHOP], "credentials": True, "expose": ["X-Total", "ETag"]}
    assert answer(settings, SHOP) == {
        "vary": "Origin",
        "allow-origin": SHOP,
        "allow-credentials": "true",
        "expose-headers": "X-Total, ETag",
    }
    assert answer(settings, "https://evil.example") == {"vary": "Origin"}


def test_what_a_handler_allows_itself_stands() -> None:
    own = Response("x", headers=[("Access-Control-Allow-Origin", "https://other.example")])
    assert answer({"origins": [SHOP]}, SHOP, own=own) == {"vary": "Origin", "allow-origin": "https://other.example"}


def test_a_preflight() -> None:
    assert preflight({"origins": [SHOP], "max_age": 60, "credentials": True}, SHOP) == {
        "allow-origin": SHOP,
        "allow-credentials": "true",
        "allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "allow-headers": "Content-Type, Authorization",
        "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        "max-age": "60",
    }


def test_a_preflight_of_a_stranger_is_any_other_request() -> None:
    assert preflight({"origins": [SHOP]}, "https://evil.example") == {"vary": "Origin"}
    assert answer({"origins": [SHOP]}, SHOP, method="OPTIONS") == {"vary": "Origin", "allow-origin": SHOP}  # asks for nothing


def test_any_field_may_be_sent() -> None:
    settings = {"origins": [SHOP], "headers": ["*"]}
    assert preflight(settings, SHOP)["allow-headers"] == "content-type, x-token"
    assert "allow-headers" not in preflight(settings, SHOP, {"Access-Control-Request-Headers": "a b"})
    assert "allow-headers" not in preflight(settings, SHOP, {"Access-Control-Request-Headers": ""})


def test_private_networks() -> None:
    wish = {"Access-Control-Request-Private-Network": "true"}
    assert "allow-private-network" not in preflight({"origins": [SHOP]}, SHOP, wish)
    settings = {"origins": [SHOP], "private_network": True}
    assert preflight(settings, SHOP, wish)["allow-private-network"] == "true"
    assert "allow-private-network" not in preflight(settings, SHOP)


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/", "https://*", "https://a*.shop.example", "null", "/(/", "https://shop.example\r\nx"]
)
def test_origins_that_cannot_be_meant(origin: str) -> None:
    with pytest.raises(ConfigError):
        Cors(CorsSettings(origins=[origin]))


def test_no_credentials_from_anybody() -> None:
    with pytest.raises(ConfigError, match="not for any origin"):
        Cors(CorsSettings(origins=["*"], credentials=True))


# -- on a server ---------------------------------------------------------------------------------------------------

_SHARED = Response("x")


@http
class Pages:
    @get("/page")
    def page(self) -> str:
        return "page"

    @get("/broken")
    def broken(self) -> None:
        raise RuntimeError

    @get("/shared")
    def shared(self) -> Response:
        return _SHARED


CONF = {"servers": {"web": {"kind": "http", "cors": {"origins": [SHOP]}}}}


def test_errors_can_be_read_as_well(app_factory: AppFactory) -> None:
    with HttpClient(app_factory([Pages], CONF)) as web:
        for path, status in (("/page", 200), ("/nowhere", 404), ("/broken", 500)):
            found = web.get(path, headers={"Origin": SHOP})
            assert (found.status, found.headers["access-control-allow-origin"]) == (status, SHOP)
            assert "access-control-allow-origin" not in web.get(path, headers={"Origin": "https://evil.example"}).headers


def test_an_answer_that_all_get_keeps_nothing_of_one(app_factory: AppFactory) -> None:
    with HttpClient(app_factory([Pages], CONF)) as web:
        assert web.get("/shared", headers={"Origin": SHOP}).headers["access-control-allow-origin"] == SHOP
        assert "access-control-allow-origin" not in web.get("/shared").headers
    assert _SHARED.headers == ()


def test_mistakes_in_conf_name_their_place(app_factory: AppFactory) -> None:
    with pytest.raises(ConfigError, match=r"servers\.web\.cors: 'shop\.example' is no origin"):
        app_factory([Pages], {"servers": {"web": {"kind": "http", "cors": {"origins": ["shop.example"]}}}})


@pytest.mark.live
def test_curl(serve: Serve) -> None:
    host, port = serve([Pages], CONF).addresses["web"]

    def curl(*options: str) -> str:
        command = ["curl", "-s", "-D", "-", "-o", "/dev/null", *options, f"http://{host}:{port}/page"]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout

    asked = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: PUT")
    allowed = curl(*asked, "-H", f"Origin: {SHOP}")
    assert allowed.startswith("HTTP/1.1 204 ")
    assert f"Access-Control-Allow-Origin: {SHOP}\n" in allowed.replace("\r\n", "\n")
    assert "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE" in allowed
    assert "Access-Control-" not in curl(*asked, "-H", "Origin: https://evil.example")
    assert f"Access-Control-Allow-Origin: {SHOP}" in curl("-H", f"Origin: {SHOP}")
    assert "Access-Control-" not in curl("-H", "Origin: https://evil.example")
