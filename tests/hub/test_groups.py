from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import Overloaded, Refusal
from greenimi.hub import GroupFull, GroupJoined, GroupLeft, Hub, UserJoined, UserLeft
from greenimi.hub.groups import BadName, target_of
from greenimi.hub.machine_store import MachineStore
from greenimi.hub.settings import GroupSettings, HubSettings
from greenimi.testing.support import PATIENCE, wait_until
from tests.hub.joined import Lines, Make, connect
from tests.hub.troubled import Troubled

ROOM = HubSettings(groups={"room": GroupSettings(presence=True, announce=True)})
SMALL = HubSettings(groups={"room": GroupSettings(limit=2)})


def settle(*hubs: Hub) -> None:
    """What was to be done later is done."""
    for hub in hubs:
        assert hub.later.wait(PATIENCE)
        assert hub._told.wait(PATIENCE)
        green.sleep(0)
        green.sleep(0)


def told(client: Any) -> list[Any]:
    return [(message["event"], message["data"]["user"], message["data"]["info"]) for message in client.got]


def listen(hub: Hub, *kinds: type) -> list[Any]:
    heard: list[Any] = []
    for kind in kinds:
        hub.events.on(kind, heard.append)
    return heard


# -- in and out ----------------------------------------------------------------------------------------------------
def test_members_of_all_processes_hear_it(hubs: Make) -> None:
    one, two = hubs(2)
    first, second, outside = connect(one), connect(two), connect(two)
    assert one.group("a").add(first)
    assert not one.group("a").add(first)
    assert one.group("a").add(second.id)
    assert two.group("a").send("x").delivered == 2
    assert (first.got, second.got, outside.got) == (["x"], ["x"], [])
    assert sorted(one.group("a").members()) == sorted([first.id, second.id])
    assert first in one.group("a")
    assert outside not in two.group("a")
    assert two.connection(first).groups() == ["a"]
    assert two.group("a").discard(first)
    assert not two.group("a").discard(first)
    assert one.group("a").send("y").delivered == 1


def test_names_of_users_groups_and_servers_do_not_mix(hubs: Make) -> None:
    one, two = hubs(2)
    group, user, plain = connect(one, server="b"), connect(one, server="b"), connect(one, server="a")
    one.group("a").add(group)
    one.user("a").add(user)
    for hub in (one, two):
        for target in (hub.group("a"), hub.user("a"), hub.everyone("a")):
            assert target.send(str(target)).delivered == 1
        assert hub.group("*").count() == hub.group("u:a").count() == hub.user("g:a").count() == hub.everyone("*").count() == 0
    assert [len(client.got) for client in (group, user, plain)] == [2, 2, 2]


def test_events_of_connections(hubs: Make) -> None:
    (hub,) = hubs(1)
    heard = listen(hub, GroupJoined, GroupLeft)
    client = connect(hub)
    hub.group("a").add(client)
    hub.group("b").add(client)
    hub.group("a").discard(client)
    client.lose()
    settle(hub)
    assert heard == [GroupJoined("a", client), GroupJoined("b", client), GroupLeft("a", client), GroupLeft("b", client)]


def test_closed_connection_enters_nothing(hubs: Make) -> None:
    one, two = hubs(2, ROOM)
    client = connect(one)
    client.lose()
    assert not one.group("room").add(client)
    assert not two.group("room").add(client)
    assert two.group("room").present() == []


@pytest.mark.parametrize("name", ["", "x" * 256, "\ud800"])
def test_names_that_are_none(hubs: Make, name: str) -> None:
    one, two = hubs(2)
    client = connect(one)
    with pytest.raises(ValueError):
        one.group(name).add(client)
    if name.isascii():
        with pytest.raises(Refusal, match="1 to 255 bytes"):
            two.group(name).add(client)
    client.lose()
    assert one.groups_count == 0


@pytest.mark.parametrize("rules", [GroupSettings(), GroupSettings(presence=True), GroupSettings(history=5)])
def test_info_that_cannot_be_told(hubs: Make, rules: GroupSettings) -> None:
    """Otherwise it would be found out when the connection is closed."""
    (hub,) = hubs(1, HubSettings(groups={"a": rules}))
    client = connect(hub)
    with pytest.raises(TypeError):
        hub.group("a").add(client, object())
    assert hub.connection(client).groups() == []
    assert hub.group("a").add(client, {"name": "Ann"})


