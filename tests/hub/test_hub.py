from __future__ import annotations

import gc
import logging
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.event import Events
from greenimi.hub import Hub, UserLeft, packets
from greenimi.hub import hub as module
from greenimi.hub.machine_store import MachineStore
from greenimi.hub.settings import GroupSettings, HubSettings
from greenimi.testing.support import PATIENCE, wait_until
from tests.hub.joined import Client, Make, connect
from tests.hub.troubled import Troubled

ROOM = HubSettings(groups={"room": GroupSettings(presence=True)})


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done each second is done all the time."""
    monkeypatch.setattr(module, "_BEAT", 0.001)


# -- connections ---------------------------------------------------------------------------------------------------
def test_interest_lasts_as_long_as_somebody_is_there(hubs: Make) -> None:
    one, two = hubs(2)
    client, other = connect(one), connect(one)
    for target in ("s:chat", "g:a", "u:u"):
        client.hub.group("a").add(client)
        client.hub.user("u").add(client)
        assert two.relay.interested(target) == (one.process,)
    one.group("a").add(other)
    client.lose()
    assert two.relay.interested("g:a") == two.relay.interested("s:chat") == (one.process,)
    assert two.relay.interested("u:u") == ()
    other.lose()
    assert two.relay.interested("g:a") == two.relay.interested("s:chat") == ()
    assert one._targets == {}
    assert one._wanted == set()


def test_pushes_go_only_where_somebody_is(hubs: Make) -> None:
    one, two, three = hubs(3)
    client = connect(two)
    two.group("a").add(client)
    connect(three)
    assert one.group("a").send("x").published == 1
    assert one.group("b").send("x").published == 0
    assert one.connection(client).send("x").published == 1


def test_gone_twice_is_once(hubs: Make) -> None:
    (hub,) = hubs(1)
    client = connect(hub)
    hub.group("a").add(client)
    assert client in hub.group("a")
    client.lose()
    hub.gone(client)
    assert client not in hub.group("a")
    assert hub.numbers() == {**hub.numbers(), "connections": 0, "groups": 0, "users": 0}


def test_gone_connection_is_kept_alive_by_nothing(hubs: Make) -> None:
    class Ghost(Client):
        pass

    one, two = hubs(2, HubSettings(groups={"room": GroupSettings(presence=True), "log": GroupSettings(history=5)}))
    gone: list[Any] = []
    gc.disable()  # not even by a circle that waits for the collector
    try:
        for number in range(3):
            client: Any = Ghost(one)
            gone.append(weakref.ref(client))
            one.user("ann").add(client)
            for group in ("a", "room", "log"):
                one.group(group).add(client)
            one.everyone().send("x")
            one.group("log").send("x")
            with two.connection(client).context.use() as data:
                data["a"] = 1
            token = one.token(client)
            if number:
                one.histories.go_back("log", client, (0, one.store.position("log")[1]))
            if number == 2:
                back: Any = Ghost(one)
                gone.append(weakref.ref(back))
                one.restore(back, token)
                back.lose()
                del back
            client.lose()
            del client
            assert one.later.wait(PATIENCE)
            assert one._told.wait(PATIENCE)
        green.sleep(0)
        green.sleep(0)
        wait_until(lambda: not any(each() for each in gone), 1.0)
    finally:
        gc.enable()


# -- packets -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("packet", [b"", b"\xc1", b"junk", packets.encode(["z", 1])])
def test_what_is_no_packet_harms_nobody(hubs: Make, caplog: pytest.LogCaptureFixture, packet: bytes) -> None:
    one, two = hubs(2)
    calls = two.relay.call([one.process], packet)
    assert calls.wait(0.01) == []
    assert "no packet" in caplog.text
    assert two.workers.send("x").delivered == 2


def test_told_needs_no_answer(hubs: Make) -> None:
    one, two = hubs(2)
    client = connect(one)
    two.relay.tell([one.process], packets.encode(packets.Push("*", [], {"json": b"1"}, None, None, False, [], None)))
    wait_until(lambda: client.got)
    assert client.got == [1]


def test_no_context_of_a_sender_reaches_listeners(hubs: Make) -> None:
    from contextvars import ContextVar

    who: ContextVar[str] = ContextVar("who", default="nobody")
    (hub,) = hubs(1)
    seen: list[str] = []
    hub.events.on("worker.x", lambda event: seen.append(who.get()))
    who.set("a handler")
    hub.workers.send("x")
    wait_until(lambda: seen)
    assert seen == ["nobody"]


# -- service -------------------------------------------------------------------------------------------------------
def test_hub_that_was_not_started_serves_its_own_process() -> None:
    hub = Hub()
    client = connect(hub)
    hub.group("a").add(client)
    assert hub.group("a").send("x").delivered == 1
    assert len(hub.workers) == 1
    client.lose()
    hub.stop()


def test_stop_stores_what_is_pending_and_leaves(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, ROOM, store)
    clients = [connect(one) for _ in range(20)]
    for client in clients:
        one.group("room").add(client)
        one.token(client)
    store.slow = True
    for client in clients:
        client.lose()
    one.stop()
    assert store.calls["keep"] == store.calls["leave"] == 20
    wait_until(lambda: two.relay.processes() == ())
    one.stop()


def test_stop_does_not_wait_for_ever(hubs: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "_LEAVE", 0.01)
    store = Troubled()
    one, two = hubs(2, ROOM, store)
    client, other = connect(one), connect(one)
    for each in (client, other):
        one.group("room").add(each)
    gate = store.gate("leave")
    client.lose()
    other.lose()
    one.stop()
    assert "could not be stored in time" in caplog.text
    wait_until(lambda: two.relay.processes() == ())
    gate.set()


@pytest.mark.usefixtures("beats")
def test_process_is_said_to_be_alive_whatever_else_fails(hubs: Make, caplog: pytest.LogCaptureFixture) -> None:
    store = Troubled()
    (hub,) = hubs(1, ROOM, store)
    store.broken.update({"expired", "collect"})
    before = store.calls["alive"]
    wait_until(lambda: store.calls["alive"] > before + 2)
    assert "busy" in caplog.text
    assert "Traceback" not in caplog.text
    hub.stop()


@pytest.mark.usefixtures("beats")
def test_slow_listener_does_not_hold_up_the_beat(hubs: Make) -> None:
    store = Troubled()
    one, _ = hubs(2, ROOM, store)
    gate = green.Event()
    entered: list[Any] = []

    def hear(event: UserLeft) -> None:
        entered.append(event)
        gate.wait()

    one.events.on(UserLeft, hear)
    client = connect(one)
    one.group("room").add(client)
    client.lose()
    wait_until(lambda: entered)
    before = store.calls["alive"]
    wait_until(lambda: store.calls["alive"] > before + 4)
    gate.set()
    assert len(entered) == 1


@pytest.mark.usefixtures("beats")
@pytest.mark.parametrize("machine", [False, True], ids=["memory", "machine"])
def test_process_that_others_took_for_gone_says_again_who_is_here(hubs: Make, tmp_path: Path, machine: bool) -> None:
    one, two = hubs(2, ROOM, MachineStore(tmp_path) if machine else None)
    client = connect(one)
    one.group("room").add(client, "Ann")
    one.user("ann").claim(client)
    two._bury(one.process)
    wait_until(lambda: two.group("room").present() == [("ann", "Ann", 1)])
    assert two.store.owner("ann") == client.number


def test_one_that_left_while_it_was_said_again(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, ROOM, store)
    for call in ("enter", "claim"):
        client = connect(one)
        one.group("room").add(client)
        one.user("ann").claim(client)
        two._bury(one.process)
        gate = store.gate(call)
        again = green.spawn(one._enter_again)
        wait_until(partial(store.waiting.get, call))
        client.lose()
        gate.set()
        again.get(timeout=PATIENCE)
        assert one.later.wait(PATIENCE)
        assert store.owner("ann") is None
        assert store.present("room", 9) == []
        store.gates.clear()


def test_lost_process_that_lives_is_not_buried(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its link was cut: it may be back in a moment."""
    store = Troubled()
    one, two = hubs(2, ROOM, store)
    buried = []
    for lives in (True, False):
        monkeypatch.setattr(one.relay, "lives", partial(dict.get, {two.process: lives}))
        one.lost(two.process)
        assert one.later.wait(PATIENCE)
        buried.append(store.calls["bury"])
    assert buried == [0, 1]


