"""What clients learn of errors, and the handlers that may say it differently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenimi.app import App
from greenimi.dispatch.failure import ask_handlers, describe
from greenimi.errors import (
    BadMessage,
    GreenimiError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    ProtocolError,
    Refusal,
    Refused,
    TooLarge,
    Unauthorized,
)
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import AppFactory
from tests.apps import echo, layered


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadMessage("x"), 400, 4400),
        (Unauthorized("x"), 401, 4401),
        (Refused("x"), 403, 4403),
        (NotFound("x"), 404, 4404),
        (TooLarge("x"), 413, 4413),
        (Overloaded("x"), 503, 1011),
        (Refusal("x", status=418), 418, 4418),
        (ProtocolError("x", status=431), 431, 4431),
    ],
)
def test_refusals_tell_their_text(error: Exception, status: int, code: int) -> None:
    found = describe(error, debug=False)
    assert (found.status, found.text, found.close_code) == (status, "x", code)


@pytest.mark.parametrize("error", [RuntimeError("the secret"), GreenimiError("the secret", hint="more secrets"), KeyError("the secret")])
def test_other_errors_tell_nothing_unless_debugging(error: Exception) -> None:
    found = describe(error, debug=False)
    assert (found.status, found.text, found.close_code) == (500, "the server failed", 1011)
    assert "the secret" in describe(error, debug=True).text


def test_timeouts() -> None:
    assert (describe(TimeoutError("the secret"), debug=False).status, describe(TimeoutError(), debug=False).text) == (
        504,
        "the server took too long",
    )


def test_problem_json() -> None:
    response = describe(MethodNotAllowed("no", ["GET"]), debug=False).response()
    assert (response.status, response.content_type, response.headers) == (405, "application/problem+json", (("Allow", "GET"),))
    assert response.body == b'{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"no","allow":["GET"]}'
    assert describe(Refusal("x", status=499), debug=False).title == "Error"


def test_details_cannot_change_the_status_of_the_answer() -> None:
    found = describe(Refused("no", details={"status": 200, "detail": "yes", "why": object}), debug=False)
    assert found.status == 403
    assert found.response().status == 403


def test_the_first_handler_that_answers() -> None:
    handlers: Any = [((KeyError,), lambda e, m: "key"), ((ValueError,), lambda e, m: None), ((Exception,), lambda e, m: "any")]
    assert [ask_handlers(handlers, error, None) for error in (KeyError(), ValueError(), OSError())] == ["key", "any", "any"]
    assert ask_handlers(handlers[:1], OSError(), None) is None


# -- through the doors ---------------------------------------------------------------------------------------------


def test_http(app_factory: AppFactory) -> None:
    with HttpClient(app_factory([echo], echo.CONF)) as web:
        answer = web.get("/fail")
        assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
        assert "secret" not in answer.text
        assert web.get("/late").status == 504
        answer = web.get("/refuse")
        assert (answer.status, answer.json()["detail"], answer.json()["until"]) == (403, "not today", "tomorrow")
        assert web.get("/nothing").json()["detail"] == "nothing at /nothing"


def test_debug_tells_the_text(app_factory: AppFactory) -> None:
    app = app_factory([echo], {**echo.CONF, "app": {"debug": True}})
    with HttpClient(app) as web, MessageClient(app, "till") as till:
        assert "the secret is 42" in web.get("/fail").text
        till.send({"action": "fail"})
        assert till.receive()["error"]["message"] == "RuntimeError: the secret is 42"


def test_unexpected_errors_are_logged_and_refusals_are_not(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    with HttpClient(app_factory([echo], echo.CONF)) as web:
        web.get("/refuse")
        assert caplog.text == ""
        web.get("/busy")
        assert "PoolTimeout: none was free" in caplog.text
        assert "Traceback" not in caplog.text
        web.get("/fail")
        assert "the secret is 42" in caplog.text


Connect = Callable[[App], Any]
DOORS = [lambda app: MessageClient(app, "till"), lambda app: DatagramClient(app, "beacon"), lambda app: WebSocketClient(app, "/talk")]


@pytest.mark.parametrize("connect", DOORS)
def test_handlers_of_errors_answer_on_every_door(app_factory: AppFactory, connect: Connect) -> None:
    with connect(app_factory([layered], layered.CONF)) as client:
        client.send({"action": "misfortune", "kind": "unlucky"})
        assert client.receive() == {"consolation": "bad luck"}
        assert client.request("misfortune", kind="unlucky") == {"consolation": "bad luck"}
        client.send({"action": "misfortune", "kind": "hopeless", "id": 9})
        assert client.receive() == {"id": 9, "error": {"code": 500, "message": "the server failed"}}
        layered.trace.clear()
        client.send({"action": "misfortune", "kind": "refused", "id": 10})
        assert client.receive() == {"id": 10, "error": {"code": 403, "message": "no"}}
        assert "watched" in layered.trace


@pytest.mark.parametrize("connect", DOORS)
def test_handlers_of_what_is_missing_answer_on_every_door(app_factory: AppFactory, connect: Connect) -> None:
    with connect(app_factory([layered], layered.CONF)) as client:
        client.send({"action": "nothing"})
        assert client.receive() == {"missing": "sorry"}
        client.send([1])
        assert client.receive() == {"missing": "sorry"}
        assert client.request("nothing") == {"missing": "sorry"}


def test_handlers_answer_over_http(app_factory: AppFactory) -> None:
    app = app_factory([layered], layered.CONF)
    with HttpClient(app) as web:
        answer = web.get("/misfortune/unlucky")
        assert (answer.status, answer.json()) == (200, {"consolation": "bad luck"})
        assert web.get("/misfortune/hopeless").status == 500
        assert web.get("/misfortune/refused").status == 403
        assert web.get("/misfortune/none").status == 204
        assert web.get("/nowhere").json() == {"missing": "sorry"}
    with HttpClient(app, "admin") as admin:
        assert admin.get("/nowhere").status == 404
