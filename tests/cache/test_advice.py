"""``@cacheable``, ``@cache_put``, ``@cache_evict``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from greenimi import around, bean, cache_evict, cache_put, cacheable, get, green, http
from greenimi.cache.front import Cache
from greenimi.container import Scope
from greenimi.container.aspect import Call
from greenimi.errors import NoScope, StartError
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class User:
    id: int
    name: str


class Users:
    """Counts the calls that get through."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.names = {1: "ann", 2: "bob"}

    @cacheable("user:{user_id}", ttl=60.0)
    def load(self, user_id: int) -> User | None:
        self.calls.append(user_id)
        return User(user_id, self.names[user_id]) if user_id in self.names else None

    @cacheable(ttl=60.0)
    def search(self, text: str, *more: Any, limit: int = 10, **options: Any) -> list[str]:
        self.calls.append(text)
        return [text, str(limit)]

    @cacheable("names:{user_id}:{short}", tags=("user:{user_id}", "names"))
    def name(self, user_id: int, short: bool = False) -> str:
        self.calls.append(user_id)
        return self.names[user_id][: 1 if short else None]

    @cacheable("found:{text}", when=bool, lock=False)
    def find(self, text: str) -> list[str]:
        self.calls.append(text)
        return [text] if text else []

    @cacheable("data:{data.name}")
    def of(self, data: Any) -> str:
        self.calls.append(data)
        return "of"

    @cache_put("user:{result.id}", tags=("user:{result.id}",))
    def create(self, name: str) -> User:
        self.calls.append(name)
        return User(max(self.names) + 1, name)

    @cache_put("user:{user_id}", value="data.user", when=lambda result: "data" in result)
    def change(self, user_id: int, **more: Any) -> dict[str, Any]:
        return more or {"data": {"user": {"id": user_id, "name": "new"}}}

    @cache_evict("user:{user_id}", tags=("user:{user_id}",))
    def rename(self, user_id: int, name: str) -> None:
        if not name:
            raise ValueError("no name")
        self.names[user_id] = name

    @cache_evict(["user:{user_id}", "found:{result}"])
    def remove(self, user_id: int) -> str:
        return self.names.pop(user_id)

    @cache_evict("user:{user_id}", before=True)
    def reset(self, user_id: int) -> None:
        raise ValueError("failed after all")


@pytest.fixture
def cache(app_factory: AppFactory) -> Cache:
    return app_factory().container.get(Cache)


@pytest.fixture
def users(cache: Cache) -> Users:
    return Users()


def test_a_hit_skips_the_call(users: Users) -> None:
    assert users.load(1) == users.load(1) == users.load(user_id=1) == User(1, "ann")
    assert users.load(2) == User(2, "bob")
    assert users.calls == [1, 2]


def test_each_caller_gets_an_object_of_his_own(users: Users) -> None:
    users.load(1).name = "changed"  # type: ignore[union-attr]
    users.load(1).name = "changed"  # type: ignore[union-attr]
    assert users.load(1) == User(1, "ann")


def test_none_is_kept(users: Users) -> None:
    assert [users.load(9), users.load(9)] == [None, None]
    assert users.calls == [9]


def test_a_hundred_misses_call_it_once(users: Users, cache: Cache) -> None:
    may_go_on = green.Event()

    class Slow:
        calls = 0

        @cacheable("slow:{key}")
        def load(self, key: str) -> dict[str, str]:
            Slow.calls += 1
            assert may_go_on.wait(10)
            return {"key": key}

    asking = [green.spawn(Slow().load, "a") for _ in range(100)]
    wait_until(lambda: Slow.calls)
    may_go_on.set()
    assert [greenlet.get() for greenlet in asking] == [{"key": "a"}] * 100
    assert Slow.calls == 1


def test_without_a_key_all_arguments_count_but_self(users: Users, cache: Cache) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("a",), {}),
        (("b",), {}),
        (("a",), {"limit": 11}),
        (("a", 1), {}),
        (("a", "1"), {}),
        (("a", [1, {"b": None}]), {}),
        (("a",), {"more": 1}),
    ]
    for args, kwargs in calls * 2:
        users.search(*args, **kwargs)
    users.search(text="a", limit=10)
    Users().search("a")
    assert len(users.calls) == len(calls)