# -- limits --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", [False, True], ids=["memory", "machine"])
def test_limit_holds_across_processes(hubs: Make, tmp_path: Path, machine: bool) -> None:
    one, two = hubs(2, SMALL, MachineStore(tmp_path) if machine else None)
    first, second, third = connect(one), connect(two), connect(two)
    assert one.group("room:1").add(first)
    assert two.group("room:1").add(second)
    with pytest.raises(GroupFull, match="room:1 has 2"):
        two.group("room:1").add(third)
    with pytest.raises(Refusal, match="room:1 has 2"):
        one.group("room:1").add(third)
    assert two.group("room:2").add(third)  # each room has its own
    assert third.links.groups == {"room:2": None}
    one.group("room:1").discard(first)
    assert two.group("room:1").add(third)
    third.lose()
    settle(two)
    assert one.group("room:1").add(first)


def test_limit_holds_when_all_come_at_once(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, SMALL, store)
    clients = [connect(hub) for hub in (one, two) for _ in range(5)]
    store.slow = True
    found: list[bool] = []

    def come(client: Any) -> None:
        try:
            found.append(client.hub.group("room").add(client))
        except GroupFull:
            found.append(False)

    for client in clients:
        green.spawn(come, client)
    wait_until(lambda: len(found) == 10)
    assert sum(found) == 2
    assert one.group("room").count() == 2


def test_groups_of_one_connection(hubs: Make) -> None:
    (hub,) = hubs(1, HubSettings(groups_each=2))
    client = connect(hub)
    hub.group("a").add(client)
    hub.group("b").add(client)
    with pytest.raises(GroupFull, match="2 groups"):
        hub.group("c").add(client)
    assert not hub.group("a").add(client)
    hub.group("a").discard(client)
    assert hub.group("c").add(client)


def test_groups_of_one_process(hubs: Make) -> None:
    one, two = hubs(2, HubSettings(group_count=2))
    client, other = connect(one), connect(one)
    for number in range(20):
        one.user(str(number)).add(connect(one))  # users are none
    one.group("a").add(client)
    one.group("b").add(client)
    with pytest.raises(Overloaded, match="2 groups"):
        one.group("c").add(client)
    with pytest.raises(Refusal, match="2 groups") as refused:
        two.group("c").add(client)
    assert refused.value.status == 503
    assert one.group("a").add(other)  # there is such a group
    assert two.group("c").add(connect(two))


# -- presence ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", [False, True], ids=["memory", "machine"])
def test_user_comes_and_goes_once_with_several_devices(hubs: Make, tmp_path: Path, machine: bool) -> None:
    one, two = hubs(2, ROOM, MachineStore(tmp_path) if machine else None)
    heard = listen(one, UserJoined, UserLeft), listen(two, UserJoined, UserLeft)
    watcher = connect(one)
    one.group("room").add(watcher, "watching")
    phone, desk = connect(one), connect(two)
    for client in (phone, desk):
        client.hub.user("ann").add(client)
        client.hub.group("room").add(client, {"name": "Ann"})
    assert two.group("room").present() == [(watcher.id, "watching", 1), ("ann", {"name": "Ann"}, 2)]
    phone.lose()
    settle(one, two)
    assert two.group("room").present()[1] == ("ann", {"name": "Ann"}, 1)
    desk.lose()
    settle(one, two)
    assert two.group("room").present() == [(watcher.id, "watching", 1)]
    assert heard == (
        [UserJoined("room", watcher.id, "watching"), UserJoined("room", "ann", {"name": "Ann"})],
        [UserLeft("room", "ann", {"name": "Ann"})],
    )
    wait_until(lambda: len(watcher.got) == 3)
    assert told(watcher) == [
        ("$join", watcher.id, "watching"),
        ("$join", "ann", {"name": "Ann"}),
        ("$leave", "ann", {"name": "Ann"}),
    ]
    assert {message["group"] for message in watcher.got} == {"room"}


