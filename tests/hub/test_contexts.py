from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import ConnectionClosed
from greenimi.hub import Hub, Unreachable, contexts
from greenimi.hub.contexts import Context
from greenimi.hub.settings import HubSettings
from greenimi.testing.support import PATIENCE, wait_until
from tests.hub.joined import Make, connect

QUICK = HubSettings(wait=0.2)


@pytest.fixture(params=["here", "elsewhere"])
def pair(request: pytest.FixtureRequest, hubs: Make) -> tuple[Any, Context]:
    """A connection, and its data as its own process or another one sees them."""
    one, two = hubs(2, QUICK)
    client = connect(one)
    return client, (one if request.param == "here" else two).connection(client.id).context


def silence(hub: Hub) -> None:
    """It takes packets and says nothing any more, as a process that was stopped."""
    hub.relay._receiver = None  # type: ignore[attr-defined]


# -- operations ----------------------------------------------------------------------------------------------------
def test_get_set_unset(pair: tuple[Any, Context]) -> None:
    client, context = pair
    assert context.get("a") is None
    assert context.get("a", 5) == 5
    context.set("a", None)
    assert context.get("a", 5) is None
    context.update({"a": 1, "b": [2]})
    assert context.all() == client.data == {"a": 1, "b": [2]}
    assert context.unset("a")
    assert not context.unset("a")
    assert client.data == {"b": [2]}


def test_all_is_a_copy(pair: tuple[Any, Context]) -> None:
    client, context = pair
    context.set("a", 1)
    context.all()["a"] = 2
    assert client.data == {"a": 1}


def test_remember_makes_what_is_not_there(pair: tuple[Any, Context]) -> None:
    client, context = pair
    made: list[int] = []

    def make() -> int:
        green.sleep(0.001)
        made.append(len(made))
        return made[-1]

    found = [green.spawn(context.remember, "a", make) for _ in range(3)]
    values = [each.get(timeout=PATIENCE) for each in found]
    assert values == [client.data["a"]] * 3  # one's for all
    asked = len(made)
    assert context.remember("a", make) == client.data["a"]
    assert len(made) == asked


def test_wait_for_what_somebody_sets(pair: tuple[Any, Context]) -> None:
    client, context = pair
    waiting = [green.spawn(context.wait, name, PATIENCE) for name in ("a", "b", "a")]
    wait_until(lambda: client.links is not None and client.links.changed is not None)
    context.set("b", 2)
    context.set("a", 1)
    assert [each.get(timeout=PATIENCE) for each in waiting] == [1, 2, 1]
    assert context.wait("a", 0.001) == 1


def test_wait_in_vain(pair: tuple[Any, Context]) -> None:
    client, context = pair
    with pytest.raises(TimeoutError, match="a"):
        context.wait("a", 0.01)
    assert "a" not in client.data


def test_wait_longer_than_one_question_lasts(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "_LONGEST_USE", 0.01)
    one, two = hubs(2, QUICK)
    client = connect(one)
    asked: list[Any] = []
    ask = one.contexts.called

    def called(packet: Any, sender: int, answer: Any) -> None:
        asked.append(packet)
        if len(asked) == 3:
            one.connection(client).context.set("a", 1)
        ask(packet, sender, answer)

    monkeypatch.setattr(one.contexts, "called", called)
    assert two.connection(client).context.wait("a", PATIENCE) == 1
    assert len(asked) == 3
    with pytest.raises(TimeoutError):
        two.connection(client).context.wait("b", 0.025)


def test_wait_for_one_who_leaves(pair: tuple[Any, Context]) -> None:
    client, context = pair
    waiting = green.spawn(context.wait, "a", PATIENCE)
    wait_until(lambda: client.links is not None and client.links.changed is not None)
    client.lose()
    with pytest.raises(ConnectionClosed):
        waiting.get(timeout=PATIENCE)


def test_nobody_has_it(hubs: Make) -> None:
    one, two = hubs(2, QUICK)
    client = connect(one)
    client.lose()
    for hub in (one, two):
        for number in (client.number, -1, 5, (two.process << 31) + 9, (1 << 63) - 1):
            context = hub.connection(number).context
            operations: list[Callable[[], object]] = [
                context.all,
                partial(context.get, "a"),
                partial(context.set, "a", 1),
                partial(context.unset, "a"),
                partial(context.remember, "a", int),
                partial(context.wait, "a", 0.1),
                context.use().__enter__,
            ]
            for operation in operations:
                with pytest.raises(ConnectionClosed, match=str(number)):
                    operation()
            with pytest.raises(ConnectionClosed):
                hub.connection(number).user()
            assert not hub.connection(number).exists()


def test_what_cannot_leave_its_process(hubs: Make) -> None:
    one, two = hubs(2, QUICK)
    client = connect(one)
    thing = object()
    one.connection(client).context.set("thing", thing)
    assert one.connection(client).context.get("thing") is thing
    context = two.connection(client).context
    for operation in (lambda: context.get("thing"), context.all, lambda: context.use().__enter__()):
        with pytest.raises(TypeError, match="cannot leave"):
            operation()
    with pytest.raises(TypeError):
        context.set("other", object())
    within: list[Any] = []
    within.append(within)
    client.data["thing"] = within
    with pytest.raises(TypeError, match="cannot leave"):
        context.get("thing")
    with one.connection(client).context.use() as data:  # nobody holds it
        assert data is client.data


