from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenimi import green
from greenimi.errors import Overloaded
from greenimi.hub import Hub
from greenimi.hub.groups import target_of
from greenimi.hub.machine_store import MachineStore
from greenimi.hub.memory_store import MemoryStore
from greenimi.hub.settings import GroupSettings, HubSettings
from greenimi.testing.support import PATIENCE, wait_until
from tests.hub.joined import Lines, Make, connect, make_hubs
from tests.hub.troubled import Troubled

SETTINGS = HubSettings(wait=0.5, groups={"log": GroupSettings(history=100), "short": GroupSettings(history=3)})


def settle(*hubs: Hub) -> None:
    for _ in range(4):
        for hub in hubs:
            assert hub.histories._reader.wait(PATIENCE)
        green.sleep(0)


def heard(client: Any) -> list[Any]:
    """The data of the messages of groups; their offsets are checked to rise one by one."""
    found = [message for message in client.got if "offset" in message]
    offsets = [message["offset"] for message in found]
    assert offsets == sorted(set(offsets))
    return [message["data"] for message in found]


def positions(client: Any) -> list[Any]:
    return [message["data"] for message in client.got if message.get("event") == "$position"]


def place_of(hub: Hub, group: str = "log") -> tuple[int, str]:
    return hub.store.position(group)


class Listener:
    """A client of a group that comes back when it is lost, and knows where it was."""

    def __init__(self, hub: Hub, group: str = "log") -> None:
        self.group = group
        self.connection = connect(hub)
        self.past: list[Any] = []  # what earlier connections got
        hub.group(group).add(self.connection)
        self.token = hub.token(self.connection)
        self.place: tuple[int, str] = self.connection.links.places[group]

    def come_back(self, hub: Hub, *, lose: bool = True) -> bool:
        if lose:
            self.connection.lose()
        back = connect(hub)
        got = self.connection.got  # what comes on it from now on, nobody reads any more
        for message in got:
            if "offset" in message:
                self.place = (message["offset"], self.place[1])
        found = hub.keeping.restore(back, self.token, {self.group: self.place})
        if found:
            self.past += [message["data"] for message in got if "offset" in message]
            self.connection = back
            self.told = hub.keeping.told(back)
            self.token = hub.token(back)
            hub.keeping.send_missed(back)
        return found

    @property
    def all(self) -> list[Any]:
        return self.past + heard(self.connection)


