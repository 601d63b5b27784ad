from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from zope.interface import Interface, implementer

from greenimi.container import Container, Lazy, Scope
from greenimi.container.binding import Binding
from greenimi.errors import AmbiguousBean, ConflictError, Frozen, MissingBean, NoScope


class IStore(Interface):
    """A place to keep things."""


class IFastStore(IStore):
    """A fast one."""


class Reader(Protocol):
    size: int

    def read(self, key: str) -> str: ...


class Base:
    pass


@implementer(IFastStore)
class Store(Base):
    size = 3

    def read(self, key: str) -> str:
        return key


class WrongReader:
    size = 3

    def read(self) -> str:
        return ""


class Other(Base):
    pass


class User:
    def __init__(self, store: Store) -> None:
        self.store = store


class LazyUser:
    def __init__(self, store: Lazy[Store]) -> None:
        self.store = store


class Cart:
    pass


MESSAGE = {"lifetime": "message"}


@pytest.mark.parametrize("key", [Store, Base, IStore, IFastStore, Reader])
def test_one_bean_is_found_by_class_base_interface_and_shape(commit: Any, key: Any) -> None:
    container = commit(Store, WrongReader)
    assert type(container.get(key)) is Store
    assert container.get(key) is container.get(Store)


def test_nothing_found_names_the_key_and_says_what_to_do(commit: Any) -> None:
    container = commit(Other)
    with pytest.raises(MissingBean, match=r"nothing in the container app provides Store\n  hint: mark it .* with @bean"):
        container.get(Store)
    assert container.query(Store) is None
    assert container.query(Store, default=5) == 5


def test_several_found_is_ambiguous_and_names_both_places(commit: Any) -> None:
    container = commit(Store, Other)
    with pytest.raises(AmbiguousBean, match=r"Base is provided by Store \(.*\.py:\d+\) and by Other \(.*\.py:\d+\)"):
        container.get(Base)
    assert type(container.get(Base, "Other")) is Other
    assert list(container.all(Base)) == ["Store", "Other"]
    with pytest.raises(MissingBean, match=r"under the name 'Third'\n  hint: .*Other, Store"):
        container.get(Base, "Third")


def test_all_names_are_told_also_where_one_is_the_default() -> None:
    container = Container("app")
    for name in ("default", "reports"):
        container.add(Store, Store(), name=name)
    with pytest.raises(MissingBean, match="provided under the names default, reports"):
        container.get(Store, "report")


def test_two_classes_of_one_name_stay_apart(commit: Any) -> None:
    twin = type("Store", (), {"__module__": Store.__module__})
    container = commit(Store, twin)
    assert type(container.get(Store)) is Store
    assert type(container.get(twin)) is twin


def test_children_see_the_parents_beans_and_their_own_first() -> None:
    app = Container("app")
    key: Any = Base
    web, till = app.child("web"), app.child("till")
    app.add(Base, "app's")
    web.add(Base, "web's")
    app.add(int, 1, "one")
    web.add(int, 2, "two")
    assert (web.get(key), till.get(key), app.get(key)) == ("web's", "app's", "app's")
    assert web.all(int) == {"one": 1, "two": 2}
    assert app.query(int, "two") is None
    assert web.get(Container) is web


def test_what_is_added_to_the_parent_later_shows_in_a_warm_child() -> None:
    app = Container("app")
    web = app.child("web")
    assert web.query(Base) is None
    late = Base()
    app.add(Base, late)
    assert web.get(Base) is late


def test_adding_twice_is_a_conflict_and_after_freeze_impossible() -> None:
    app = Container("app")
    app.add(Base, "a")
    with pytest.raises(ConflictError, match=r"Base .*test_registry\.py:\d+\) and .*test_registry\.py:\d+"):
        app.add(Base, "b")
    app.freeze()
    with pytest.raises(Frozen):
        app.add(Base, "c", "other")


def test_a_key_is_a_class_or_an_interface() -> None:
    with pytest.raises(TypeError, match="not for 'Store'"):
        Container("app").get("Store")


def test_message_beans_live_in_the_scope(commit: Any) -> None:
    container = commit((Cart, MESSAGE))
    with Scope(container):
        first = container.get(Cart)
        assert container.get(Cart) is first
        with Scope(container):
            assert container.get(Cart) is not first
        assert container.get(Cart) is first
    with pytest.raises(NoScope):
        container.get(Cart)


def test_create_makes_a_fresh_object_and_the_arguments_win(commit: Any) -> None:
    container = commit(Store, User)
    stored = container.get(User)
    fresh, own = container.create(User), Store()
    assert fresh is not stored
    assert fresh.store is stored.store
    assert container.create(User, own).store is own
    assert container.create(User, store=own).store is own
    assert container.get(User) is stored


