from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenimi import green
from greenimi.errors import Overloaded, Refusal
from greenimi.hub import GroupFull, Hub
from greenimi.hub.machine_store import MachineStore
from greenimi.hub.settings import HubSettings
from greenimi.hub.users import target_of
from greenimi.message import Identity
from greenimi.testing.support import PATIENCE, wait_until
from tests.hub.joined import Make, connect, make_hubs
from tests.hub.troubled import Troubled


def at_once(*functions: Any) -> list[Any]:
    """What they give, or raise, each in a greenlet of its own."""
    found: list[Any] = [None] * len(functions)

    def run(place: int) -> None:
        try:
            found[place] = functions[place]()
        except Exception as error:
            found[place] = error

    for each in [green.spawn(run, place) for place in range(len(functions))]:
        each.join(PATIENCE)
    return found


def owner(hub: Hub, user: str) -> int | None:
    hub.later.wait(PATIENCE)
    return hub.store.owner(user)


# -- bound ---------------------------------------------------------------------------------------------------------
def test_several_devices_in_several_processes(hubs: Make) -> None:
    one, two = hubs(2)
    phone, desk, other = connect(one), connect(two), connect(two)
    assert one.user("ann").add(phone)
    assert one.user("ann").add(desk.id)  # by the process that has it
    assert one.user("bob").add(other)
    assert one.user("ann").send("hello").delivered == 2
    assert (phone.got, desk.got, other.got) == (["hello"], ["hello"], [])
    assert sorted(two.user("ann").connections()) == sorted([phone.id, desk.id])
    assert one.connection(desk).user() == "ann"
    assert two.connection(phone).user() == "ann"


def test_another_user_takes_the_place_of_the_first(hubs: Make) -> None:
    (hub,) = hubs(1)
    client = connect(hub)
    assert hub.user("ann").add(client)
    assert hub.user("ann").add(client)
    assert hub.user("bob").add(client)
    assert (hub.user("ann").count(), hub.user("bob").count()) == (0, 1)
    assert not hub.user("ann").discard(client)
    assert hub.user("bob").discard(client)
    assert hub.user("bob").count() == 0
    assert hub.connection(client).user() is None


def test_identity_binds(hubs: Make) -> None:
    (hub,) = hubs(1)
    client = connect(hub, identity=Identity("ann"))
    hub.identified(client)
    assert hub.user("ann").count() == 1
    client.identity = None
    hub.identified(client)
    assert hub.user("ann").count() == 0


def test_closed_connection_is_not_bound(hubs: Make) -> None:
    one, two = hubs(2)
    client = connect(one)
    client.lose()
    assert not one.user("ann").add(client)
    assert not two.user("ann").add(client)
    assert not one.user("ann").claim(client)
    assert one.user("ann").count() == 0


def test_connection_that_closes_while_it_is_freed_from_another_user(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, HubSettings(), store)
    client = connect(hub)
    assert hub.user("ann").claim(client)
    gate = store.gate("release")
    found = green.spawn(hub.user("bob").add, client)
    wait_until(lambda: store.waiting["release"])
    client.lose()
    gate.set()
    assert found.get(timeout=PATIENCE) is False
    assert not hub.has(target_of("bob"))
    assert not hub.has(target_of("ann"))


def test_most_connections_of_a_user(hubs: Make) -> None:
    one, two = hubs(2, HubSettings(user_connections=2))
    devices = [connect(one) for _ in range(3)]
    assert one.user("ann").add(devices[0])
    assert one.user("ann").add(devices[1])
    with pytest.raises(GroupFull, match="2 connections"):
        one.user("ann").add(devices[2])
    with pytest.raises(Refusal, match="2 connections") as refused:
        two.user("ann").add(devices[2])
    assert refused.value.status == 409
    assert one.user("ann").add(devices[0])  # it is one of them
    assert two.user("ann").add(connect(two))  # the limit is one of a process


@pytest.mark.parametrize("key", ["", "x" * 256, "\ud800"])
def test_keys_that_are_none(hubs: Make, key: str) -> None:
    one, two = hubs(2)
    client = connect(one)
    for bind in (one.user(key).add, one.user(key).claim):
        with pytest.raises(ValueError):
            bind(client)
    if key.isascii():
        with pytest.raises(Refusal, match="1 to 255 bytes"):
            two.user(key).add(client)
    assert one.store.owner("x" * 256) is None


# -- claimed -------------------------------------------------------------------------------------------------------
def test_claimed_user_is_nobody_elses(hubs: Make) -> None:
    one, two = hubs(2)
    first, second = connect(one), connect(two)
    assert one.user("ann").claim(first)
    assert one.user("ann").claim(first)  # twice is once
    assert not two.user("ann").claim(second)
    assert not two.user("ann").add(second)
    assert one.user("ann").discard(first)
    assert two.user("ann").claim(second)


def test_bound_user_cannot_be_claimed(hubs: Make) -> None:
    one, two = hubs(2)
    first, second, third = connect(one), connect(two), connect(one)
    assert one.user("ann").add(first)
    assert not two.user("ann").claim(second)  # somebody of another process has him
    assert not one.user("ann").claim(third)  # somebody of this one
    assert owner(one, "ann") is None
    assert one.user("ann").claim(first)  # he has himself
    assert not two.user("ann").add(second)


