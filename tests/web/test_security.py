"""Fields that tell browsers to be careful."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi import Request, Response, get, http
from greenimi.errors import ConfigError
from greenimi.message import Upgrade
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web import csp_nonce
from greenimi.web.security import SecurityHeaders
from greenimi.web.settings import SecuritySettings
from tests.web.sent import request


def fields(settings: dict[str, Any], own: Response | None = None, *, secure: bool = False) -> dict[str, str]:
    found: Response = SecurityHeaders(SecuritySettings(**settings))(request(secure=secure), lambda request: own or Response("x"))
    assert len({name.lower() for name, _ in found.headers}) == len(found.headers)
    return dict(found.headers)


def test_by_default() -> None:
    assert fields({}) == {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": "frame-ancestors 'none'",
    }


def test_encryption_is_asked_for_where_there_is_some() -> None:
    assert fields({}, secure=True)["Strict-Transport-Security"] == "max-age=31536000"
    assert fields({"hsts": 60, "hsts_subdomains": True}, secure=True)["Strict-Transport-Security"] == "max-age=60; includeSubDomains"
    assert "Strict-Transport-Security" not in fields({"hsts": 0}, secure=True)


def test_frames() -> None:
    assert fields({"frames": "'self'"})["X-Frame-Options"] == "SAMEORIGIN"
    sites = fields({"frames": "https://shop.example"})
    assert sites["Content-Security-Policy"] == "frame-ancestors https://shop.example"
    assert "X-Frame-Options" not in sites
    assert fields({"frames": "", "referrer": "", "opener": "", "resource": ""}) == {"X-Content-Type-Options": "nosniff"}


def test_a_policy_of_ones_own() -> None:
    found = fields({"content": "default-src 'self';", "permissions": "camera=()"})
    assert found["Content-Security-Policy"] == "default-src 'self'; frame-ancestors 'none'"
    assert found["Permissions-Policy"] == "camera=()"
    own = "default-src 'self'; frame-ancestors https://shop.example"
    assert fields({"content": own})["Content-Security-Policy"] == own


def test_what_a_handler_says_itself_stands() -> None:
    own = Response("x", headers=[("content-security-policy", "sandbox"), ("X-Frame-Options", "SAMEORIGIN")])
    found = fields({}, own)
    assert (found["content-security-policy"], found["X-Frame-Options"]) == ("sandbox", "SAMEORIGIN")


def test_a_nonce_for_each_request() -> None:
    layer = SecurityHeaders(SecuritySettings(content="script-src 'nonce-{nonce}'"))

    def page(request: Request) -> Response:
        return Response(f"{csp_nonce(request)} {csp_nonce(request)}")

    seen = set()
    for _ in range(2):
        response = layer(request(), page)
        nonce, same = response.body.split()
        assert nonce == same
        assert f"script-src 'nonce-{nonce}';" in dict(response.headers)["Content-Security-Policy"]
        seen.add(nonce)
    assert len(seen) == 2
    unasked = dict(layer(request(), lambda request: Response("x")).headers)["Content-Security-Policy"]
    assert "{nonce}" not in unasked


def test_a_page_that_a_client_keeps_has_its_own_nonce() -> None:
    layer = SecurityHeaders(SecuritySettings(content="script-src 'nonce-{nonce}'"))
    kept = dict(layer(request(), lambda request: Response(b"", 304, "")).headers)
    assert "Content-Security-Policy" not in kept
    assert kept["X-Content-Type-Options"] == "nosniff"
    same = fields({"content": "default-src 'self'"}, Response(b"", 304, ""))
    assert same["Content-Security-Policy"].startswith("default-src 'self'")


def test_a_change_of_protocol_is_left_alone() -> None:
    upgrade = Upgrade(lambda response, connection: None, [])
    assert SecurityHeaders(SecuritySettings())(request(), lambda request: upgrade) is upgrade
    assert upgrade.headers == ()


def test_what_would_break_out_of_its_line() -> None:
    with pytest.raises(ConfigError):
        SecurityHeaders(SecuritySettings(content="default-src 'self'\r\nX-Evil: 1"))


@http
class Pages:
    @get("/broken")
    def broken(self) -> None:
        raise RuntimeError


def test_errors_have_them(app_factory: AppFactory) -> None:
    app = app_factory([Pages], {"servers": {"web": {"kind": "http", "security": {"enabled": True}}}})
    with HttpClient(app) as web:
        for path in ("/broken", "/nowhere"):
            assert web.get(path).headers["x-content-type-options"] == "nosniff"