def test_templates_and_tags(users: Users, cache: Cache) -> None:
    assert [users.name(1), users.name(1, True), users.name(1, short=True), users.name(2)] == ["ann", "a", "a", "bob"]
    assert users.calls == [1, 1, 2]
    assert cache.get("names:1:True") == "a"
    cache.evict_tags("user:1")
    assert users.name(1) == "ann"
    assert users.name(2) == "bob"
    assert users.calls == [1, 1, 2, 1]


def test_when(users: Users) -> None:
    for text in ("", "", "x", "x"):
        users.find(text)
    assert users.calls == ["", "", "x"]


def test_paths_in_keys(users: Users) -> None:
    users.of({"name": "a", "other": 1})
    users.of({"name": "a", "other": 2})
    users.of(User(1, "a"))
    users.of(User(1, "b"))
    assert len(users.calls) == 2


def test_put_keeps_what_was_returned(users: Users, cache: Cache) -> None:
    assert users.create("eve") == User(3, "eve")
    assert users.create("eve") == User(3, "eve")
    assert users.calls == ["eve", "eve"], "it is always called"
    assert users.load(3) == User(3, "eve")
    cache.evict_tags("user:3")
    assert users.load(3) is None


def test_put_keeps_the_chosen_part(users: Users) -> None:
    users.load(1)
    users.change(1, error=True)
    assert users.load(1) == User(1, "ann")
    users.change(1)
    assert users.load(1) == User(1, "new")


def test_put_of_a_part_that_is_not_there(cache: Cache) -> None:
    @cache_put("a", value="data.user")
    def change() -> dict[str, Any]:
        return {"data": {}}

    with pytest.raises(ValueError, match=r"there is no user in what was returned, on the way to its data\.user"):
        change()


def test_evict_after_success_only(users: Users) -> None:
    users.load(1)
    users.name(1)
    with pytest.raises(ValueError, match="no name"):
        users.rename(1, "")
    users.load(1)
    users.name(1)
    assert users.calls == [1, 1]
    users.rename(1, "anna")
    assert users.load(1) == User(1, "anna")
    assert users.name(1) == "anna"


def test_evict_before(users: Users) -> None:
    users.load(1)
    with pytest.raises(ValueError, match="failed after all"):
        users.reset(1)
    users.load(1)
    assert users.calls == [1, 1]


def test_evict_several_and_by_the_result(users: Users, cache: Cache) -> None:
    users.load(1)
    users.find("ann")
    users.remove(1)
    assert users.load(1) is None
    assert not cache.has("found:ann")


def test_functions_static_and_class_methods(cache: Cache) -> None:
    calls: list[Any] = []

    @cacheable("plain:{a}")
    def plain(a: int) -> int:
        calls.append(a)
        return a

    class Some:
        @staticmethod
        @cacheable("static:{a}")
        def static(a: int) -> int:
            calls.append(a)
            return a

        @classmethod
        @cacheable()
        def of_class(cls, a: int) -> int:
            calls.append(a)
            return a

    for _ in range(2):
        assert plain(1) == Some.static(2) - 1 == Some.of_class(3) - 2 == Some().of_class(3) - 2
    assert calls == [1, 2, 3]
    assert plain.__name__ == "plain"


def test_a_wrong_call_is_the_functions_error(users: Users) -> None:
    call: Any = users.load
    with pytest.raises(TypeError, match="user_id"):
        call()
    assert users.calls == []


# -- which cache -------------------------------------------------------------------------------------------------------


def test_it_asks_the_current_container(app_factory: AppFactory) -> None:
    conf = {"servers": {"web": {"kind": "http"}}}
    one, two = app_factory((), conf).container, app_factory((), conf).container
    users = Users()
    with Scope(one):
        users.load(1)
    with Scope(two):
        users.load(1)
    with Scope(one):
        users.load(1)
    assert users.calls == [1, 1]


