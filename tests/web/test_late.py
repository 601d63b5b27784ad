"""Header fields that every answer of a request gets."""

from __future__ import annotations

from greenimi.message import Request, Response, Upgrade
from greenimi.web.late import add_late_field, late_fields


def request() -> Request:
    return Request("GET", "/", "/", "", "GET / HTTP/1.1\r\n\r\n")


def test_fields_are_added_to_whatever_is_answered() -> None:
    asked = request()

    def proceed(request: Request) -> Response:
        add_late_field(request, "Set-Cookie", "a=1")
        add_late_field(request, "Set-Cookie", "b=2")
        return Response("x", 404, headers=[("X-A", "1")])

    response = late_fields(asked, proceed)
    assert (response.status, response.body) == (404, "x")
    assert response.headers == (("X-A", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))


def test_a_response_that_is_given_to_all_stays_as_it_is() -> None:
    shared = Response("x")
    asked = request()
    add_late_field(asked, "Set-Cookie", "secret=1")
    assert late_fields(asked, lambda request: shared) is not shared
    assert shared.headers == ()
    assert late_fields(request(), lambda request: shared) is shared


def test_an_upgrade_stays_one() -> None:
    asked = request()
    add_late_field(asked, "X-A", "1")
    upgrade = Upgrade(lambda response, connection: None, [("X-B", "2")])
    answer = late_fields(asked, lambda request: upgrade)
    assert isinstance(answer, Upgrade)
    assert answer.switch is upgrade.switch
    assert answer.headers == (("X-B", "2"), ("X-A", "1"))
