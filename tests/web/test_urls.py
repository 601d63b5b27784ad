"""Addresses made of names and values."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from greenimi import Request, get, http, on, resource, tcp
from greenimi.app import App
from greenimi.container import Scope
from greenimi.errors import ConfigError
from greenimi.located import Told
from greenimi.testing.clients import HttpClient, MessageClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import make_app
from greenimi.web import Urls, url_for
from greenimi.web.templates import render_template


class Colour(Enum):
    RED = "red"


@http("/page", name="pages")
class Pages:
    @get("/{name}")
    def show(self, name: str) -> Any:
        return render_template(name)


@resource("/orders", item="/{order_id:int}", server="web")
class Orders:
    def __init__(self, urls: Urls) -> None:
        self.urls = urls

    def index(self) -> list[str]:
        return [url_for("orders.show", order_id=5), url_for("orders.show", order_id=5, absolute=True)]

    def show(self, order_id: int) -> str:
        return self.urls.url_for("shop", tenant="a", absolute=True)

    def create(self) -> str:
        return self.urls.of("admin").url_for("orders.show", order_id=1)


@http(server="web")
class Shop:
    @get("/{section:tea|coffee}/{name}", name="item", domain="{tenant}.example.org", prefix=False)
    def item(self, section: str, name: str) -> None: ...

    @get("/", name="shop", domain="{tenant}.example.org")
    def shop(self) -> None: ...

    @get("/files/{rest:path}", name="files")
    def files(self, rest: str) -> None: ...


@http("/admin/orders", server="admin")
class Admin:
    @get("/{order_id:uuid}", name="orders.show")
    def show(self, order_id: UUID) -> None: ...

    @get("/", name="only")
    def only(self) -> None: ...


@tcp
class Till:
    @on("where")
    def where(self) -> str:
        return url_for("orders.index")


CONF: dict[str, Any] = {
    "servers": {
        "till": {"kind": "tcp"},
        "web": {"kind": "http"},
        "admin": {"kind": "http", "routing": {"base": "https://admin.example.org:8443/"}},
    }
}


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory([Orders, Shop, Admin, Till], CONF)


@pytest.fixture
def urls() -> Iterator[Urls]:
    made = make_app(CONF, [Orders, Shop, Admin])
    yield made.commit().container.get(Urls)
    made.stop()


def test_in_handlers(app: App) -> None:
    with HttpClient(app) as web:
        answer = web.get("/orders", headers={"Host": "shop.example.org:8000"})
        assert answer.json() == ["/orders/5", "http://shop.example.org:8000/orders/5"]
        assert web.get("/orders/5", headers={"Host": "other.org:81"}).text == "http://a.example.org:81/"
        assert web.get("/orders", headers={"Host": "a/b"}).status == 400
    with MessageClient(app, "till") as till:
        assert till.request("where") == "/orders"  # the first HTTP server's


@pytest.mark.parametrize(
    ("name", "values", "url"),
    [
        ("orders.index", {}, "/orders"),
        ("orders.index", {"page": 2, "q": "a b&c", "none": None, "on": True}, "/orders?page=2&q=a+b%26c&on=true"),
        ("orders.index", {"tag": ["x", "y"], "colour": Colour.RED}, "/orders?tag=x&tag=y&colour=red"),
        ("orders.show", {"order_id": "7", "lines": 1}, "/orders/7?lines=1"),
        ("item", {"section": "tea", "name": "ä/".strip("/")}, "/tea/%C3%A4"),
        ("item", {"section": "tea", "name": "x", "tenant": "a"}, "/tea/x"),  # the host is no part of a path
        ("files", {"rest": "a/b"}, "/files/a/b"),
    ],
)
def test_paths(urls: Urls, name: str, values: dict[str, Any], url: str) -> None:
    assert urls.url_for(name, **values) == url


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("orders.show", {}),
        ("orders.show", {"order_id": "x"}),
        ("item", {"section": "milk", "name": "x"}),
        ("item", {"section": "tea", "name": ""}),
        ("files", {"rest": "../x"}),
    ],
)
def test_values_that_do_not_fit(urls: Urls, name: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values), "order_id")):
        urls.url_for(name, **values)


def test_names_that_are_unknown(urls: Urls) -> None:
    with pytest.raises(LookupError, match=r"no route of the server web is named 'order\.show'; did you mean orders\.show\?"):
        urls.url_for("order.show")
    with pytest.raises(LookupError, match="no HTTP server is called 'till'; there are admin, web"):
        urls.of("till")
    assert urls.names == ["files", "item", "orders.create", "orders.index", "orders.show", "shop"]


def test_absolute_ones_outside_of_requests(urls: Urls) -> None:
    admin = urls.of("admin")
    assert admin.url_for("only", absolute=True) == "https://admin.example.org:8443/admin/orders/"
    with pytest.raises(LookupError, match=r"servers\.web\.routing\.base is not set"):
        urls.url_for("orders.index", absolute=True)
    assert urls.of("web") is urls


@pytest.mark.parametrize("base", ["shop.example.org", "ftp://a.org", "https://", "https://a.org/x", "https://a b", "https://a.org?x"])
def test_a_base_is_scheme_and_host(base: str) -> None:
    with pytest.raises(ConfigError, match=r"servers\.web\.routing\.base: '.*' is not scheme and host"):
        make_app({"servers": {"web": {"kind": "http", "routing": {"base": base}}}}).commit()


def test_in_templates(app_factory: AppFactory, tmp_path: Path) -> None:
    (tmp_path / "menu.html").write_text("""<a href="{{ url_for('pages.show', name='a b', x='1', y='&') }}">""")
    made = app_factory([Pages], {"servers": {"web": {"kind": "http", "templates": {"folders": [str(tmp_path)]}}}})
    with HttpClient(made) as web:
        assert web.get("/page/menu.html").text == '<a href="/page/a%20b?x=1&amp;y=%26">'


def test_in_scripts() -> None:
    app = make_app(CONF, [Orders, Shop, Admin])
    container = app.commit().container
    with Scope(container):
        assert url_for("orders.show", order_id=1) == "/orders/1"
    with Scope(container.child("admin")):
        assert url_for("only", absolute=True) == "https://admin.example.org:8443/admin/orders/"
    app.stop()


def test_behind_a_proxy_that_tells_its_prefix(urls: Urls) -> None:
    request = Request("GET", "/", "/", "", "GET / HTTP/1.1\r\nHost: inside\r\n\r\n")
    request.told = Told("203.0.113.7", "https", "shop.example.org", "/shop")
    app = make_app(CONF, [Orders, Shop, Admin])
    with Scope(app.commit().container, message=request):
        assert url_for("orders.index", page=2) == "/shop/orders?page=2"
        assert url_for("orders.index", absolute=True) == "https://shop.example.org/shop/orders"
    app.stop()


def test_a_host_that_does_not_fit(urls: Urls) -> None:
    request = Request("GET", "/", "/", "", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n")
    request.told = Told("::1", "http")
    with Scope(make_app(CONF, []).container, message=request):
        assert urls.url_for("shop", tenant="b", absolute=True) == "http://b.example.org:80/"
        with pytest.raises(ValueError, match=r"tenant='a\.b' cannot stand in"):
            urls.url_for("shop", tenant="a.b", absolute=True)
        with pytest.raises(ValueError, match="needs a value for tenant"):
            urls.url_for("shop", absolute=True)
