from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import greenimi.container
from greenimi.config import Config
from greenimi.container import Container, Setup, aspect
from greenimi.container.aspect import Call
from greenimi.container.onion import Proceed
from greenimi.errors import ConfigError, PointcutError, StartError
from greenimi.marks import marker, marks_of


class Shop:
    """Sells."""

    def __init__(self, city: str = "here") -> None:
        self.city = city

    def place(self, sku: str, /, count: int = 1, **more: Any) -> str:
        """Take an order."""
        if sku == "bad":
            raise ValueError(sku)
        return f"{sku}*{count}"

    def twice(self, sku: str) -> str:
        return self.place(sku) + self.place(sku)

    def _stock(self) -> int:
        return 3

    @staticmethod
    def tax(price: int) -> int:
        return price // 5

    @classmethod
    def kind(cls) -> str:
        return cls.__name__

    @property
    def total(self) -> int:
        return 7

    def __len__(self) -> int:
        return 2


class SmallShop(Shop):
    def place(self, sku: str, /, count: int = 1, **more: Any) -> str:
        return "small " + super().place(sku, count)


Advise = Callable[..., Any]


def new_setup(**tree: Any) -> Setup:
    setup = Setup(Config(tree))
    setup.include(greenimi.container)
    setup.include(aspect)
    return setup


def make(cls: type, *advice: tuple[Any, ...], **tree: Any) -> Any:
    """The bean ``cls`` with this advice: ``(function, where, options)``."""
    setup = new_setup(**tree)
    setup.add_bean(cls)
    for function, where, *options in advice:
        setup.advice(function, *(where if isinstance(where, tuple) else (where,)), **(options[0] if options else {}))
    return setup.commit().get(cls)


def teller(seen: list[str], name: str) -> Callable[[Call], None]:
    def tell(call: Call) -> None:
        seen.append(name)

    return tell


def around_teller(seen: list[str], name: str = "around") -> Callable[[Call, Proceed], Any]:
    def tell(call: Call, proceed: Proceed) -> Any:
        seen.append(f"{name} in")
        try:
            return proceed(call)
        finally:
            seen.append(f"{name} out")

    return tell


def all_kinds(seen: list[str], **throwing: Any) -> list[tuple[Any, ...]]:
    kinds = ("after_returning", "after", "before")
    return [
        (teller(seen, "after_throwing"), Shop.place, {"kind": "after_throwing", **throwing}),
        *((teller(seen, kind), Shop.place, {"kind": kind}) for kind in kinds),
        (around_teller(seen), Shop.place),
    ]


# -- order ---------------------------------------------------------------------------------------------------------


def test_order_on_success_and_on_error() -> None:
    seen: list[str] = []
    shop = make(Shop, *all_kinds(seen))
    assert shop.place("x", count=2) == "x*2"
    assert seen == ["around in", "before", "after", "after_returning", "around out"]
    seen.clear()
    with pytest.raises(ValueError, match="bad"):
        shop.place("bad")
    assert seen == ["around in", "before", "after_throwing", "around out"]


def test_body_runs_between_before_and_after() -> None:
    seen: list[str] = []

    class Body:
        def run(self) -> None:
            seen.append("body")

    make(Body, (teller(seen, "after"), Body.run, {"kind": "after"}), (teller(seen, "before"), Body.run, {"kind": "before"})).run()
    assert seen == ["before", "body", "after"]


@pytest.mark.parametrize("kind", ["before", "after", "after_returning"])
def test_higher_priority_runs_first_equal_ones_as_declared(kind: str) -> None:
    seen: list[str] = []
    order = [("a", 0), ("b", 5), ("c", 0), ("d", -1)]
    shop = make(Shop, *((teller(seen, name), Shop.place, {"kind": kind, "priority": priority}) for name, priority in order))
    shop.place("x")
    assert seen == ["b", "a", "c", "d"]


def test_around_of_higher_priority_is_further_out() -> None:
    seen: list[str] = []
    low, high, second = (around_teller(seen, name) for name in ("low", "high", "second"))
    make(Shop, (low, Shop.place), (high, Shop.place, {"priority": 1}), (second, Shop.place)).place("x")
    assert seen == ["high in", "low in", "second in", "second out", "low out", "high out"]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_order_is_a_stable_sort_by_priority(priorities: list[int]) -> None:
    seen: list[str] = []
    advice = [(teller(seen, str(i)), Shop.place, {"kind": "before", "priority": p}) for i, p in enumerate(priorities)]
    make(Shop, *advice).place("x")
    assert [int(name) for name in seen] == sorted(range(len(priorities)), key=lambda i: -priorities[i])