# -- drivers -------------------------------------------------------------------------------------------------------


def test_a_driver_is_a_named_factory(commit: Any) -> None:
    container = commit((Store, {"driver": "memory", "provides": IStore}), (Other, {"driver": "file", "provides": IStore}))
    make = container.driver(IStore, "memory")
    assert type(make()) is Store
    assert make() is not make()
    assert container.drivers(IStore) == ["file", "memory"]
    with pytest.raises(MissingBean, match=r"IStore has no driver 'memroy'\n  hint: did you mean memory\?"):
        container.driver(IStore, "memroy")
    with pytest.raises(MissingBean, match="it has drivers only"):
        container.get(IStore)


# -- override ------------------------------------------------------------------------------------------------------


def test_override_shows_by_every_key_and_restores_exactly(commit: Any) -> None:
    container = commit(Store, User)
    child = container.child("web")
    store, user = container.get(Store), child.get(User)
    with container.override(Store, "fake") as fake:
        assert fake == "fake"
        assert [c.get(key) for c in (container, child) for key in (Store, IStore, Base)] == ["fake"] * 6
        assert child.get(User).store == "fake"
        with container.override(IStore, "inner"):
            assert child.get(User).store == "inner"
        assert child.get(User).store == "fake"
    assert container.get(Store) is store
    assert child.get(User) is user
    assert user.store is store


def test_override_in_a_child_leaves_the_parent_alone(commit: Any) -> None:
    container = commit(Store)
    child = container.child("web")
    with child.override(Store, "fake"):
        assert child.get(IStore) == "fake"
        assert type(container.get(IStore)) is Store


def test_override_of_what_was_not_there(commit: Any) -> None:
    container = commit(Other)
    with container.override(Store, "fake"):
        assert container.get(IStore) == "fake"
    assert container.query(IStore) is None


def test_override_of_message_beans_and_lazy_ones(commit: Any) -> None:
    container = commit(Store, LazyUser, (Cart, MESSAGE))
    user = container.get(LazyUser)
    with Scope(container):
        cart = container.get(Cart)
        with container.override(Cart, "fake"), container.override(Store, "store"):
            assert container.get(Cart) == "fake"
            assert user.store() == "store"
        assert container.get(Cart) is cart


def test_override_restores_after_an_error(commit: Any) -> None:
    container = commit(Store)
    store = container.get(Store)
    with pytest.raises(ValueError, match="boom"), container.override(Store, "fake"):
        raise ValueError("boom")
    assert container.get(Store) is store


class Engine:
    def __init__(self, store: Any) -> None:
        self.store = store


def test_beans_made_for_an_override_are_closed_with_it(commit: Any) -> None:
    closed: list[Any] = []

    def engine(store: Store) -> Iterator[Engine]:
        yield Engine(store)
        closed.append(store)

    engine.__annotations__ = {"store": Store, "return": Iterator[Engine]}
    container = commit(Store, engine)
    before = container.get(Engine)
    with container.override(Store, "fake"):
        assert container.get(Engine).store == "fake"
        assert closed == []
    assert closed == ["fake"]
    assert container.get(Engine) is before
    container.close()
    assert closed == ["fake", before.store]


# -- the end -------------------------------------------------------------------------------------------------------


def test_close_runs_all_endings_last_first_children_before(commit: Any) -> None:
    log: list[str] = []
    app = Container("app")
    child = app.child("web")

    def fail() -> None:
        log.append("fail")
        raise ValueError("boom")

    app.endings += [lambda: log.append("first"), fail, lambda: log.append("last")]
    child.endings.append(lambda: log.append("child"))
    with pytest.raises(ValueError, match="boom"):
        app.close()
    assert log == ["child", "last", "fail", "first"]
    app.close()
    assert len(log) == 4


def test_a_container_and_its_classes_can_go(commit: Any) -> None:
    class Local:
        pass

    container = commit(Local)
    container.get(Local)
    gone = weakref.ref(Local), weakref.ref(container)
    del Local, container
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_a_late_bean_is_there_for_who_asks_and_nobody_else(commit: Any) -> None:
    """Its class need not be imported when the application is set up."""
    container = commit(Other)
    made: list[str] = []

    def late() -> Binding:
        made.append("bound")
        return Binding(container, (Store,), "default", instance=Store())

    container.late[f"{Store.__module__}:Store"] = late
    child = container.child("web")
    assert child.query(Other) is None or made == []
    assert made == []
    with pytest.raises(MissingBean):
        child.get(Store, "reports")
    found = child.get(Store, "default")
    assert container.frozen
    assert container.get(Store) is found
    assert not container.late
