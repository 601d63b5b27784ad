"""An id for each request."""

from __future__ import annotations

import logging

import pytest

from greenimi import Request, Response, get, http
from greenimi.log.records import prepare
from greenimi.servers.entrance.trusted import Trusted
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.requestid import RequestIds
from tests.web.sent import request

LAYER = RequestIds("X-Request-ID", Trusted(["10.0.0.0/8"]))


def given(sent: str, address: str = "10.0.0.1") -> str:
    asked = request(headers={"X-Request-ID": sent} if sent else {}, address=(address, 1))
    response: Response = LAYER(asked, lambda request: Response(request.id))
    assert dict(response.headers) == {"X-Request-ID": asked.id}
    assert response.body == asked.id
    return asked.id


def test_each_has_its_own() -> None:
    assert given("") != given("")
    assert len(given("")) == 32
    assert request().id == ""


@pytest.mark.parametrize("sent", ["7f3a-9", "a.b_c~d", "Root=1-67891233-abcdef012345678912345678", "x" * 128])
def test_a_trusted_proxy_may_say_it(sent: str) -> None:
    assert given(sent) == sent


@pytest.mark.parametrize("sent", ["a b", "a,b", 'x"', "<x>", "ü", "x" * 129])
def test_but_not_just_anything(sent: str) -> None:
    assert given(sent) != sent


def test_a_client_may_not() -> None:
    assert given("chosen", "192.0.2.1") != "chosen"


@http
class Pages:
    @get("/page")
    def page(self, request: Request) -> str:
        logging.getLogger("shop").warning("seen")
        return request.id

    @get("/broken")
    def broken(self) -> None:
        raise RuntimeError


def test_in_the_answer_and_on_log_records(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(prepare)
    app = app_factory([Pages], {"servers": {"web": {"kind": "http", "request_id": {"enabled": True, "header": "X-Id"}}}})
    with HttpClient(app) as web:
        page = web.get("/page")
        assert page.text == page.headers["x-id"]
        assert [record.message_id for record in caplog.records if record.name == "shop"] == [page.text]  # type: ignore[attr-defined]
        assert len(web.get("/broken").headers["x-id"]) == 32
