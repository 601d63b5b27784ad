from __future__ import annotations

import sys
from typing import Any

import pytest

from greenimi.errors import StartError

SHOP = """
    from __future__ import annotations
    from functools import cached_property, lru_cache
    from greenimi.container import facade
    from greenimi.marks import inherit, marker
    from shop.base import Base, helper

    nowhere = facade(Base)
    tag = lambda text: marker("tag", text=text)

    @tag("class")
    class Shop(Base):
        lazy = facade(Base)

        @tag("method")
        def method(self): ...

        @staticmethod
        @tag("static below")
        def static(): ...

        @tag("static above")
        @staticmethod
        def static2(): ...

        @classmethod
        @tag("classmethod")
        def cls_method(cls): ...

        @property
        @tag("property")
        def size(self): ...

        @size.setter
        @tag("setter")
        def size(self, value): ...

        @cached_property
        @tag("cached")
        def cached(self): ...

        @tag("nested")
        class Inner:
            @tag("nested method")
            def inner(self): ...

    alias = Shop

    @tag("function")
    def function(): ...

    @tag("wrapped")
    @lru_cache
    def wrapped(): ...

    @inherit()
    class All(Base):
        def overridden(self): ...

    @inherit("tag")
    class Some(Base): ...

    class One(Base):
        @inherit()
        def overridden(self): ...

        @tag("own")
        def shared(self): ...

    class Plain(Base): ...
"""

BASE = """
    from __future__ import annotations
    from greenimi.marks import marker

    tag = lambda text: marker("tag", text=text)
    other = lambda text: marker("other", text=text)

    @tag("base")
    @other("other base")
    class Base:
        @tag("base overridden")
        def overridden(self): ...

        @other("base shared")
        def shared(self): ...

    @tag("helper")
    def helper(): ...
"""


@pytest.fixture
def shop(package: Any) -> Any:
    return package(
        {
            "shop/__init__.py": SHOP,
            "shop/base.py": BASE,
            "shop/__main__.py": "raise SystemExit('a main module was imported')",
            "shop/admin/__init__.py": "from greenimi.marks import marker\n@marker('tag', text='admin')\ndef admin(): ...",
            "shop/admin/deep.py": "from greenimi.marks import marker\n@marker('tag', text='deep')\ndef deep(): ...",
        }
    )


def uses(setup: Any, kind: str = "tag") -> set[tuple[str, str, str]]:
    return {(o.__name__ if o else "", name, mark.options["text"]) for o, name, _, mark in setup.marked(kind)}


def test_every_use_is_listed_by_class_method_and_property(make_setup: Any, shop: Any) -> None:
    setup = make_setup()
    setup.scan(shop)
    assert {use for use in uses(setup) if use[0] in ("Shop", "Inner") or use[1] in ("Shop", "Inner", "function", "wrapped", "helper")} == {
        ("", "Shop", "class"),
        ("Shop", "method", "method"),
        ("Shop", "static", "static below"),
        ("Shop", "static2", "static above"),
        ("Shop", "cls_method", "classmethod"),
        ("Shop", "size", "property"),
        ("Shop", "size", "setter"),
        ("Shop", "cached", "cached"),
        ("", "Inner", "nested"),
        ("Inner", "inner", "nested method"),
        ("", "function", "function"),
        ("", "wrapped", "wrapped"),
        ("", "helper", "helper"),
    }
    found = {name: target for owner, name, target, _ in setup.marked("tag")}
    assert found["method"] is shop.Shop.method
    assert found["size"] is shop.Shop.size.fget


def test_a_parents_marks_appear_with_inherit_only(make_setup: Any, shop: Any) -> None:
    setup = make_setup()
    setup.scan(shop)
    below = {
        use
        for use in uses(setup) | uses(setup, "other")
        if use[0] in ("All", "Some", "One", "Plain") or use[1] in ("All", "Some", "One", "Plain")
    }
    assert below == {
        ("", "All", "base"),
        ("", "All", "other base"),
        ("All", "overridden", "base overridden"),
        ("All", "shared", "base shared"),
        ("", "Some", "base"),
        ("Some", "overridden", "base overridden"),
        ("One", "overridden", "base overridden"),
        ("One", "shared", "own"),
    }
    targets = {(o.__name__, name): target for o, name, target, _ in setup.marked("tag") if o}
    assert targets["All", "overridden"] is shop.All.overridden


def test_a_package_is_walked_once_and_imports_count_where_they_are_defined(make_setup: Any, shop: Any) -> None:
    setup = make_setup()
    setup.scan("shop")
    setup.scan(shop)
    texts = [mark.options["text"] for _, _, _, mark in setup.marked("tag")]
    assert {"admin", "deep"} < set(texts)
    assert texts.count("class") == texts.count("helper") == 1


@pytest.mark.parametrize(("ignore", "left"), [("shop.admin", set()), (["*.deep"], {"admin"}), ("shop.admin.*", {"admin"}), ("shop", None)])
def test_ignored_modules_are_absent_and_not_imported(make_setup: Any, shop: Any, ignore: Any, left: set[str] | None) -> None:
    setup = make_setup()
    setup.scan(shop, ignore)
    texts = {mark.options["text"] for _, _, _, mark in setup.marked("tag")}
    assert texts & {"admin", "deep"} == (left or set())
    assert "shop.admin.deep" not in sys.modules
    assert bool(texts) == (left is not None)


def test_handlers_run_at_commit_and_an_unknown_mark_is_an_error(make_setup: Any, shop: Any) -> None:
    seen: list[tuple[Any, ...]] = []
    setup = make_setup()
    setup.scan(shop)
    setup.on_mark("tag", lambda *found: seen.append(found))
    with pytest.raises(StartError, match=r"base\.py:\d+: nobody knows the mark other on All"):
        setup.commit()
    setup.on_mark("other")
    seen.clear()
    again = make_setup()
    again.on_mark("tag", lambda *found: seen.append(found))
    again.on_mark("other")
    again.scan("shop")
    assert seen == []
    again.commit()
    assert seen == [(again, *found) for found in again.marked("tag")]


def test_marks_of_a_partial_belong_to_the_bean(make_setup: Any, package: Any) -> None:
    module = package(
        {
            "parts.py": """
            from greenimi.marks import bean, marker, partial

            @bean
            class Shop: ...

            @partial(Shop)
            class Extra:
                @marker("tag")
                def extra(self):
                    return 5
            """
        }
    )
    seen: list[tuple[Any, ...]] = []
    setup = make_setup()
    setup.on_mark("tag", lambda setup, *found: seen.append(found[:3]))
    setup.include(module)
    assert setup.commit().get(module.Shop).extra() == 5
    assert seen == [(module.Shop, "extra", module.Extra.extra)]


def test_bean_on_a_method_is_an_error(make_setup: Any, package: Any) -> None:
    setup = make_setup()
    setup.include(package({"wrong.py": "from greenimi.marks import bean\nclass Shop:\n    @bean\n    def pool(self): ..."}))
    with pytest.raises(StartError, match=r"wrong\.py:3: @bean stands on the method Shop\.pool"):
        setup.commit()
