from __future__ import annotations

from typing import Any

from greenimi.hub.members import Members
from greenimi.hub.outgoing import Outgoing
from tests.hub.joined import JSON, Lines, Make, connect


def members_of(*clients: Any) -> Members:
    members = Members()
    for client in clients:
        members.add(client)
    return members


def test_each_hears_it_once_and_those_to_skip_do_not(hubs: Make) -> None:
    (hub,) = hubs(1)
    clients = [connect(hub) for _ in range(3)]
    members = members_of(*clients)
    assert members.push(Outgoing("hello", "k"), [clients[1].number, 7]) == 2
    assert [client.got for client in clients] == [["hello"], [], ["hello"]]
    assert clients[0].keys == ["k"]


def test_framed_once_for_each_dialect_however_they_are_mixed(hubs: Make) -> None:
    (hub,) = hubs(1)
    kinds = [Lines("json"), Lines("msgpack"), Lines("text")]
    clients = [connect(hub, kinds[number % 3]) for number in range(30)]
    members = members_of(*clients, connect(hub, None))
    assert members.push(Outgoing("hello")) == 30  # to the one without a dialect nothing can be told
    assert [kind.framed for kind in kinds] == [1, 1, 1]
    assert {client.frames[0] for client in clients} == {b'"hello"\n', b"\xa5hello\n", b"hello\n"}


def test_those_who_close_in_the_middle_are_not_counted(hubs: Make) -> None:
    (hub,) = hubs(1)
    first, second, third = clients = [connect(hub) for _ in range(3)]
    members = members_of(*clients)
    push = first.push

    def pull_down(framed: bytes, key: str | None = None) -> Any:
        second.lose()
        members.discard(second)
        return push(framed, key)

    first.push = pull_down
    assert members.push(Outgoing("x")) == 2
    assert (first.got, second.got, third.got) == (["x"], [], ["x"])
    assert list(members) == [first, third]


def test_a_walk_is_not_disturbed_by_those_who_come(hubs: Make) -> None:
    (hub,) = hubs(1)
    members = members_of(connect(hub))
    seen: list[Any] = []
    for client in members:
        seen.append(client)
        members.add(connect(hub))
    assert len(seen) == 1
    assert len(members) == len(list(members)) == 2


def test_who_left_is_not_held(hubs: Make) -> None:
    (hub,) = hubs(1)
    client = connect(hub, JSON)
    members = members_of(client)
    assert client in members
    list(members)
    members.discard(client)
    members.discard(client)
    assert client not in members
    assert not len(members)
    assert list(members) == []