def test_without_an_application_it_says_what_to_do() -> None:
    with pytest.raises(NoScope, match="there is no current container"):
        Users().load(1)


def test_caches_by_name(app_factory: AppFactory) -> None:
    app = app_factory((), {"cache": {"reports": {"ttl": 5}}})

    @cacheable("a", cache="reports")
    def load() -> str:
        return "x"

    load()
    assert app.container.get(Cache, "reports").get("a") == "x"
    assert app.container.get(Cache).get("a") is None


def reports(name: str) -> type:
    class Reports:
        @cacheable("a", cache=name)
        def load(self) -> str:
            return "x"

    return bean(Reports)


def test_a_cache_that_is_not_there_is_found_at_the_start(app_factory: AppFactory) -> None:
    with pytest.raises(StartError, match=r"test_advice.py:\d+: @cacheable on load: there is no \[cache.reprots\]; did you mean reports"):
        app_factory([reports("reprots")], {"cache": {"reports": {}}})
    app_factory([reports("reports")], {"cache": {"reports": {}}})


seen: list[str] = []


@bean
class Shop:
    @cacheable("price:{sku}")
    def price(self, sku: str) -> int:
        seen.append(sku)
        return len(sku)


@around("@cacheable")
def watch(call: Call, proceed: Any) -> Any:
    seen.append("watched")
    return proceed(call)


@http
class Prices:
    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    @get("/{sku}")
    def show(self, sku: str) -> int:
        return self.shop.price(sku)

    @get("/own/{sku}")
    @cacheable("own:{sku}")
    def own(self, sku: str) -> dict[str, str]:
        seen.append(sku)
        return {"sku": sku}


def test_beans_aspects_and_handlers(app_factory: AppFactory) -> None:
    app = app_factory([Shop, watch, Prices], {"servers": {"web": {"kind": "http"}}})
    seen.clear()
    with HttpClient(app) as web:
        assert [web.get("/tea").json() for _ in range(2)] == [3, 3]
        assert [web.get("/own/cup").json() for _ in range(2)] == [{"sku": "cup"}] * 2
    assert [what for what in seen if what != "watched"] == ["tea", "cup"]
    assert "watched" in seen


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_decorated() -> None:
    def function(a: int) -> int:
        return a

    def generator() -> Iterable[int]:
        yield 1

    def function_of_class(cls: type) -> int:
        return 1

    wrong: Any = "user:1"
    cases: list[tuple[Any, Any, type[Exception], str]] = [
        (cacheable("user:{b}"), function, ValueError, "there is no parameter b"),
        (cacheable("{a"), function, ValueError, "does not fit"),
        (cacheable("user:{result.id}"), function, ValueError, "there is no parameter result"),
        (cacheable("a", tags=("{b}",)), function, ValueError, "there is no parameter b"),
        (cacheable("a", tags=wrong), function, TypeError, r'tags=\("user:1",\)'),
        (cache_put("{b}"), function, ValueError, "there is no parameter b"),
        (cache_evict("{result}", before=True), function, ValueError, "there is no parameter result"),
        (cacheable("a"), generator, TypeError, "returns before its work is done"),
        (cacheable("a"), classmethod(function_of_class), TypeError, "put @classmethod or @staticmethod above it"),
        (cacheable("a"), User(1, "a"), TypeError, "is for functions and methods"),
    ]
    for decorator, target, error, problem in cases:
        with pytest.raises(error, match=problem):
            decorator(target)
    with pytest.raises(TypeError, match="needs to be told what"):
        cache_evict()


def test_what_cannot_come_back_is_told_at_the_first_call(cache: Cache) -> None:
    @cacheable("a")
    def lies() -> int:
        return "text"  # type: ignore[return-value]

    @cacheable("b")
    def unknown() -> Iterable[int]:
        return [1]

    @cacheable("c")
    def thing() -> Any:
        return object()

    for function, problem in ((lies, "would not come back as"), (unknown, "must be importable"), (thing, "cannot be kept")):
        for _ in range(2):
            with pytest.raises(TypeError, match=problem):
                function()
