"""What the values of handlers become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from greenimi import Response, get, http, layers, post, view
from greenimi.app import App
from greenimi.container.onion import Proceed
from greenimi.errors import ConfigError, StartError
from greenimi.message import Request
from greenimi.testing.clients import HttpClient, TestResponse
from greenimi.testing.plugin import AppFactory
from greenimi.web.views import DefaultViewLayer, ViewLayer, ViewOptions, media_type_of
from tests.web.asking import asking

VALUE = {"a": 1}


def shown(*kinds: str, accept: str = "", value: Any = VALUE, **options: Any) -> Response:
    found = ViewLayer(kinds, ViewOptions(**options))(asking(accept=accept), lambda request: value)
    assert isinstance(found, Response)
    return found


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("json", "application/json", b'{"a":1}'),
        ("xml", "application/xml; charset=utf-8", '<?xml version="1.0" encoding="UTF-8"?>\n<response><a>1</a></response>\n'),
        ("text", "text/plain; charset=utf-8", '{\n  "a": 1\n}'),
        ("msgpack", "application/vnd.msgpack", msgspec.msgpack.encode(VALUE)),
    ],
)
def test_a_view_of_one_kind(kind: str, content_type: str, body: bytes | str) -> None:
    found = shown(kind, accept="image/png")  # it is not asked for
    assert (found.status, found.content_type, found.body, found.headers) == (200, content_type, body, ())


def test_options() -> None:
    assert shown("json", indent=2, sort=True, value={"b": 1, "a": 2}).body == b'{\n  "a": 2,\n  "b": 1\n}'
    assert "<order>" in str(shown("xml", root="order").body)


def test_html_is_text_that_is_html_already() -> None:
    found = shown("html", value="<p>hello</p>")
    assert (found.content_type, found.body) == ("text/html; charset=utf-8", "<p>hello</p>")
    with pytest.raises(TypeError, match="name a template"):
        shown("html")


def test_what_is_rendered_already_gets_the_type() -> None:
    assert shown("json", value=b"{}").body == b"{}"
    parts = iter(["<p>", "</p>"])
    found = shown("html", value=parts)
    assert (found.body, found.content_type) == (parts, "text/html; charset=utf-8")


def test_responses_and_none_are_left_alone() -> None:
    response = Response("x")
    for kinds in (("json",), ("json", "xml")):
        layer = ViewLayer(kinds, ViewOptions())
        assert layer(asking(), lambda request: response) is response
        assert layer(asking(), lambda request: None) is None


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/xml", "application/xml; charset=utf-8"),
        ("text/xml", "application/xml; charset=utf-8"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/json;q=0.2, application/xml;q=0.3", "application/xml; charset=utf-8"),
        ("application/x-msgpack", "application/vnd.msgpack"),
        ("text/plain;q=0.1, application/msgpack;q=0", "text/plain; charset=utf-8"),
        ("application/*;q=0.5, text/*", "application/xml; charset=utf-8"),
    ],
)
def test_a_client_chooses(accept: str, content_type: str) -> None:
    found = shown("json", "xml", "msgpack", "text", accept=accept)
    assert (found.content_type, found.headers) == (content_type, (("Vary", "Accept"),))


def test_nothing_that_fits() -> None:
    called: list[Request] = []
    layer = ViewLayer(("json", "xml"), ViewOptions())
    with pytest.raises(Exception, match="none of the types") as caught:
        layer(asking(accept="image/png"), called.append)
    assert (caught.value.status, caught.value.headers, called) == (406, (("Vary", "Accept"),), [])  # type: ignore[attr-defined]


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="there is no view 'yaml'"):
        ViewLayer(("json", "yaml"), ViewOptions())
    with pytest.raises(ConfigError, match="needs a kind"):
        ViewLayer((), ViewOptions())
    with pytest.raises(ConfigError, match=r"the template page.html needs a folder"):
        ViewLayer(("html",), ViewOptions(template="page.html"))
    with pytest.raises(ConfigError, match="'html' is none that every value has"):
        DefaultViewLayer(["json", "html"], "x")


# -- over the wire -------------------------------------------------------------------------------------------------
@dataclass
class Order:
    sku: str
    cents: int


def looks(request: Request, proceed: Proceed) -> Any:
    value = proceed(request)
    assert not isinstance(value, Response)
    return value


@http("/orders")
@view("xml", root="order")
class Orders:
    @get("/one")
    def one(self) -> Order:
        return Order("tea", 250)

    @get("/json")
    @view("json")
    def json(self) -> Order:
        return Order("tea", 250)

    @get("/any")
    @view("json", "html", template="order.html")
    def any(self) -> Order:
        return Order("<tea>", 250)

    @get("/own")
    def own(self) -> Response:
        return Response("own")

    @get("/nothing")
    def nothing(self) -> None:
        return None


@http
class Plain:
    @get("/plain")
    @layers(looks)
    def plain(self) -> dict[str, int]:
        return VALUE

    @post("/plain")
    def change(self) -> dict[str, int]:
        return VALUE

    @get("/text")
    def text(self) -> str:
        return "text"

    @get("/parts")
    def parts(self) -> Iterator[str]:
        yield "a"


@pytest.fixture
def app(app_factory: AppFactory, tmp_path: Path) -> App:
    (tmp_path / "order.html").write_text("<p>{{ sku }}: {{ cents }}</p>")
    web = {"kind": "http", "templates": {"folders": [str(tmp_path)]}, "views": {"kinds": ["json", "xml", "msgpack"], "xml_root": "thing"}}
    return app_factory([Orders, Plain], {"servers": {"web": web}})


def ask(app: App, path: str, accept: str = "*/*", method: str = "GET") -> TestResponse:
    with HttpClient(app) as client:
        return client.request(method, path, headers={"Accept": accept})


def test_the_mark_on_a_method_wins(app: App) -> None:
    assert ask(app, "/orders/one").text.endswith("<order><sku>tea</sku><cents>250</cents></order>\n")
    assert ask(app, "/orders/json", "application/xml").json() == {"sku": "tea", "cents": 250}
    assert ask(app, "/orders/own").text == "own"
    assert ask(app, "/orders/nothing").status == 204


def test_a_template_by_accept(app: App) -> None:
    found = ask(app, "/orders/any", "text/html")
    assert (found.headers["content-type"], found.headers["vary"]) == ("text/html; charset=utf-8", "Accept")
    assert found.text == "<p>&lt;tea&gt;: 250</p>"
    assert ask(app, "/orders/any").json() == {"sku": "<tea>", "cents": 250}
    found = ask(app, "/orders/any", "image/png")
    assert (found.status, found.headers["vary"]) == (406, "Accept")
    assert found.json()["types"] == ["application/json", "text/html", "application/xhtml+xml"]


def test_what_conf_says_for_all_others(app: App) -> None:
    assert ask(app, "/plain").json() == VALUE
    assert "<thing><a>1</a></thing>" in ask(app, "/plain", "application/xml").text
    assert msgspec.msgpack.decode(ask(app, "/plain", "application/msgpack").body) == VALUE
    assert ask(app, "/plain", "image/png").status == 406
    assert ask(app, "/plain", "image/png", "POST").json() == VALUE  # it was done
    assert ask(app, "/text", "image/png").text == "text"
    assert ask(app, "/parts", "image/png").text == "a"


def test_without_conf_values_are_json(app_factory: AppFactory) -> None:
    found = ask(app_factory([Plain]), "/plain", "application/xml")
    assert (found.json(), "vary" in found.headers) == (VALUE, False)


def test_a_mistake_in_a_mark_names_its_place(app_factory: AppFactory) -> None:
    @http
    class Wrong:
        @get("/")
        @view("yaml")
        def wrong(self) -> int:
            return 1

    with pytest.raises(StartError, match=r"test_views.py:\d+: there is no view 'yaml'"):
        app_factory([Wrong])


def test_a_template_that_is_not_there_is_found_at_the_start(app_factory: AppFactory, tmp_path: Path) -> None:
    web = {"kind": "http", "templates": {"folders": [str(tmp_path)]}}
    with pytest.raises(Exception, match=rf"there is no template order.html in {tmp_path}"):
        app_factory([Orders], {"servers": {"web": web}})


def test_each_kind_has_a_media_type() -> None:
    assert [media_type_of(kind) for kind in ("json", "html", "events")] == ["application/json", "text/html", "text/event-stream"]
