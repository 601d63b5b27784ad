from __future__ import annotations

import threading
from contextvars import Context
from typing import Any

import pytest
from zope.interface import Interface

from greenimi import message
from greenimi.container import Connection, Container, Message, Request, Scope, current_container, facade, set_default_container
from greenimi.container.context import run
from greenimi.errors import MissingBean, NoScope


class IShop(Interface):
    pass


class Shop:
    size = 1

    def name(self) -> str:
        return "shop"


class Cart:
    pass


shop = facade(Shop)
cart = facade(Cart)
box: Any = facade(IShop, "box")


def test_a_facade_reaches_the_bean_of_the_default_container(commit: Any) -> None:
    with pytest.raises(NoScope, match="there is no current container here"):
        shop.name()
    container = commit(Shop)
    assert set_default_container(container) is None
    assert current_container() is container
    assert shop.name() == "shop"
    with container.override(Shop, "fake"):
        assert shop.upper() == "FAKE"  # type: ignore[attr-defined]
    assert set_default_container(None) is container


def test_a_facade_asks_the_scopes_container_first(commit: Any) -> None:
    container = commit(Shop)
    child: Container = container.child("web")
    with child.override(Shop, "web's"):
        set_default_container(container)
        assert shop.name() == "shop"
        with Scope(child):
            assert str(shop) == "web's"


def test_message_beans_differ_between_messages(commit: Any) -> None:
    container = commit((Cart, {"lifetime": "message"}))
    set_default_container(container)
    with pytest.raises(NoScope, match="no current message here"):
        cart.thing = 1  # type: ignore[attr-defined]
    both = threading.Barrier(2)
    seen: dict[int, set[int]] = {1: set(), 2: set()}

    def handle(number: int) -> None:
        for _ in range(50):
            both.wait(10)
            cart.number = number  # type: ignore[attr-defined]
            both.wait(10)
            seen[number].add(cart.number)  # type: ignore[attr-defined]

    threads = [threading.Thread(target=run, args=(Scope(container), handle, n)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == {1: {1}, 2: {2}}


def test_everything_is_done_to_the_bean() -> None:
    container = Container("app")
    inside: dict[str, Any] = {"a": 1}
    container.add(IShop, inside, "box")
    set_default_container(container)
    assert box == inside == box
    assert box != {}
    assert (len(box), list(box), box["a"], "a" in box, bool(box)) == (1, ["a"], 1, True, True)
    box["b"] = 2
    del box["a"]
    assert inside == {"b": 2}
    assert (repr(box), str(box)) == ("{'b': 2}", "{'b': 2}")
    assert isinstance(box, dict)
    assert "keys" in dir(box)
    with pytest.raises(TypeError):
        hash(box)
    with pytest.raises(MissingBean):
        _ = facade(Cart).size  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="not for 'Shop'"):
        facade("Shop")


def test_calls_attributes_and_blocks() -> None:
    class Thing:
        def __call__(self, *args: int, **kwargs: int) -> object:
            return args, kwargs

        def __enter__(self) -> str:
            return "entered"

        def __exit__(self, *details: object) -> bool:
            return True

    container = Container("app")
    thing = Thing()
    container.add(Thing, thing)
    set_default_container(container)
    stand_in = facade(Thing)
    assert stand_in(1, b=2) == ((1,), {"b": 2})
    stand_in.x = 1  # type: ignore[attr-defined]
    assert vars(thing) == vars(stand_in) == {"x": 1}
    del stand_in.x  # type: ignore[attr-defined]
    assert hash(stand_in) == hash(thing)
    with stand_in as entered:
        assert entered == "entered"
        raise ValueError("suppressed")


def test_looking_at_a_facade_never_raises() -> None:
    assert repr(shop) == "<stand-in for Shop: there is no current container here>"
    assert repr(box).startswith("<stand-in for IShop 'box': ")
    assert "__call__" in dir(shop)
    assert not isinstance(shop, Shop)


# -- the current message -------------------------------------------------------------------------------------------


def request(path: str) -> message.Request:
    return message.Request("GET", path, path, "", f"GET {path} HTTP/1.1\r\n\r\n")


def test_the_proxies_reach_the_message_being_handled() -> None:
    container, connection = Container("app"), object()
    with Scope(container, connection, request("/a")):  # type: ignore[arg-type]
        assert (Request.path, Message.raw) == ("/a", b"")
        assert isinstance(Request, message.Request)
        assert Connection == connection
        with Scope(container, None, message.Datagram(b"x")):
            assert Message.raw == b"x"
            with pytest.raises(NoScope, match="is a Datagram, not an HTTP request"):
                _ = Request.path
            with pytest.raises(NoScope, match="without a connection"):
                _ = Connection.id
        assert Request.path == "/a"


def test_outside_a_message_the_proxies_say_what_to_do() -> None:
    for proxy in (Request, Message, Connection):
        with pytest.raises(NoScope, match="hint: use this while a message is handled"):
            _ = proxy.data
    with Scope(Container("app")), pytest.raises(NoScope, match="started without a message"):
        _ = Message.data


def test_a_hundred_messages_at_once_see_their_own_request() -> None:
    container = Container("app")
    all_there = threading.Barrier(100)
    seen: list[tuple[int, str]] = []

    def handle(number: int) -> None:
        all_there.wait(20)
        seen.append((number, Request.path))

    threads = [threading.Thread(target=run, args=(Scope(container, None, request(f"/{n}")), handle, n)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(seen) == [(n, f"/{n}") for n in range(100)]


def test_a_fresh_context_sees_no_message() -> None:
    with Scope(Container("app"), None, request("/a")), pytest.raises(NoScope):
        Context().run(lambda: Request.path)