def test_numbers_for_metrics(hubs: Make) -> None:
    one, _ = hubs(2)
    client = connect(one)
    one.group("a").add(client)
    one.user("u").add(client)
    one.token(client)
    assert one.numbers() == {
        "connections": 1,
        "groups": 1,
        "users": 1,
        "processes": 1,
        "pending": 0,
        "kept_total": 0,
        "restored_total": 0,
        "dropped_total": 0,
    }
    client.lose()
    assert one.numbers()["kept_total"] == 1


def test_events_are_those_of_the_application() -> None:
    events = Events()
    assert Hub(events=events).events is events


def test_secrets_are_not_in_the_log(hubs: Make, caplog: pytest.LogCaptureFixture) -> None:
    one, two = hubs(2)
    client = connect(one)
    with caplog.at_level(logging.DEBUG):
        token = one.token(client)
        assert two.restore(connect(two), token)
        assert not two.restore(connect(two), token)
    assert token.split(".")[1] not in caplog.text


def test_servers_that_conf_has_not(hubs: Make) -> None:
    (hub,) = hubs(1)
    assert hub.everyone("anything").count() == 0, "nobody has said which there are"
    hub.servers = ["web", "till"]
    assert hub.everyone("web").count() == 0
    with pytest.raises(LookupError, match="there is no server 'tll'; servers in conf: web, till"):
        hub.everyone("tll")


def test_only_so_many_changes_of_others_wait(hubs: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "_MOST_CHANGES", 3)
    store = Troubled()
    (hub,) = hubs(1, ROOM, store)
    clients = [connect(hub) for _ in range(9)]
    gate = store.gate("enter")
    answers: list[bytes] = []
    hub.called(packets.encode(packets.Change("join", clients[0].number, "room")), 1, answers.append)
    wait_until(lambda: store.waiting.get("enter"))
    for client in clients[1:]:
        hub.called(packets.encode(packets.Change("join", client.number, "room")), 1, answers.append)
    assert len(hub._changes) == 3
    gate.set()
    wait_until(lambda: len(answers) == 4)
    assert hub.group("room").count() == 4
    wait_until(lambda: "5 things were left out" in caplog.text)
