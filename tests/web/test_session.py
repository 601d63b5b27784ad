"""Sessions: their values, their ids, and what of them is written when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.message import Request
from greenimi.web.session import NoSession, Session, Sessions, key_of, session_of
from greenimi.web.session_stores import MemoryStore
from greenimi.web.settings import SessionSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now


class Watched(MemoryStore):
    """A store that tells what was asked of it."""

    def __init__(self, settings: SessionSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.calls: list[str] = []

    def get(self, key: str) -> tuple[Mapping[str, bytes], float] | None:
        self.calls.append("get")
        return super().get(key)

    def set(self, key: str, values: Mapping[str, bytes], lifetime: float) -> None:
        self.calls.append("set")
        super().set(key, values, lifetime)

    def change(self, key: str, changed: Mapping[str, bytes], removed: Sequence[str], lifetime: float) -> bool:
        self.calls.append(f"change {sorted(changed)} {sorted(removed)}")
        return super().change(key, changed, removed, lifetime)

    def delete(self, key: str) -> bool:
        self.calls.append("delete")
        return super().delete(key)


class World:
    """The sessions of a server, and its one client."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.settings = SessionSettings(**settings)
        self.store = Watched(self.settings, self.clock)
        self.sessions = Sessions(self.store, self.settings, self.clock)

    def begin(self, id: str = "") -> Session:
        return Session(self.sessions, id)

    def stored(self, values: Mapping[str, Any]) -> str:
        """The id of a session that has these values."""
        session = self.begin()
        for name, value in values.items():
            session.set(name, value)
        session.commit()
        self.store.calls.clear()
        return session.id


@pytest.fixture
def world() -> World:
    return World()


# -- values --------------------------------------------------------------------------------------------------------


def test_values_are_kept(world: World) -> None:
    known = world.stored({"user": 7, "cart": {"tea": 2}, "raw": b"\xff", "none": None})
    session = world.begin(known)
    assert [session.get(name) for name in ("user", "cart", "raw", "none")] == [7, {"tea": 2}, b"\xff", None]
    assert session.get("other") is None
    assert session.get("other", 5) == 5
    assert session.get("none", 5) is None
    assert "none" in session
    assert "other" not in session


def test_dots_reach_into_dicts(world: World) -> None:
    session = world.begin()
    session.set("cart.tea.pieces", 2)
    session.set("cart.tea.size", "L")
    assert session.get("cart") == {"tea": {"pieces": 2, "size": "L"}}
    assert session.get("cart.tea.pieces") == 2
    assert session.get("cart.coffee.pieces", 0) == 0
    assert session.get("cart.tea.pieces.more", 0) == 0
    assert session.delete("cart.tea.size")
    assert not session.delete("cart.tea.size")
    assert not session.delete("cart.x.y.z")
    assert session.get("cart") == {"tea": {"pieces": 2}}
    with pytest.raises(TypeError, match=r"cart.tea.pieces.more: what holds it in the session is int"):
        session.set("cart.tea.pieces.more", 1)