# -- what advice can do --------------------------------------------------------------------------------------------


def test_before_changes_arguments_and_after_returning_the_result() -> None:
    def first(call: Call) -> None:
        assert (call.name, call.args, call.kwargs, call.result, call.error) == (
            "place",
            ("x",),
            {"count": 2, "self": 1, "target": 2},
            None,
            None,
        )
        call.args, call.kwargs = ("y",), {"count": 9}

    def last(call: Call) -> None:
        call.result = [call.result]

    shop = make(Shop, (first, Shop.place, {"kind": "before"}), (last, Shop.place, {"kind": "after_returning"}))
    assert shop.place("x", count=2, self=1, target=2) == ["y*9"]


def test_around_may_skip_repeat_and_replace() -> None:
    calls: list[Call] = []

    def again(call: Call, proceed: Proceed) -> Any:
        calls.append(call)
        if call.args == ("never",):
            return "skipped"
        return proceed(call), proceed(call)

    shop = make(Shop, (again, Shop.place))
    assert shop.place("x") == ("x*1", "x*1")
    assert shop.place("never") == "skipped"
    assert calls[0].target is shop
    assert calls[0].function is Shop.place
    assert calls[0].result == "x*1"
    assert "place" in repr(calls[0])


def test_suppress_returns_the_given_result_and_skips_after() -> None:
    seen: list[str] = []
    errors: list[BaseException | None] = []

    def swallow(call: Call) -> None:
        errors.append(call.error)
        call.suppress("instead")

    shop = make(Shop, (swallow, Shop.place, {"kind": "after_throwing", "priority": 1}), *all_kinds(seen))
    assert shop.place("bad") == "instead"
    assert seen == ["around in", "before", "after_throwing", "around out"]
    assert isinstance(errors[0], ValueError)


def test_only_a_call_that_raised_can_be_suppressed() -> None:
    shop = make(Shop, (lambda call: call.suppress(), Shop.place, {"kind": "after"}))
    with pytest.raises(RuntimeError, match="raised nothing"):
        shop.place("x")


def test_an_earlier_suppression_does_not_hold_for_a_second_try() -> None:
    tries: list[Any] = []

    def swallow_first(call: Call) -> None:
        if not tries:
            call.suppress()

    def retry(call: Call, proceed: Proceed) -> Any:
        tries.append(proceed(call))
        return proceed(call)

    shop = make(Shop, (swallow_first, Shop.place, {"kind": "after_throwing"}), (retry, Shop.place))
    with pytest.raises(ValueError, match="bad"):
        shop.place("bad")
    assert tries == [None]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, True),
        ({"errors": (KeyError,)}, False),
        ({"errors": (LookupError, ValueError)}, True),
        ({"deny_errors": (ValueError,)}, False),
        ({"errors": (Exception,), "deny_errors": (KeyError,)}, True),
    ],
)
def test_after_throwing_chooses_by_error(options: dict[str, Any], told: bool) -> None:
    seen: list[str] = []
    shop = make(Shop, *all_kinds(seen, **options))
    with pytest.raises(ValueError, match="bad"):
        shop.place("bad")
    assert ("after_throwing" in seen) is told


def test_an_error_of_advice_goes_to_the_caller() -> None:
    seen: list[str] = []

    def refuse(call: Call) -> None:
        raise PermissionError

    shop = make(Shop, (refuse, Shop.place, {"kind": "before"}), *all_kinds(seen))
    with pytest.raises(PermissionError):
        shop.place("x")
    assert "after_throwing" not in seen


def test_a_call_that_raised_leaves_no_garbage() -> None:
    class Payload:
        pass

    def work(call: Call) -> None:
        return None

    shop = make(Shop, (work, Shop.place, {"kind": "after_throwing"}))
    payload = Payload()
    gone = weakref.ref(payload)
    gc.disable()
    try:
        with pytest.raises(ValueError, match="bad"):
            shop.place("bad", extra=payload)
        del payload
        assert gone() is None
    finally:
        gc.enable()


