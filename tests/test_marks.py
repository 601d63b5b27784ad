"""Decorators leave marks and do nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from greenimi import marks
from greenimi.marks import Mark, Where, add_mark, bean, get, inherit, marker, marks_of, on, route

SOURCE = """
from greenimi.marks import *

@bean
class Bare: pass

@bean(name="x")
class Called: pass

@http
class Api:
    @get("/a")
    def show(self): pass

    @route(
        "/b",
        methods=("put",),
    )
    def store(self): pass

@http("/prefix", server="web")
class Prefixed: pass

@websocket("/chat")
class Chat:
    @opened
    def enter(self): pass

    @closed
    def leave(self): pass

    @on("say")
    def say(self): pass

    @on.default
    def rest(self): pass

@websocket
class Root: pass

@tcp
class Tcp: pass

@udp(server=("a", "b"))
class Udp: pass

@listener
def heard(event): pass

@listener(name="a.b")
def named(event): pass

@health_check("stock", every=60)
def stocked(): pass

@around("shop:Shop.*")
def advised(call, proceed): pass

@command
def plain(): pass

@command("other", help="x")
def other(): pass

@layers("@house")
def layered(): pass

@on_error(ValueError)
def failed(error, message): pass

@on_missing()
def missing(message): pass

@authenticator
class Anybody: pass

@authenticator(server="web")
class Somebody: pass

@requires("admin", any_of="staff")
class Staff: pass

@public
class Open: pass

@partial(Bare)
class Part: pass