def test_who_leaves_is_not_told_so(hubs: Make) -> None:
    (hub,) = hubs(1, ROOM)
    client, other = connect(hub), connect(hub)
    hub.group("room").add(other)
    hub.group("room").add(client)
    hub.group("room").discard(client)
    assert [message["event"] for message in client.got] == ["$join"]
    assert [message["event"] for message in other.got] == ["$join", "$join", "$leave"]


def test_presence_that_nobody_keeps(hubs: Make) -> None:
    (hub,) = hubs(1, ROOM)
    with pytest.raises(ValueError, match=r"hub\.groups\.hall"):
        hub.group("hall:1").present()


def test_text_members_do_not_spoil_announcements(hubs: Make) -> None:
    (hub,) = hubs(1, ROOM)
    text, json = connect(hub, Lines("text")), connect(hub)
    hub.group("room").add(text)
    hub.group("room").add(json)
    assert len(json.got) == 1
    assert text.frames == []


def test_user_who_did_not_come_back_in_time_left(hubs: Make) -> None:
    (hub,) = hubs(1, HubSettings(keep=0.05, groups=ROOM.groups))
    heard = listen(hub, UserJoined, UserLeft)
    client = connect(hub)
    hub.group("room").add(client)
    hub.keeping.token(client)
    client.lose()
    settle(hub)
    assert [type(event) for event in heard] == [UserJoined]
    assert hub.group("room").present() == [(client.id, None, 1)]

    def looked() -> bool:
        hub.groups.tell_expired()
        settle(hub)
        return len(heard) == 2

    wait_until(looked)
    assert heard[1] == UserLeft("room", client.id, None)


def test_many_who_did_not_come_back_are_told_in_one_look(hubs: Make) -> None:
    (hub,) = hubs(1, HubSettings(keep=0.01, groups=ROOM.groups))
    heard = listen(hub, UserLeft)
    clients = [connect(hub) for _ in range(250)]
    for client in clients:
        hub.group("room").add(client)
        hub.keeping.token(client)
        client.lose()
    settle(hub)
    green.sleep(0.02)  # until the last of them is out of time
    hub.groups.tell_expired()
    settle(hub)
    assert len(heard) == 250


@pytest.mark.parametrize("name", ["", "x" * 256, "\ud800"])
def test_names_that_clients_make_up_are_refused(hubs: Make, name: str) -> None:
    (hub,) = hubs(1, HubSettings(groups={name: GroupSettings(history=5)}))
    client = connect(hub)
    for call in (lambda: hub.group(name).add(client), lambda: hub.group(name).send("x"), lambda: hub.user(name).add(client)):
        with pytest.raises(BadName) as caught:
            call()
        assert caught.value.status == 400


def test_users_of_a_process_that_died_left(hubs: Make) -> None:
    one, two = hubs(2, ROOM)
    heard = listen(one, UserLeft)
    watcher, client = connect(one), connect(two)
    one.group("room").add(watcher)
    two.group("room").add(client)
    two.relay.stop()
    wait_until(lambda: heard)
    assert heard == [UserLeft("room", client.id, None)]
    assert one.group("room").present() == [(watcher.id, None, 1)]


def test_places_that_others_ended_are_taken_again(hubs: Make) -> None:
    one, two = hubs(2, HubSettings(groups={"room": GroupSettings(presence=True, limit=2), "hall": GroupSettings()}))
    clients = [connect(one) for _ in range(2)]
    for client in clients:
        one.group("room").add(client)
        one.group("hall").add(client)
    two._bury(one.process)
    other = connect(two)
    two.group("room").add(other)
    one._enter_again()
    settle(one, two)
    assert {user for user, _, _ in two.group("room").present()} == {clients[0].id, other.id}
    assert one.group("room").members() == [clients[0].id, other.id]
    assert clients[1].links.groups == {"hall": None}  # there was no room any more


