from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import pytest

from greenimi.container import Container, Services
from greenimi.errors import ConfigError, ConflictError, Frozen, MissingBean, StartError
from greenimi.interfaces import IConfig


class Shop:
    pass


class Mailer:
    def __init__(self, shop: Shop) -> None:
        self.shop = shop


# -- include -------------------------------------------------------------------------------------------------------


def test_include_calls_includeme_or_scans(make_setup: Any, package: Any) -> None:
    package(
        {
            "included.py": """
            from greenimi.marks import bean
            calls = []
            def includeme(setup):
                calls.append("includeme")
            def other(setup):
                calls.append("other")
            @bean
            class Unseen: ...
            """,
            "scanned.py": "from greenimi.marks import bean\n@bean(name='x')\nclass Seen: ...",
        }
    )
    included, scanned = importlib.import_module("included"), importlib.import_module("scanned")

    setup = make_setup()
    for what in ("included", included, "included:other", included.other, "scanned", scanned, included.includeme):
        setup.include(what)
    container = setup.commit()
    assert included.calls == ["includeme", "other", "includeme"]
    assert type(container.get(scanned.Seen, "x")) is scanned.Seen
    assert container.query(included.Unseen) is None
    assert [str(definition) for definition in setup.introspect("bean")] == ["Seen (scanned.py:2)"]
    assert setup.introspect("module")[-2:] == [included, scanned]


def test_include_takes_the_marks_of_one_class_or_function(make_setup: Any, package: Any) -> None:
    source = "from greenimi.marks import bean\n@bean\nclass One: ...\n@bean\nclass Two: ...\n@bean\ndef three() -> int:\n    return 3"
    package({"two.py": source})
    two = importlib.import_module("two")
    setup = make_setup()
    for what in (two.One, "two:One", two.three):
        setup.include(what)
    container = setup.commit()
    assert type(container.get(two.One)) is two.One
    assert container.get(int) == 3
    assert container.query(two.Two) is None


@pytest.mark.parametrize("order", [("two:Two", "two", "two:One"), ("two", "two:One", "two:Two")])
def test_what_is_included_and_scanned_counts_once(make_setup: Any, package: Any, order: tuple[str, ...]) -> None:
    package({"two.py": "from greenimi.marks import bean\n@bean\nclass One: ...\n@bean\nclass Two:\n    @bean\n    class Inner: ..."})
    setup = make_setup()
    for what in order:
        setup.include(what)
    setup.commit()
    assert sorted(str(definition) for definition in setup.introspect("bean")) == ["Inner (two.py:6)", "One (two.py:2)", "Two (two.py:4)"]


def test_any_callable_may_be_included(make_setup: Any) -> None:
    seen: list[Any] = []
    setup = make_setup()
    setup.include(functools.partial(seen.append))
    assert seen == [setup]


def test_a_class_without_marks_is_a_mistake(make_setup: Any) -> None:
    with pytest.raises(StartError, match="Shop carries no mark, so including it means nothing"):
        make_setup().include(Shop)


def test_mistakes_in_include_are_told_from_mistakes_inside(make_setup: Any, package: Any) -> None:
    package({"good.py": "def includeme(setup): ...", "bad.py": "import nosuchmodule"})
    setup = make_setup()
    with pytest.raises(ConfigError, match="include: there is no module goood"):
        setup.include("goood")
    with pytest.raises(ConfigError, match=r"include: good has no includemee; did you mean includeme\?"):
        setup.include("good:includemee")
    with pytest.raises(ModuleNotFoundError, match="nosuchmodule"):
        setup.include("bad")


# -- actions -------------------------------------------------------------------------------------------------------


def test_actions_run_at_commit_in_order(make_setup: Any) -> None:
    seen: list[str] = []
    setup = make_setup()
    setup.action("b", lambda: seen.append("later"), order=5)
    setup.action("a", lambda: seen.append("first"))
    setup.action(None, lambda: setup.action(None, lambda: seen.append("added")))
    setup.action(None, lambda: seen.append("second"))
    assert seen == []
    setup.commit()
    assert seen == ["first", "second", "later", "added"]


def test_conflicts_name_what_and_where_all_of_them(make_setup: Any, package: Any) -> None:
    package(
        {
            "first.py": "def includeme(setup):\n    setup.action(('GET', '/orders/{id}'), print)\n    setup.action('x', print)",
            "admin.py": "\ndef includeme(setup):\n\n    setup.action(('GET', '/orders/{id}'), print)\n    setup.action('x', print)",
        }
    )
    setup = make_setup()
    setup.include("first")
    setup.include("admin")
    with pytest.raises(ConflictError, match=r"^GET /orders/{id}: first\.py:2 and admin\.py:4\nx: first\.py:3 and admin\.py:5\n"):
        setup.commit()


def test_a_later_action_conflicts_with_one_already_run(make_setup: Any) -> None:
    setup = make_setup()
    setup.action("x", lambda: None)
    setup.on_commit(lambda: setup.action("x", lambda: None))
    with pytest.raises(ConflictError, match="x: test_setup"):
        setup.commit()