# -- sending -------------------------------------------------------------------------------------------------------
def test_what_goes_over_the_wire(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client, other, third = connect(one), connect(two), connect(one)
    one.group("log").add(client)
    two.group("log").add(other)
    one.group("log").add(third)
    one.token(client)
    assert two.group("log").send({"a": 1}, event="said").delivered == 3
    assert one.group("log").send("x", skip=[client, third]).delivered == 3
    settle(one, two)
    first = {"event": "said", "data": {"a": 1}, "group": "log", "offset": 1}
    assert client.got == [first, {"group": "log", "offset": 2}], "not meant for it, but it misses no offset"
    assert other.got == [first, {"data": "x", "group": "log", "offset": 2}]
    assert third.got == [first], "it keeps no offsets"
    assert one.group("log").history() == [(1, {"a": 1}), (2, "x")]
    assert two.group("log").history(offset=1, limit=1) == [(2, "x")]


def test_next_message_needs_no_look_at_the_store(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, SETTINGS, store)
    clients = connect(one), connect(two)
    for client in clients:
        client.hub.group("log").add(client)
    for number in range(5):
        one.group("log").send(number)
    settle(one, two)
    assert [heard(client) for client in clients] == [[0, 1, 2, 3, 4]] * 2
    assert not store.calls["since"]


def test_two_senders_at_once_one_order(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, SETTINGS, store)
    clients = [connect(hub) for hub in (one, two, one)]
    for client in clients:
        client.hub.group("log").add(client)
    store.slow = True
    sending = [green.spawn(hub.group("log").send, f"{name} {number}") for number in range(20) for name, hub in (("a", one), ("b", two))]
    for each in sending:
        each.join(PATIENCE)
    wait_until(lambda: all(len(heard(client)) == 40 for client in clients))
    assert heard(clients[0]) == heard(clients[1]) == heard(clients[2]) == [data for _, data in one.group("log").history()]


def test_burst_of_more_than_is_kept_reaches_those_who_are_there(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client, other = connect(one), connect(two)
    one.group("short").add(client)
    two.group("short").add(other)
    for number in range(50):  # nobody else runs meanwhile
        one.group("short").send(number)
    settle(one, two)
    assert heard(client) == heard(other) == list(range(50))
    assert len(one.group("short").history()) == 3


def test_who_heard_too_late_what_is_not_kept_any_more_is_told_so(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client = connect(two)
    two.group("short").add(client)
    for number in range(10):  # news of these are lost
        one.store.append("short", b"\x93\xc0" + bytes([number]) + b"\x90", 3, 300.0)
    one.group("short").send("last")
    settle(one, two)
    assert heard(client) == [8, 9, "last"]
    assert positions(client) == [{"offset": 8, "epoch": place_of(one, "short")[1], "recovered": False}]


def test_news_that_were_lost_are_found(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client = connect(two)
    two.group("log").add(client)
    call = one.relay.call
    one.relay.call = lambda processes, packet: call((), packet)  # type: ignore[method-assign]
    one.group("log").send("lost")
    one.relay.call = call  # type: ignore[method-assign]
    settle(one, two)
    assert heard(client) == []
    one.group("log").send("found")
    settle(one, two)
    assert heard(client) == ["lost", "found"]


def test_who_has_just_come_looks_again(hubs: Make) -> None:
    """Others may have sent before they knew of it."""
    one, two = hubs(2, SETTINGS)
    client = connect(two)
    two.group("log").add(client)
    one.store.append("log", b"\x93\xc0\x01\x90", 100, 300.0)
    two.histories.look_again()
    settle(two)
    assert heard(client) == [1]
    assert not two.histories._cursors["log"].fresh
    two.histories.look_again()
    settle(two)
    assert heard(client) == [1]


def test_store_that_cannot_be_read_is_read_again(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenimi.hub.later._PAUSE", 0.0)
    store = Troubled()
    one, two = hubs(2, SETTINGS, store)
    client = connect(two)
    two.group("log").add(client)
    two.histories.look_again()
    settle(two)
    store.append("log", b"\x93\xc0\x01\x90", 100, 300.0)
    store.broken.add("since")
    one.group("log").send(2)
    settle(one, two)
    assert heard(client) == []
    store.broken.clear()
    two.histories.look_again()
    settle(two)
    assert heard(client) == [1, 2]


def test_send_without_room_raises_and_sends_nothing(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, SETTINGS, store)
    client = connect(hub)
    hub.group("log").add(client)
    store.broken.add("append")
    with pytest.raises(Overloaded):
        hub.group("log").send(1)
    with pytest.raises(TypeError):
        hub.group("log").send(object())
    store.broken.clear()
    hub.group("log").send(2)
    assert client.got == [{"data": 2, "group": "log", "offset": 1}]


def test_text_members_hear_nothing_and_disturb_nobody(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    text, json = connect(hub, Lines("text")), connect(hub)
    for client in (text, json):
        hub.group("log").add(client)
    hub.group("log").send(1)
    hub.store = MemoryStore()
    hub.group("log").send(2)
    settle(hub)
    assert (text.frames, [message["data"] for message in json.got if "offset" in message]) == ([], [1, 2])


def test_history_that_began_anew(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    clients = connect(one), connect(two)
    for client in clients:
        client.hub.group("log").add(client)
    one.group("log").send("old")
    settle(one, two)
    one.store = two.store = MemoryStore()
    one.group("log").send("new")
    two.group("log").send("newer")
    settle(one, two)
    for client in clients:
        assert [message.get("data") for message in client.got if "offset" in message] == ["old", "new", "newer"]
        assert positions(client) == [{"offset": 0, "epoch": place_of(one)[1], "recovered": False}]


# -- coming back ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", [False, True], ids=["memory", "machine"])
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("lose", [True, False])
def test_nothing_is_missed(hubs: Make, tmp_path: Path, machine: bool, elsewhere: bool, lose: bool) -> None:
    one, two = hubs(2, SETTINGS, MachineStore(tmp_path) if machine else None)
    one.group("log").send("before")
    listener = Listener(one)
    two.group("log").send(1)
    settle(one, two)
    if lose:
        listener.connection.lose()
        for number in (2, 3):
            two.group("log").send(number)
    assert listener.come_back(two if elsewhere else one, lose=lose)
    assert listener.told["log"] == {"recovered": True, "offset": 3 + lose, "epoch": place_of(one)[1], "missed": 2 if lose else 0} | (
        {} if lose else {"offset": 2}
    )
    one.group("log").send(4)
    settle(one, two)
    assert listener.all == ([1, 2, 3, 4] if lose else [1, 4])
    assert positions(listener.connection) == []


def test_client_that_tells_no_position_goes_on_where_it_was_lost(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client = connect(one)
    one.group("log").add(client)
    token = one.token(client)
    one.group("log").send(1)
    client.lose()
    one.group("log").send(2)
    back = connect(two)
    assert two.restore(back, token)
    one.group("log").send(3)
    settle(one, two)
    assert (heard(client), heard(back)) == ([1], [2, 3])


def test_position_is_told_to_those_who_may_come_back(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    hub.group("log").send(1)
    plain, coming = connect(hub), connect(hub)
    hub.token(coming)
    for client in (plain, coming):
        hub.group("log").add(client)
    assert plain.got == []
    assert positions(coming) == [{"offset": 1, "epoch": place_of(hub)[1]}]


@pytest.mark.parametrize(
    ("offset", "epoch"), [(0, "another"), (99, None), (1 << 62, None), (1, None)], ids=["epoch", "ahead", "far ahead", "too old"]
)
def test_honestly_not_recovered(hubs: Make, offset: int, epoch: str | None) -> None:
    (hub,) = hubs(1, SETTINGS)
    for number in range(10):
        hub.group("short").send(number)
    last, now = place_of(hub, "short")
    client = connect(hub)
    hub.groups.join("short", client, place=(offset, now if epoch is None else epoch))
    assert hub.keeping.told(client) == {"short": {"recovered": False, "offset": last, "epoch": now, "missed": 0}}
    hub.keeping.send_missed(client)
    hub.group("short").send("next")
    assert heard(client) == ["next"]


def test_messages_that_are_too_old_are_a_gap(hubs: Make) -> None:
    now = [1000.0]
    store = MemoryStore(clock=lambda: now[0])
    (hub,) = hubs(1, SETTINGS, store)
    hub.group("log").send("old")
    place = place_of(hub)
    now[0] += 200
    hub.group("log").send("kept")
    now[0] += 200
    for offset, recovered in ((0, False), (place[0], True)):
        client = connect(hub)
        hub.groups.join("log", client, place=(offset, place[1]))
        assert hub.keeping.told(client)["log"]["recovered"] is recovered


def test_client_that_knows_more_than_this_process(hubs: Make) -> None:
    """It was told by another process, whose news are still on their way here."""
    one, two = hubs(2, SETTINGS)
    member = connect(two)
    two.group("log").add(member)
    call = one.relay.call
    one.relay.call = lambda processes, packet: call((), packet)  # type: ignore[method-assign]
    one.group("log").send("a")
    one.group("log").send("b")
    one.relay.call = call  # type: ignore[method-assign]
    client = connect(two)
    two.groups.join("log", client, place=place_of(one))
    assert two.keeping.told(client)["log"] == {"recovered": True, "offset": 2, "epoch": place_of(one)[1], "missed": 0}
    two.keeping.send_missed(client)
    one.group("log").send("c")
    settle(one, two)
    assert (heard(client), heard(member)) == (["c"], ["a", "b", "c"])


def test_what_is_sent_between_the_answer_and_the_missed_messages(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    for number in range(3):
        one.group("log").send(number)
    place = (1, place_of(one)[1])
    client = connect(two)
    two.groups.join("log", client, place=place)
    one.group("log").send(3)
    settle(one, two)
    assert client.got == []  # the answer goes first
    client.links.after()
    one.group("log").send(4)
    settle(one, two)
    assert heard(client) == [1, 2, 3, 4]


def test_last_member_leaves_before_another_one_is_in(hubs: Make) -> None:
    """Then nobody here knows how far the members were told."""
    one, two = hubs(2, SETTINGS)
    member = connect(two)
    two.group("log").add(member)
    one.group("log").send(1)
    settle(one, two)
    client = connect(two)
    two.groups.join("log", client, place=(0, place_of(one)[1]))
    member.lose()
    one.group("log").send(2)
    settle(one, two)
    client.links.after()
    one.group("log").send(3)
    settle(one, two)
    assert heard(client) == [1, 2, 3]


@pytest.mark.parametrize("end", ["lose", "part"])
def test_who_ends_before_it_is_in_leaves_nothing_behind(hubs: Make, end: str) -> None:
    one, two = hubs(2, SETTINGS)
    one.group("log").send(1)
    client = connect(two)
    two.groups.join("log", client, place=(0, place_of(one)[1]))
    after = client.links.after
    assert one.relay.interested(target_of("log"))
    if end == "lose":
        client.lose()
    else:
        two.group("log").discard(client)
    after()
    assert client.got == []
    assert two.histories._cursors == {}
    assert not one.relay.interested(target_of("log"))


def test_go_back(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client, other = connect(hub), connect(hub)
    for each in (client, other):
        hub.group("log").add(each)
    for number in range(3):
        hub.group("log").send(number)
    for _ in range(2):  # asking twice is as good as asking once
        hub.histories.go_back("log", client, (1, place_of(hub)[1]))
    hub.group("log").send(3)
    assert len(client.got) == 3
    client.links.after()
    hub.group("log").send(4)
    assert [message["offset"] for message in client.got] == [1, 2, 3, 2, 3, 4, 5]
    assert heard(other) == [0, 1, 2, 3, 4]


def test_going_back_that_fails_changes_nothing(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, SETTINGS, store)
    client = connect(hub)
    hub.group("log").add(client)
    hub.group("log").send(1)
    store.broken.add("since")
    with pytest.raises(Overloaded):
        hub.histories.go_back("log", client, (0, place_of(hub)[1]))
    hub.group("log").send(2)
    assert heard(client) == [1, 2]


def test_store_that_fails_while_the_rest_is_sent(hubs: Make) -> None:
    """Its client is told that there is a gap, and is a member like others."""
    store = Troubled()
    (hub,) = hubs(1, SETTINGS, store)
    member, client = connect(hub), connect(hub)
    hub.group("log").add(member)
    hub.group("log").send(1)
    hub.groups.join("log", client, place=(0, place_of(hub)[1]))
    hub.group("log").send(2)
    store.broken.add("since")
    client.links.after()
    hub.group("log").send(3)
    assert heard(client) == [1, 3]
    assert positions(client) == [{"offset": 2, "epoch": place_of(hub)[1], "recovered": False}]


def test_skipped_members_are_skipped_when_they_come_back(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client = connect(hub)
    hub.token(client)
    hub.group("log").send("own", skip=[client])
    hub.groups.join("log", client, place=(0, place_of(hub)[1]))
    client.links.after()
    assert client.got == [{"group": "log", "offset": 1}]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("back"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("move"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("rest"), st.integers(0, 5), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_nothing_is_lost_or_doubled_however_they_come_and_go(steps: list[tuple[str, int, int]]) -> None:
    """Senders in three processes, clients that are lost or change the process at any moment, and a store that lets others run."""
    store = Troubled()
    made = make_hubs(3, SETTINGS, store)
    try:
        green.sleep(0)
        listeners = [Listener(hub) for hub in made]
        green.sleep(0)
        store.slow = True
        jobs: list[Any] = []
        lines: dict[int, green.Semaphore] = {number: green.Semaphore() for number in range(3)}

        def come_back(number: int, hub: Hub, *, lose: bool) -> None:
            with lines[number]:  # a client does one thing after the other
                listeners[number].come_back(hub, lose=lose)

        for place, (what, one, two) in enumerate(steps):
            if what == "send":
                jobs.append(green.spawn(made[one].group("log").send, place))
            elif what == "rest":
                for _ in range(one):
                    green.sleep(0)
            else:
                jobs.append(green.spawn(come_back, one, made[two], lose=what == "back"))
        for job in jobs:
            job.get(timeout=PATIENCE)
        for hub in made:
            hub.histories.look_again()
        settle(*made)
        sent = [data for _, data in made[0].group("log").history()]
        assert len(sent) == sum(what == "send" for what, *_ in steps)
        for listener in listeners:
            assert listener.all == sent
    finally:
        store.slow = False
        for hub in made:
            hub.stop()


def test_others_get_their_turn_while_much_is_sent_again(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    (hub,) = hubs(1, SETTINGS)
    first = connect(hub)
    hub.group("log").add(first)
    start = place_of(hub)
    for number in range(100):
        hub.group("log").send(number)
    turns: list[int] = []

    def let_others(_: float) -> None:
        turns.append(len(heard(client)))
        hub.group("log").send("meanwhile")

    client = connect(hub)
    monkeypatch.setattr("greenimi.hub.histories.sleep", let_others)
    hub.groups.join("log", client, place=start)
    hub.keeping.send_missed(client)
    assert turns == [64]
    assert heard(client) == [*range(100), "meanwhile"]