def test_process_that_does_not_answer(hubs: Make) -> None:
    one, two = hubs(2, HubSettings(wait=0.01))
    client = connect(one)
    silence(one)
    before = time.monotonic()
    context = two.connection(client).context
    with pytest.raises(Unreachable):
        context.get("a")
    with pytest.raises(Unreachable):
        context.wait("a", 0.01)
    assert not two.connection(client).exists()
    assert time.monotonic() - before < PATIENCE


# -- use -----------------------------------------------------------------------------------------------------------
def test_use_keeps_others_out(hubs: Make) -> None:
    """Each adds one to a number that it has read before others could."""
    one, two, three = hubs(3, QUICK)
    client = connect(one)
    client.data["count"] = 0

    def add(hub: Hub) -> None:
        with hub.connection(client.id).context.use() as data:
            count = data["count"]
            green.sleep(0)
            data["count"] = count + 1

    adding = [green.spawn(add, hub) for hub in (one, two, three) * 7]
    for each in adding:
        each.get(timeout=PATIENCE)
    assert client.data == {"count": 21}
    assert one.contexts._uses == {}


def test_use_changes_what_was_changed(pair: tuple[Any, Context]) -> None:
    client, context = pair
    client.data.update({"gone": 1, "list": [1], "same": (1, 2)})
    with context.use() as data:
        del data["gone"]
        data["list"].append(2)  # deep within
        data["new"] = None
    assert client.data == {"list": [1, 2], "same": (1, 2), "new": None}
    assert type(client.data["same"]) is tuple  # what came back as a list was not changed


def test_use_leaves_alone_what_others_set_meanwhile(hubs: Make) -> None:
    one, two = hubs(2, QUICK)
    client = connect(one)
    with two.connection(client).context.use() as data:
        client.data["other"] = 1  # without the lock
        data["own"] = 2
    assert client.data == {"other": 1, "own": 2}


def test_use_that_fails_changes_nothing_elsewhere(hubs: Make) -> None:
    one, two = hubs(2, QUICK)
    client = connect(one)
    with pytest.raises(ZeroDivisionError), two.connection(client).context.use() as data:
        data["a"] = 1 / 0
    assert client.data == {}
    wait_until(lambda: not one.contexts._uses)
    with pytest.raises(TypeError), two.connection(client).context.use() as data:
        data["a"] = object()
    wait_until(lambda: not one.contexts._uses)
    with two.connection(client).context.use() as data:
        data["a"] = 1
    assert client.data == {"a": 1}


def test_use_by_one_who_is_stopped(hubs: Make) -> None:
    """In the block, and while waiting for it."""
    one, two, three = hubs(3, QUICK)
    client = connect(one)

    def use(hub: Hub) -> None:
        with hub.connection(client.id).context.use():
            green.sleep(PATIENCE * 2)

    holder = green.spawn(use, two)
    wait_until(lambda: one.contexts._uses)
    waiting = green.spawn(use, three)
    wait_until(lambda: len(one.contexts._uses) == 2)
    waiting.kill()
    holder.kill()
    with one.connection(client).context.use() as data:
        data["free"] = True
    wait_until(lambda: not one.contexts._uses)
    assert client.data == {"free": True}


def test_holder_that_dies(hubs: Make) -> None:
    one, two = hubs(2, QUICK)
    client = connect(one)
    two.connection(client).context.use().__enter__()
    assert one.contexts._uses
    two.relay.stop()
    with one.connection(client).context.use() as data:
        data["free"] = True
    wait_until(lambda: not one.contexts._uses)


def test_holder_that_forgets_about_it(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "_LONGEST_USE", 0.01)
    one, two = hubs(2, QUICK)
    client = connect(one)
    late = two.connection(client).context.use()
    late.__enter__()["a"] = "late"
    with two.connection(client).context.use() as data:  # another one of the same process has it now
        data["a"] = "in time"
    with pytest.raises(Unreachable, match="nothing was changed"):
        late.__exit__(None, None, None)
    assert client.data == {"a": "in time"}


def test_unlocking_late_frees_nobody_elses(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "_LONGEST_USE", 0.02)
    one, two = hubs(2, QUICK)
    client = connect(one)
    first = two.connection(client).context.use()
    first.__enter__()["a"] = "first"
    wait_until(lambda: not one.contexts._uses)
    monkeypatch.setattr(contexts, "_LONGEST_USE", PATIENCE)
    with two.connection(client).context.use() as data:
        with pytest.raises(Unreachable):
            first.__exit__(None, None, None)
        assert one.contexts._uses  # still held
        data["a"] = "second"
    assert client.data == {"a": "second"}


def test_use_of_one_who_leaves(hubs: Make) -> None:
    one, two = hubs(2, QUICK)
    client = connect(one)
    use = two.connection(client).context.use()
    use.__enter__()["a"] = 1
    client.lose()
    with pytest.raises(ConnectionClosed):
        use.__exit__(None, None, None)
    assert client.data == {}


def test_waiting_leaves_nothing_behind_when_stopped(hubs: Make) -> None:
    (hub,) = hubs(1, QUICK)
    client = connect(hub)
    waiting = green.spawn(hub.connection(client).context.wait, "a", PATIENCE)
    wait_until(lambda: client.links is not None and client.links.changed is not None)
    waiting.kill()
    assert client.links.changed.linkcount() == 0