@inherit()
class Heir: pass
"""


def placed() -> list[tuple[str, Mark, int]]:
    """Every mark in SOURCE, with the line that its decorator stands on."""
    namespace: dict[str, Any] = {"__name__": "shop"}
    exec(compile(SOURCE, "/app/shop.py", "exec"), namespace)
    targets = {name: value for name, value in namespace.items() if getattr(value, "__module__", "") == "shop"}
    for holder in list(targets.values()):
        if isinstance(holder, type):
            targets.update({f"{holder.__name__}.{name}": value for name, value in vars(holder).items() if callable(value)})
    lines = SOURCE.splitlines()
    found = []
    for name, target in targets.items():
        at = next(number for number, line in enumerate(lines) if line.split("(")[0].split(":")[0].split()[1:] == [name.rsplit(".")[-1]])
        while not lines[at].strip().startswith("@"):
            at -= 1
        found += [(name, mark, at + 1) for mark in marks_of(target)]
    return found


def test_every_mark_knows_its_line() -> None:
    found = placed()
    assert len(found) == 29
    assert [(name, mark.where.file, mark.where.line) for name, mark, _ in found] == [
        (name, "/app/shop.py", line) for name, _, line in found
    ]


def test_what_the_marks_say() -> None:
    found = {name: mark for name, mark, _ in placed()}
    assert found["Bare"].options == {"name": "", "lifetime": "app", "provides": None, "server": (), "driver": "", "env": ()}
    assert found["Called"].options["name"] == "x"
    assert found["Api"].options == {"kind": "http", "path": "", "server": ()}
    assert found["Prefixed"].options == {"kind": "http", "path": "/prefix", "server": ("web",)}
    assert found["Api.store"].options == {"path": "/b", "methods": ("PUT",), "name": ""}
    assert found["Chat"].options == {"kind": "websocket", "path": "/chat", "server": (), "payload": "", "subprotocols": ()}
    assert found["Root"].options["path"] == ""
    assert found["Chat.say"].options == {"action": "say", "match": None, "default": False}
    assert found["Chat.rest"].options == {"action": None, "match": None, "default": True}
    assert found["Udp"].options == {"kind": "udp", "path": "", "server": ("a", "b")}
    assert found["named"].options == {"name": "a.b", "priority": 0, "once": False}
    assert found["stocked"].options == {"name": "stock", "every": 60, "limit": 2.0}
    assert found["advised"].options == {"advice": "around", "where": ("shop:Shop.*",), "deny": (), "priority": 0}
    assert (found["plain"].options, found["other"].options) == (
        {"name": "", "help": "", "start": True},
        {"name": "other", "help": "x", "start": True},
    )
    assert (found["Anybody"].options, found["Somebody"].options) == ({"server": ()}, {"server": ("web",)})
    assert found["Staff"].options == {"roles": ("admin",), "any_of": ("staff",), "check": None}
    assert (found["Open"].kind, found["Open"].options) == ("public", {})
    assert found["failed"].options == {"kinds": (ValueError,), "server": ()}


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_methods_of_http(method: str) -> None:
    handler = getattr(marks, method)("/x", name="n")(lambda: None)
    assert marks_of(handler)[0].options == {"path": "/x", "methods": (method.upper(),), "name": "n"}


def test_options_of_routes_stand_in_their_marks() -> None:
    handler = get("/x", query="id", max_body=5)(lambda: None)
    assert marks_of(handler)[0].options == {"path": "/x", "methods": ("GET",), "name": "", "query": "id", "max_body": 5}

    @marks.resource("/orders", item="/{order_id}", server="web", domain="a.org")
    class Orders: ...

    wanted = {"kind": "http", "path": "/orders", "item": "/{order_id}", "server": ("web",), "domain": "a.org"}
    assert [(mark.kind, mark.options) for mark in marks_of(Orders)] == [("controller", wanted)]


def test_the_target_comes_back_unchanged() -> None:
    class Shop: ...

    def place() -> int:
        return 5

    assert bean(Shop) is Shop
    assert bean(name="x")(Shop) is Shop
    assert get("/")(place) is place
    assert place() == 5


def test_marks_stand_in_the_order_they_were_applied() -> None:
    @route("/second")
    @get("/first")
    @on("say")
    def handler() -> None: ...

    assert [mark.options.get("path") for mark in marks_of(handler)] == [None, "/first", "/second"]
    assert [mark.options["path"] for mark in marks_of(handler, "route")] == ["/first", "/second"]


def test_a_subclass_has_its_own_marks() -> None:
    @bean(name="base")
    class Base: ...

    @marker("extra")
    class Child(Base): ...

    class Plain(Base): ...

    assert [mark.kind for mark in marks_of(Child)] == ["extra"]
    assert [mark.kind for mark in marks_of(Base)] == ["bean"]
    assert marks_of(Plain) == []


def test_inherit_takes_over_all_kinds_or_the_named() -> None:
    @marker("one")
    @marker("two")
    class Base: ...

    @inherit()
    class Everything(Base): ...

    @inherit("two")
    @marker("three")
    class Some(Base): ...

    class Grandchild(Everything): ...

    assert [mark.kind for mark in marks_of(Everything)] == ["inherit", "two", "one"]
    assert [mark.kind for mark in marks_of(Some)] == ["three", "inherit", "two"]
    assert marks_of(Grandchild) == []


def test_a_wrapper_does_not_mark_what_it_wraps() -> None:
    """``functools.wraps`` gives the wrapper the attributes of the function, its list of marks among them."""

    @get("/plain")
    def show() -> None: ...

    @functools.wraps(show)
    def logged() -> None:
        show()

    get("/logged")(logged)
    assert [mark.options["path"] for mark in marks_of(logged)] == ["/plain", "/logged"]
    assert [mark.options["path"] for mark in marks_of(show)] == ["/plain"]


def test_on_wants_an_action_or_a_condition() -> None:
    assert marks_of(on(where={"a.b": 1})(lambda: None))[0].options["match"] == {"a.b": 1}
    for wrong in ({}, {"action": "say", "where": {"a": 1}}):
        with pytest.raises(TypeError, match="one of the two"):
            on(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("advice", ["around", "before", "after", "after_returning", "after_throwing"])
def test_advice_must_say_where(advice: str) -> None:
    decorator: Callable[..., Any] = getattr(marks, advice)
    with pytest.raises(TypeError, match=f"@{advice} needs to be told where"):
        decorator()
    namespace: dict[str, Any] = {"decorator": decorator}
    with pytest.raises(TypeError, match=f"@{advice} was put on audit without saying where"):
        exec("@decorator\ndef audit(call): ...", namespace)


def test_others_make_decorators_of_their_own() -> None:
    def cached(seconds: int) -> Callable[[Any], Any]:
        return marker("cached", seconds=seconds)

    def slow() -> None: ...

    assert cached(5)(slow) is slow
    (mark,) = marks_of(slow, "cached")
    assert mark.options == {"seconds": 5}
    assert mark.where.file == __file__
    add_mark(slow, "more", {}, Where("a/b.py", 7))
    assert str(marks_of(slow, "more")[0].where) == "b.py:7"