# -- the woven class -----------------------------------------------------------------------------------------------


def test_woven_class_looks_like_the_original() -> None:
    shop = make(Shop, (lambda call: None, Shop.place, {"kind": "before"}))
    cls = type(shop)
    assert isinstance(shop, Shop)
    assert cls is not Shop
    assert (cls.__name__, cls.__qualname__, cls.__module__, cls.__doc__) == ("Shop", "Shop", Shop.__module__, "Sells.")
    assert set(vars(cls)) & set(dir(shop)) >= {"place"}
    assert not {"twice", "_stock", "tax", "kind", "total", "__init__", "__len__"} & set(vars(cls))
    woven = cls.place
    assert (woven.__name__, woven.__qualname__, woven.__module__, woven.__doc__) == (
        "place",
        "Shop.place",
        Shop.__module__,
        "Take an order.",
    )
    assert inspect.signature(woven) == inspect.signature(Shop.place)
    assert inspect.signature(cls) == inspect.signature(Shop)


def test_a_bean_without_advice_keeps_its_class() -> None:
    setup = new_setup()
    setup.add_bean(Shop)

    class Other:
        def work(self) -> None: ...

    setup.add_bean(Other)
    setup.advice(lambda call: None, Other.work, kind="before")
    assert type(setup.commit().get(Shop)) is Shop


def test_calls_of_self_are_advised_and_hand_made_objects_are_not() -> None:
    seen: list[str] = []
    shop = make(Shop, (teller(seen, "before"), Shop.place, {"kind": "before"}))
    assert shop.twice("x") == "x*1x*1"
    assert seen == ["before", "before"]
    Shop().twice("x")
    assert seen == ["before", "before"]


def test_slots_stay_slots() -> None:
    @dataclass(slots=True)
    class Point:
        x: int = 1

        def norm(self) -> int:
            return abs(self.x)

    point = make(Point, (lambda call: None, Point.norm, {"kind": "before"}))
    assert not hasattr(point, "__dict__")
    assert point.norm() == 1


def test_static_and_class_methods() -> None:
    calls: list[tuple[Any, str, tuple[Any, ...]]] = []

    def tell(call: Call, proceed: Proceed) -> Any:
        calls.append((call.target, call.name, call.args))
        return proceed(call)

    shop = make(Shop, (tell, (Shop.tax, Shop.kind)))
    assert shop.tax(10) == 2
    assert shop.kind() == "Shop"
    assert calls == [(None, "tax", (10,)), (type(shop), "kind", ())]


def test_constructor_advice() -> None:
    def elsewhere(call: Call) -> None:
        call.kwargs["city"] = "there"

    assert make(Shop, (elsewhere, f"{Shop.__module__}:Shop.__init__", {"kind": "before"})).city == "there"


def test_constructor_advice_of_a_dataclass_that_is_injected() -> None:
    @dataclass
    class Api:
        shop: Shop

    seen: list[str] = []
    setup = new_setup()
    setup.add_bean(Shop)
    setup.add_bean(Api)
    setup.advice(teller(seen, "made"), "*:*.Api.__init__", kind="after")
    assert isinstance(setup.commit().get(Api).shop, Shop)
    assert seen == ["made"]


def test_a_class_that_refuses_subclasses_is_named() -> None:
    class Closed:
        def work(self) -> None: ...

        def __init_subclass__(cls) -> None:
            raise TypeError("closed for good")

    with pytest.raises(StartError, match=r"Closed \(test_aspect\.py:\d+\): advice needs a subclass.*closed for good"):
        make(Closed, (lambda call: None, Closed.work, {"kind": "before"}))


# -- where it applies ----------------------------------------------------------------------------------------------

HERE = Shop.__module__


@pytest.mark.parametrize("what", [Shop.place, "*:Shop.place", "*:SmallShop.place"])
def test_a_pointcut_holds_for_overriding_methods(what: Any) -> None:
    seen: list[str] = []
    shop = make(SmallShop, (teller(seen, "before"), what, {"kind": "before"}))
    assert shop.place("x") == "small x*1"
    assert seen == ["before"]