# -- faults --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("broken", ["enter", "position"])
def test_store_that_fails_leaves_nothing_behind(hubs: Make, broken: str) -> None:
    store = Troubled()
    rules = GroupSettings(presence=True, limit=1, history=5)
    one, two = hubs(2, HubSettings(groups={"room": rules}), store)
    client = connect(one)
    store.broken.add(broken)
    with pytest.raises(Overloaded):
        one.group("room").add(client)
    store.broken.clear()
    settle(one)
    assert client.links.groups == {}
    assert store.size("room") == (0, 0)
    assert not two.relay.interested(target_of("room"))
    assert two.group("room").add(connect(two))


@pytest.mark.parametrize("call", ["enter", "position"])
@pytest.mark.parametrize("end", ["lose", "kill", "part"])
def test_who_ends_while_entering_leaves_nothing_behind(hubs: Make, call: str, end: str) -> None:
    store = Troubled()
    rules = GroupSettings(presence=True, announce=True, history=5)
    one, two = hubs(2, HubSettings(groups={"room": rules}), store)
    heard = listen(one, UserJoined, UserLeft)
    client = connect(one)
    gate = store.gate(call)
    entering = green.spawn(one.group("room").add, client)
    wait_until(lambda: store.waiting[call])
    if end == "lose":
        client.lose()
    elif end == "kill":
        entering.kill()
    else:
        one.group("room").discard(client)
    gate.set()
    entering.join(PATIENCE)
    settle(one, two)
    assert entering.value is not True
    assert store.size("room") == (0, 0)
    assert one.groups_count == 0
    assert one.histories._cursors == {}
    assert not two.relay.interested(target_of("room"))
    assert [type(event) for event in heard] in ([], [UserJoined, UserLeft])


def test_who_leaves_while_entering_and_enters_again_has_a_seat(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, HubSettings(groups={"room": GroupSettings(presence=True)}), store)
    client = connect(hub)
    gate = store.gate("enter")
    first = green.spawn(hub.groups.join, "room", client)
    wait_until(lambda: store.waiting["enter"])
    assert hub.groups.part("room", client)
    earlier = green.Event()
    hub.later.add(earlier.wait)
    gate.set()
    assert not first.get(timeout=PATIENCE)  # whose seat is to be given back
    store.gates.pop("enter")
    assert hub.groups.join("room", client)
    earlier.set()
    assert hub.later.wait(PATIENCE)
    assert hub.group("room").present() == [(client.id, None, 1)]


def test_leaving_that_fails_leaves_all_as_it_was(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, ROOM, store)
    client = connect(hub)
    hub.group("room").add(client)
    store.broken.add("leave")
    with pytest.raises(Overloaded):
        hub.group("room").discard(client)
    assert client in hub.group("room")
    store.broken.clear()
    assert hub.group("room").discard(client)
    assert hub.group("room").present() == []


def test_closed_connections_leave_as_soon_as_the_store_can_be_used(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenimi.hub.later._PAUSE", 0.001)
    store = Troubled()
    (hub,) = hubs(1, ROOM, store)
    client = connect(hub)
    hub.group("room").add(client)
    store.broken.add("leave")
    client.lose()
    wait_until(lambda: store.calls["leave"] >= 2)
    store.broken.clear()
    settle(hub)
    assert store.size("room") == (0, 0)


def test_nothing_is_left_of_a_thousand(hubs: Make) -> None:
    store = Troubled()
    rules = {"room": GroupSettings(presence=True), "log": GroupSettings(history=3)}
    one, two = hubs(2, HubSettings(keep=0, groups=rules), store)
    for number in range(1000):
        client = connect(one)
        one.user(f"user {number}").claim(client)
        for group in ("plain", f"own {number}", f"room:{number % 7}", f"log:{number % 5}"):
            one.group(group).add(client)
        one.keeping.token(client)
        client.lose()
    settle(one, two)
    assert one.numbers()["groups"] == one.numbers()["users"] == one.numbers()["connections"] == one.numbers()["pending"] == 0
    assert (one._targets, one._wanted, one.histories._cursors, one.keeping._missed, one.keeping._on_the_way) == ({}, set(), {}, {}, {})
    assert two.relay._interests._processes == {}  # type: ignore[attr-defined]
    assert one.contexts._uses == {}
    assert [store.size(f"room:{number}") for number in range(7)] == [(0, 0)] * 7