def test_an_error_in_an_action_names_its_place(make_setup: Any) -> None:
    setup = make_setup()
    setup.action(None, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        setup.commit()
    assert caught.value.__notes__[0].startswith("while registering what stands at test_setup.py:")


def test_a_second_bean_of_a_class_is_a_conflict_not_the_last_wins(make_setup: Any) -> None:
    setup = make_setup()
    setup.add_bean(Shop)
    setup.add_bean(Shop)
    with pytest.raises(ConflictError, match=r"bean Shop: test_setup\.py:\d+ and test_setup\.py:\d+\n  hint: .*\[beans\.<name>\]"):
        setup.commit()


# -- directives ----------------------------------------------------------------------------------------------------


def test_a_directive_reads_as_a_method_and_blames_its_caller(make_setup: Any, package: Any) -> None:
    package(
        {
            "web.py": """
            def add_route(setup, path, *, name=""):
                setup.action(("route", path), lambda: setup.note("route", (path, name)))
            def twice(setup, path):
                setup.add_route(path)
                setup.add_route(path)
            """,
            "one.py": "def includeme(setup):\n    setup.add_route('/a', name='x')",
            "two.py": "def includeme(setup):\n\n    setup.twice('/b')",
        }
    )
    web = importlib.import_module("web")

    setup = make_setup()
    setup.add_directive("add_route", web.add_route)
    setup.add_directive("twice", web.twice)
    setup.include("one")
    setup.include("two")
    with pytest.raises(ConflictError, match=r"route /b: two\.py:3 and two\.py:3"):
        setup.commit()
    with pytest.raises(ConflictError, match=r"directive add_route: test_setup\.py:\d+ and test_setup\.py:\d+"):
        setup.add_directive("add_route", print)
    with pytest.raises(ConflictError, match="directive scan: Setup itself and"):
        setup.add_directive("scan", print)
    with pytest.raises(AttributeError, match=r"no directive add_rout; did you mean add_route\?"):
        setup.add_rout("/c")

    good = make_setup()
    good.add_directive("add_route", web.add_route)
    good.include("one")
    good.commit()
    assert good.introspect("route") == [("/a", "x")]


# -- commit --------------------------------------------------------------------------------------------------------


def test_callbacks_run_in_order_around_the_check(make_setup: Any) -> None:
    seen: list[str] = []
    setup = make_setup()
    setup.add_bean(Mailer)
    setup.on_commit(lambda: seen.append("last"), order=9)
    setup.on_commit(lambda: seen.append(type(setup.container.get(Mailer)).__name__))
    setup.on_commit(lambda: setup.on_commit(lambda: seen.append("added"), order=5), order=1)
    setup.on_commit(lambda: setup.add_bean(Shop), order=-1)
    container = setup.commit()
    assert seen == ["Mailer", "added", "last"]
    assert container is setup.container
    assert container.frozen
    with pytest.raises(Frozen):
        setup.commit()


def test_what_a_callback_adds_is_registered_configured_and_checked(make_setup: Any) -> None:
    setup = make_setup(beans={"Late": {"size": 4}})

    class Late:
        size = 1

    setup.on_commit(lambda: setup.add_bean(Late))
    assert setup.commit().get(Late).size == 4
    wrong = make_setup()
    wrong.on_commit(lambda: wrong.add_bean(Mailer))
    with pytest.raises(MissingBean, match=r"Mailer .*provides Shop"):
        wrong.commit()


def test_server_containers_are_made_on_demand_and_frozen(make_setup: Any) -> None:
    setup = make_setup()
    web = setup.server_container("web")
    assert setup.server_container("web") is web
    setup.commit()
    assert (web.parent, web.frozen) == (setup.container, True)


def test_settings_services_and_what_the_container_holds(make_setup: Any) -> None:
    @dataclass(frozen=True)
    class Limits:
        low: int = 1

    class Clock:
        tier = 1

    setup = make_setup(limits={"low": 3})
    clock = Clock()
    assert setup.settings("limits", Limits) == Limits(3)
    assert setup.introspect("settings") == [("limits", Limits)]
    setup.add_service(clock, "clock")
    container: Container = setup.commit()
    assert container.get(Services).all() == {"clock": clock}
    assert container.get(IConfig) is setup.config
    assert setup.introspect("nothing") == []


def test_several_handlers_of_a_mark_run_in_order(make_setup: Any, package: Any) -> None:
    seen: list[str] = []
    setup = make_setup()
    setup.on_mark("tag", lambda *_: seen.append("one"))
    setup.on_mark("tag", lambda *_: seen.append("two"))
    setup.include(package({"tagged.py": "from greenimi.marks import marker\n@marker('tag')\ndef f(): ..."}))
    setup.commit()
    assert seen == ["one", "two"]


TYPO = """
from greenimi.marks import marker

def baen(function):
    return marker("baen", depth=1)(function)

class A:
    @baen
    def f(self): ...
"""


def test_an_unknown_mark_suggests_a_known_one(make_setup: Any, package: Any) -> None:
    setup = make_setup()
    setup.include(package({"typo.py": TYPO}))
    with pytest.raises(StartError, match=r"typo\.py:5: nobody knows the mark baen on A\.f; did you mean bean\?"):
        setup.commit()