@pytest.mark.parametrize("name", ["", ".a", "@."])
def test_a_name_is_not_empty(world: World, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        world.begin().get(name)


def test_once_reads_and_deletes(world: World) -> None:
    known = world.stored({"notice": "saved", "a": {"b": 1}})
    session = world.begin(known)
    assert session.once("notice") == "saved"
    assert session.once("notice", "nothing") == "nothing"
    assert session.once("a.b") == 1
    session.commit()
    assert "notice" not in world.begin(known)
    assert world.begin(known).get("a") == {}


def test_what_cannot_be_kept_is_refused_where_it_is_set(world: World) -> None:
    session = world.begin()
    with pytest.raises(TypeError):
        session.set("a", object())
    assert "a" not in session
    session.set("day", date(2030, 1, 2))
    session.commit()
    assert world.begin(session.id).get("day") == "2030-01-02"


def test_prefixes_keep_servers_apart() -> None:
    shop, admin = World(prefix="shop"), World(prefix="admin")
    admin.store = shop.store
    admin.sessions = Sessions(shop.store, admin.settings, shop.clock)
    known = shop.stored({"user": "ann", "@.theme": "dark"})
    session = admin.begin(known)
    assert session.get("user") is None
    assert session.get("@.theme") == "dark"
    session.set("user", "root")
    session.commit()
    assert shop.begin(known).get("user") == "ann"
    assert admin.begin(known).get("user") == "root"


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda name: "." not in name),
        st.recursive(
            st.integers(-(2**63), 2**64 - 1) | st.text() | st.none(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_any_values_come_back(values: dict[str, Any]) -> None:
    world = World(max_size=10**9)
    session = world.begin(world.stored(values))
    assert {name: session.get(name) for name in values} == values
    assert not session.is_changed


# -- what is read and written --------------------------------------------------------------------------------------


def test_a_session_that_nobody_uses_costs_nothing(world: World) -> None:
    known = world.stored({"a": 1})
    session = world.begin(known)
    assert not session.is_used
    assert not session.is_changed
    session.commit()
    assert world.store.calls == []


def test_a_new_session_without_values_is_not_kept(world: World) -> None:
    session = world.begin()
    assert session.is_new
    assert session.get("a") is None
    session.delete("a")
    assert not session.is_changed
    session.commit()
    assert not session.fresh
    assert world.store.calls == []


def test_reading_writes_nothing(world: World) -> None:
    session = world.begin(world.stored({"a": 1, "b": [1]}))
    assert session.get("a") == 1
    assert session.get("b") == [1]
    assert not session.is_new
    session.set("a", 1)
    assert not session.is_changed
    session.commit()
    assert world.store.calls == ["get"]
    assert not session.fresh


def test_only_what_changed_is_written(world: World) -> None:
    session = world.begin(world.stored({"a": 1, "b": 2, "c": 3}))
    session.set("b", 5)
    session.delete("c")
    session.set("d", 6)
    session.delete("e")
    assert session.is_changed
    session.commit()
    assert world.store.calls == ["get", "change ['b', 'd'] ['c']"]
    assert not session.fresh


def test_changes_in_place_are_noticed(world: World) -> None:
    known = world.stored({"cart": ["tea"], "other": ["x"]})
    session = world.begin(known)
    session.get("cart").append("coffee")
    session.get("other")
    assert session.is_changed
    session.commit()
    assert world.store.calls == ["get", "change ['cart'] []"]
    assert world.begin(known).get("cart") == ["tea", "coffee"]


def test_of_two_requests_each_writes_what_it_changed(world: World) -> None:
    known = world.stored({"a": 1, "b": 1, "both": 1})
    one, two = world.begin(known), world.begin(known)
    one.set("a", "one")
    one.set("both", "one")
    two.set("b", "two")
    two.set("both", "two")
    two.commit()
    one.commit()
    session = world.begin(known)
    assert [session.get(name) for name in ("a", "b", "both")] == ["one", "two", "one"]


def test_clear_keeps_the_id(world: World) -> None:
    known = world.stored({"a": 1, "b": 2})
    session = world.begin(known)
    session.clear()
    session.set("c", 3)
    session.commit()
    again = world.begin(known)
    assert [again.get(name) for name in "abc"] == [None, None, 3]
    assert not again.is_new
    assert not session.fresh


def test_a_session_is_bounded() -> None:
    world = World(max_size=1000)
    session = world.begin()
    session.set("a", "x" * 1000)
    with pytest.raises(ValueError, match="over max_size, which is 1000"):
        session.commit()
    known = world.stored({"a": "x" * 500})
    session = world.begin(known)
    session.set("b", "x" * 500)
    with pytest.raises(ValueError, match="over max_size"):
        session.commit()
    assert "b" not in world.begin(known)


# -- ids -----------------------------------------------------------------------------------------------------------


def test_ids_cannot_be_guessed(world: World) -> None:
    ids = {world.stored({"a": 1}) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", each) for each in ids)


def test_a_store_learns_no_id(world: World) -> None:
    known = world.stored({"a": 1})
    assert list(world.store._sessions) == [key_of(known)]
    assert re.fullmatch(r"[0-9a-f]{64}", key_of(known))


@pytest.mark.parametrize("sent", ["x" * 32, "", "../../etc/passwd", "x" * 31, "x" * 33, "ä" * 32, "x" * 31 + "\n", "a" * 5000])
def test_an_id_that_the_client_chose_is_never_taken_over(world: World, sent: str) -> None:
    session = world.begin(sent)
    assert session.is_new
    session.set("a", 1)
    assert session.id != sent
    session.commit()
    assert session.fresh
    assert world.begin(sent).is_new
    assert world.begin(session.id).get("a") == 1


def test_what_a_store_has_without_the_time_of_its_beginning_is_no_session(world: World) -> None:
    known = world.stored({"a": 1})
    world.store.set(key_of(known), {"a": b"\x01"}, 100.0)
    assert world.begin(known).is_new


def test_a_login_changes_the_id(world: World) -> None:
    old = world.stored({"cart": ["tea"]})
    session = world.begin(old)
    session.regenerate()
    session.set("user", "ann")
    session.regenerate()
    assert session.is_changed
    session.commit()
    assert session.fresh
    assert session.id != old
    assert world.begin(old).is_new
    again = world.begin(session.id)
    assert (again.get("cart"), again.get("user")) == (["tea"], "ann")


def test_a_new_session_may_be_regenerated_too(world: World) -> None:
    session = world.begin()
    before = session.id
    session.set("user", "ann")
    session.regenerate()
    session.commit()
    assert session.id != before
    assert world.begin(session.id).get("user") == "ann"


def test_a_logout_ends_it(world: World) -> None:
    known = world.stored({"user": "ann"})
    session = world.begin(known)
    session.destroy()
    assert session.get("user") is None
    assert session.is_new
    session.commit()
    assert session.ended
    assert not session.fresh
    assert world.begin(known).is_new
    assert world.store.calls.count("set") == 0


def test_what_is_set_after_a_logout_is_a_new_session(world: World) -> None:
    known = world.stored({"user": "ann"})
    session = world.begin(known)
    session.destroy()
    session.set("notice", "good bye")
    session.commit()
    assert session.fresh
    assert session.id != known
    assert world.begin(session.id).get("notice") == "good bye"
    assert world.begin(session.id).get("user") is None


def test_a_request_that_was_late_does_not_bring_back_what_ended(world: World) -> None:
    known = world.stored({"user": "ann"})
    late, logging_in, logging_out = world.begin(known), world.begin(known), world.begin(known)
    late.set("a", 1)
    logging_in.regenerate()
    logging_in.set("b", 2)
    logging_out.destroy()
    logging_out.commit()
    late.commit()
    assert not late.fresh
    assert world.begin(known).is_new
    logging_in.commit()
    again = world.begin(logging_in.id)
    assert (again.get("user"), again.get("b")) == (None, 2)


# -- time ----------------------------------------------------------------------------------------------------------


def test_without_use_it_ends() -> None:
    world = World(idle=100.0, lifetime=1000.0)
    known = world.stored({"a": 1})
    world.clock.now += 99.0
    assert not world.begin(known).is_new
    world.clock.now += 2.0
    assert world.begin(known).is_new


def test_use_keeps_it_and_is_written_now_and_then_only() -> None:
    world = World(idle=100.0, lifetime=10_000.0)
    known = world.stored({"a": 1})
    for _ in range(40):
        world.clock.now += 5.0
        session = world.begin(known)
        assert session.get("a") == 1
        session.commit()
        assert not session.fresh
    assert 10 <= len([call for call in world.store.calls if call != "get"]) <= 20


def test_it_ends_in_any_case() -> None:
    world = World(idle=100.0, lifetime=300.0)
    known = world.stored({"a": 1})
    ends = world.clock.now + 300.0
    while world.clock.now < ends - 20.0:
        world.clock.now += 20.0
        session = world.begin(known)
        session.set("a", world.clock.now)
        session.commit()
        assert not session.is_new
    world.clock.now = ends
    assert world.begin(known).is_new


def test_a_login_begins_a_new_lifetime() -> None:
    world = World(idle=0.0, lifetime=300.0)
    session = world.begin(world.stored({"a": 1}))
    world.clock.now += 200.0
    session.regenerate()
    session.commit()
    world.clock.now += 200.0
    assert not world.begin(session.id).is_new


def test_a_persistent_cookie_is_sent_again_when_the_session_is_prolonged() -> None:
    world = World(idle=100.0, persistent=True)
    known = world.stored({"a": 1})
    session = world.begin(known)
    session.get("a")
    session.commit()
    assert not session.fresh
    world.clock.now += 50.0
    session = world.begin(known)
    session.get("a")
    session.commit()
    assert session.fresh


# -- of a request --------------------------------------------------------------------------------------------------


def test_the_session_of_a_request(world: World) -> None:
    request = Request("GET", "/", "/", "", "GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(NoSession, match="keeps no sessions"):
        session_of(request)
    request.extra["session"] = session = world.begin()
    assert session_of(request) is session


def test_its_repr_tells_no_secret(world: World) -> None:
    session = world.begin(world.stored({"user": "ann"}))
    assert session.get("user") == "ann"
    assert repr(session) == "<Session>"
    fresh = world.begin()
    fresh.get("a")
    assert repr(fresh) == "<Session (new)>"
