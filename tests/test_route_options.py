"""What decorators of controllers and routes may say."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi import marks
from greenimi.route_options import AddressOptions, ControllerOptions, RouteOptions


@pytest.mark.parametrize(
    ("decorator", "option", "text"),
    [
        ("get", "quary", "@get has no option 'quary'; did you mean query?"),
        ("route", "methosd", "@route has no option 'methosd'"),
        ("http", "query", "@http has no option 'query'"),
        ("resource", "prefix_", "@resource has no option 'prefix_'"),
        ("websocket", "max_body", "@websocket has no option 'max_body'"),
        ("delete", "server", "@delete has no option 'server'"),
    ],
)
def test_options_that_do_not_exist(decorator: str, option: str, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(marks, decorator)("/x", **{option: 1})
    assert str(caught.value) == text


NEED_BRACKETS = [
    marks.get,
    marks.route,
    marks.resource,
    marks.requires,
    marks.view,
    marks.inherit,
    marks.on_missing,
    marks.health_check,
]


@pytest.mark.parametrize("decorator", NEED_BRACKETS)
def test_decorators_that_need_their_brackets(decorator: Any) -> None:
    class Orders: ...

    with pytest.raises(TypeError, match=r"@\w+\("):
        decorator(Orders)


def test_what_answers_errors_names_them() -> None:
    def answer(error: Exception, message: object) -> str:
        return ""

    with pytest.raises(TypeError, match=r"write @on_error\(KeyError\), with its brackets"):
        marks.on_error(answer)  # type: ignore[arg-type]


def test_what_a_controller_says_its_routes_may_say_too() -> None:
    assert set(AddressOptions.__annotations__) < set(ControllerOptions.__annotations__) < set(RouteOptions.__annotations__)