def test_pointcut_by_mark() -> None:
    class Counter:
        @marker("logged")
        def one(self) -> None: ...

        @staticmethod
        @marker("logged")
        def two() -> None: ...

        def three(self) -> None: ...

    seen: list[str] = []
    bean = make(Counter, (lambda call: seen.append(call.name), "@logged", {"kind": "before"}))
    bean.one()
    bean.two()
    bean.three()
    assert seen == ["one", "two"]
    assert marks_of(type(bean).two, "logged")


@pytest.mark.parametrize("deny", ["*:Shop.pl*", ("*:Shop.pl*",), Shop.place, (Shop.place,), ("*:*.nothing", "*:Shop.place")])
def test_deny(deny: Any) -> None:
    seen: list[str] = []
    shop = make(Shop, (lambda call: seen.append(call.name), "*:Shop.*", {"kind": "before", "deny": deny}))
    shop.twice("x")
    assert seen == ["twice"]


def test_advice_that_matches_in_several_ways_applies_once() -> None:
    seen: list[str] = []
    tell = teller(seen, "before")
    shop = make(
        Shop,
        (tell, (Shop.place, "*:Shop.place", "*:Shop.*"), {"kind": "before"}),
        (tell, "*:*.place", {"kind": "before", "priority": 7}),
    )
    shop.place("x")
    assert seen == ["before"]


def test_pointcut_that_matches_nothing_names_its_place_and_what_is_near() -> None:
    with pytest.raises(PointcutError, match=r"test_aspect\.py:\d+: '.*Shop\.plcae' matches no method of any bean") as caught:
        make(Shop, (print, (Shop.twice, f"{HERE}:Shop.plcae")))
    assert "Shop.place" in caught.value.hint
    with pytest.raises(PointcutError, match=r"SmallShop\.place matches no method") as caught:
        make(Shop, (print, SmallShop.place))
    with pytest.raises(PointcutError, match=r"Shop\.total"):
        make(Shop, (print, "*:Shop.total"))


@pytest.mark.parametrize("where", ["place", "shop:place", ":Shop.place", "shop:.place", "shop:Shop.", Shop, Shop.total, 3])
def test_malformed_pointcut(where: Any) -> None:
    with pytest.raises(PointcutError, match=r"test_aspect\.py:\d+: ") as caught:
        make(Shop, (print, where))
    assert "shop:Shop.*" in caught.value.hint


def test_advice_without_a_place_or_of_an_unknown_kind() -> None:
    with pytest.raises(PointcutError, match="does not say where it belongs"):
        make(Shop, (print, ()))
    with pytest.raises(StartError, match="no advice 'during', there are around, before"):
        make(Shop, (print, Shop.place, {"kind": "during"}))


def test_advice_that_comes_after_the_weaving_is_refused() -> None:
    setup = new_setup()
    setup.add_bean(Shop)
    setup.on_commit(lambda: setup.advice(print, Shop.place))
    with pytest.raises(StartError, match="comes too late"):
        setup.commit()


# -- marks ---------------------------------------------------------------------------------------------------------

MARKED = """
from greenimi.marks import after, after_returning, after_throwing, around, bean, before

seen = []

@bean
class Shop:
    def place(self, sku):
        seen.append("body")
        return {}[sku] if sku else sku

@bean
class Audit:
    def __init__(self):
        self.count = 0
    @around("shop:Shop.*", priority=1)
    def outer(self, call, proceed):
        self.helper()
        return proceed(call)
    @staticmethod
    @before("*:*.*")
    def first(call):
        seen.append("first")
    def helper(self):
        self.count += 1

@around(Shop.place)
def inner(call, proceed):
    seen.append("in")
    try:
        return proceed(call)
    finally:
        seen.append("out")

@after(Shop.place)
def tell_after(call):
    seen.append("after")

@after_returning(Shop.place, deny=("*:*.nothing",))
def tell_returning(call):
    seen.append("returning")

@after_throwing(Shop.place, errors=(LookupError,), deny_errors=(IndexError,))
def tell_throwing(call):
    seen.append("throwing")
    call.suppress("none")
"""


def commit_package(module: Any, **tree: Any) -> Container:
    setup = new_setup(**tree)
    setup.include(module)
    return setup.commit()


def test_the_five_decorators_on_functions_and_methods_of_beans(package: Any) -> None:
    shop = package({"shop.py": MARKED})
    container = commit_package(shop)
    assert container.get(shop.Shop).place("") == ""
    assert shop.seen == ["in", "first", "body", "after", "returning", "out"]
    shop.seen.clear()
    assert container.get(shop.Shop).place("x") == "none"
    assert shop.seen == ["in", "first", "body", "throwing", "out"]
    assert container.get(shop.Audit).count == 2
    assert type(container.get(shop.Audit)) is shop.Audit