def test_claim_frees_from_another_user(hubs: Make) -> None:
    (hub,) = hubs(1)
    client, other = connect(hub), connect(hub)
    assert hub.user("ann").claim(client)
    assert hub.user("bob").claim(client)
    assert owner(hub, "ann") is None
    assert hub.user("ann").claim(other)


def test_claim_ends_with_its_connection(hubs: Make) -> None:
    one, two = hubs(2)
    client, other = connect(one), connect(two)
    assert one.user("ann").claim(client)
    client.lose()
    assert owner(one, "ann") is None
    assert two.user("ann").claim(other)


def test_claim_over_a_limit_leaves_nothing_behind(hubs: Make) -> None:
    (hub,) = hubs(1, HubSettings(user_connections=1))
    store = Troubled(hub.store)
    hub.store = store
    client, other = connect(hub), connect(hub)
    gate = store.gate("claim")
    found = green.spawn(hub.user("ann").claim, client)
    wait_until(lambda: store.waiting["claim"])
    assert hub.user("ann").add(other)
    gate.set()
    assert found.get(timeout=PATIENCE) is False
    assert owner(hub, "ann") is None


def test_who_is_stopped_while_claiming_leaves_nothing_behind(hubs: Make) -> None:
    one, two = hubs(2)
    two.relay.stop()
    silent = connect(two)
    client = connect(one)
    store = Troubled(one.store)
    one.store = store
    store.gate("claim")
    claiming = green.spawn(one.user("ann").claim, client)
    wait_until(lambda: store.waiting["claim"])
    claiming.kill()
    store.gates.clear()
    assert owner(one, "ann") is None
    assert one.connection(client).user() is None
    assert silent.got == []


def test_store_without_room_claims_nothing(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, HubSettings(), store)
    client = connect(hub)
    store.broken.add("claim")
    with pytest.raises(Overloaded):
        hub.user("ann").claim(client)
    store.broken.clear()
    assert hub.connection(client).user() is None
    assert owner(hub, "ann") is None


def test_freeing_that_fails_frees_nothing(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, HubSettings(), store)
    client = connect(hub)
    assert hub.user("ann").claim(client)
    store.broken.add("release")
    with pytest.raises(Overloaded):
        hub.user("ann").discard(client)
    assert hub.connection(client).user() == "ann"
    store.broken.clear()
    assert hub.user("ann").discard(client)
    assert owner(hub, "ann") is None


def test_claims_that_others_ended_are_made_again(hubs: Make) -> None:
    one, two = hubs(2)
    first, second = connect(one), connect(one)
    assert one.user("ann").claim(first)
    assert one.user("bob").claim(second)
    one.store.bury(one.process)
    other = connect(two)
    assert not two.user("bob").claim(other)  # his connection says that it is there
    two.store.claim("bob", other.number, two.process)
    for client in (first, second):
        one.users.claim_again(client, client.links)
    assert owner(one, "ann") == first.number
    assert one.connection(second).user() is None
    assert one.connection(first).user() == "ann"


@pytest.mark.parametrize("machine", [False, True], ids=["memory", "machine"])
def test_of_many_who_claim_at_once_one_does(tmp_path: Path, machine: bool) -> None:
    stores: list[Any] = [MachineStore(tmp_path) for _ in range(3)] if machine else [Troubled()] * 3
    for store in stores:
        if isinstance(store, Troubled):
            store.slow = True
    made = make_hubs(3, HubSettings(), stores[0])
    for hub, store in zip(made, stores, strict=True):
        hub.store = store
    try:
        clients = [(hub, connect(hub)) for hub in made for _ in range(4)]
        found = at_once(*[lambda hub=hub, client=client: hub.user("ann").claim(client) for hub, client in clients])
        assert sorted(found) == [False] * 11 + [True]
        winner = clients[found.index(True)][1]
        assert owner(made[0], "ann") == winner.number
        assert made[2].user("ann").connections() == [winner.id]
    finally:
        for hub in made:
            hub.stop()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["add", "claim", "discard", "close"])), max_size=12))
def test_however_they_come_and_go_a_claim_stands_alone(steps: list[tuple[int, str]]) -> None:
    """All steps at the same time, in two processes, with a store that lets others run in between."""
    store = Troubled()
    one, two = made = make_hubs(2, HubSettings(), store)
    try:
        clients = [connect(hub) for hub in (one, one, two, two)]
        green.sleep(0)
        store.slow = True

        def step(number: int, what: str) -> Any:
            client = clients[number]
            return client.lose() if what == "close" else getattr(client.hub.user("ann"), what)(client)

        at_once(*[lambda number=number, what=what: step(number, what) for number, what in steps])
        store.slow = False
        for hub in made:
            assert hub.later.wait(PATIENCE)
        bound = [client for client in clients if client.links is not None and client.links.user == "ann" and client.is_open]
        claimed = [client for client in bound if client.links.claimed]
        assert one.user("ann").count() == len(bound)
        if claimed:
            assert bound == claimed
            assert len(claimed) == 1
        assert store.owner("ann") == (claimed[0].number if claimed else None)
    finally:
        for hub in made:
            hub.stop()