def test_decorated_pointcut_that_matches_nothing_names_the_line(package: Any) -> None:
    shop = package({"shop.py": "from greenimi.marks import around\n\n@around('shop:Shop.place')\ndef audit(call, proceed): ..."})
    with pytest.raises(PointcutError, match=r"shop\.py:3: 'shop:Shop\.place' matches no method of any bean"):
        commit_package(shop)


def test_advice_on_a_class_and_on_a_method_of_no_bean(package: Any) -> None:
    shop = package({"shop.py": "from greenimi.marks import around\n@around('*:*.x')\nclass Wrong: ..."})
    with pytest.raises(StartError, match=r"shop\.py:2: advice is a function or a method of a bean, and Wrong is neither"):
        commit_package(shop)
    other = package(
        {
            "other.py": """
            from greenimi.marks import around, bean
            @bean
            class Shop:
                def place(self): ...
            class Audit:
                @around(Shop.place)
                def check(self, call, proceed): ...
            """
        }
    )
    with pytest.raises(StartError, match=r"other\.py:7: an advice that is a method needs its bean.*Audit"):
        commit_package(other)


def test_beans_that_the_environment_leaves_out(package: Any) -> None:
    shop = package(
        {
            "shop.py": """
            from greenimi.marks import around, bean, before
            seen = []
            @bean
            class Shop:
                def place(self): seen.append("body")
            @bean(env="production")
            class Mailer:
                def send(self): ...
            @bean(env="production")
            class Audit:
                @before(Shop.place)
                def check(self, call): seen.append("checked")
            @around(Mailer.send)
            def audit(call, proceed): ...
            """
        }
    )
    commit_package(shop).get(shop.Shop).place()
    assert shop.seen == ["body"]
    commit_package(shop, environment="production").get(shop.Shop).place()
    assert shop.seen == ["body", "checked", "body"]


def test_partial_methods_are_advised(package: Any) -> None:
    shop = package(
        {
            "shop.py": """
            from greenimi.marks import bean, before, partial
            seen = []
            @bean
            class Shop: ...
            @partial(Shop)
            class More:
                def extra(self): return "extra"
            @before("shop:Shop.extra")
            def by_name(call): seen.append("by name")
            @before(More.extra)
            def by_method(call): seen.append("by method")
            """
        }
    )
    assert commit_package(shop).get(shop.Shop).extra() == "extra"
    assert shop.seen == ["by name", "by method"]


# -- conf ----------------------------------------------------------------------------------------------------------


def test_advice_from_conf(package: Any) -> None:
    shop = package(
        {
            "shop.py": """
            def note(call): call.args = ("noted",)
            def wrap(call, proceed): return [proceed(call)]
            def inside(call, proceed): return f"<{proceed(call)}>"
            """
        }
    )
    aspects = [
        {"where": "*:Shop.place", "advice": "shop:inside"},
        {"where": ["*:Shop.t*", f"{HERE}:Shop.place"], "advice": "shop:wrap", "deny": "*:Shop.t*", "priority": 3},
        {"where": "*:Shop.place", "advice": "shop:note", "kind": "before"},
    ]
    bean = make(Shop, aspects=aspects)
    assert bean.place("x") == ["<noted*1>"]
    assert bean.tax(10) == 2
    assert shop.__name__ == "shop"


@pytest.mark.parametrize(
    ("table", "error", "text"),
    [
        ({"where": "*:Shop.place", "advice": "nowhere:fn"}, ConfigError, r"aspects\.0\.advice: there is no module nowhere"),
        (
            {"where": "*:Shop.nothing", "advice": "builtins:print"},
            PointcutError,
            r"aspects\.0 \(.*\): '\*:Shop\.nothing' matches no method",
        ),
        ({"where": "*:Shop.place", "advice": "builtins:print", "kind": "during"}, ConfigError, r"aspects\.0\.kind"),
        ({"where": "*:Shop.place", "advise": "builtins:print"}, ConfigError, "advise"),
    ],
)
def test_mistakes_in_conf(table: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(Shop, aspects=[table])
