from __future__ import annotations

import time
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import ConnectionClosed, Refusal
from greenimi.event import NamedEvent
from greenimi.hub import Hub, Unreachable
from greenimi.hub.settings import GroupSettings, HubSettings
from greenimi.message import Reply
from greenimi.testing.support import PATIENCE, wait_until
from tests.hub.joined import Lines, Make, connect
from tests.hub.troubled import Troubled

WAIT = 0.05
QUICK = HubSettings(wait=WAIT)


def silence(hub: Hub) -> None:
    """It takes packets and says nothing any more, as a process that was stopped."""
    hub.relay._receiver = None  # type: ignore[attr-defined]


# -- counts --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("asker", [0, 1])
def test_three_clients_of_two_processes(hubs: Make, raw: bool, asker: int) -> None:
    one, two = hubs(2)
    clients = [connect(one), connect(two), connect(two)]
    one.user("ann").add(clients[0])
    for client in clients[:2]:
        client.hub.group("pair").add(client)
    hub = (one, two)[asker]
    data: Any = Reply('"hello"') if raw else "hello"
    nobody = hub.connection((1 << 63) - 1)
    assert nobody.send(data).delivered == 0
    assert [hub.connection(client.id).send(data).delivered for client in clients] == [1, 1, 1]
    assert sum(hub.connection(client).send(data).delivered for client in clients[:2]) == 2
    assert hub.user("ann").send(data).delivered == 1
    assert hub.user("bob").send(data).delivered == 0
    assert hub.everyone().send(data).delivered == 3
    assert hub.everyone("chat").send(data).delivered == 3
    assert hub.everyone("shop").send(data).delivered == 0
    delivery = hub.group("pair").send(data)
    assert (delivery.delivered, delivery.published, delivery.unknown) == (2, 1, 0)
    assert [len(client.got) for client in clients] == [6, 5, 3]
    assert {message for client in clients for message in client.got} == {"hello"}

    assert (hub.everyone().count(), hub.group("pair").count(), hub.user("ann").count()) == (3, 2, 1)
    assert hub.connection(clients[0]).exists()
    assert hub.connection(clients[0].id).count() == 1
    assert hub.connection(clients[0].id).close(4000, "bye") == 1
    assert clients[0].closed_with == (4000, "bye")
    assert not hub.connection(clients[0].id).exists()
    assert hub.connection(clients[0].id).count() == 0
    assert hub.connection(clients[0].id).close() == 0
    assert (hub.everyone().count(), hub.group("pair").count(), hub.user("ann").count()) == (2, 1, 0)
    assert hub.group("pair").close(4001) == 1
    assert hub.everyone("chat").close() == 1
    assert hub.everyone().count() == 0


def test_one_that_is_closing_does_not_exist(hubs: Make) -> None:
    """Its goodbye may take a while."""
    one, two = hubs(2)
    client = connect(one)
    client.is_open = False
    assert [hub.connection(client.id).exists() for hub in (one, two)] == [False, False]
    assert one.connection(client).send("x").delivered == 0


def test_ids_come_with_the_count(hubs: Make) -> None:
    one, two = hubs(2)
    clients = [connect(two), connect(one), connect(two)]
    assert one.everyone().connections() == [clients[1].id, clients[0].id, clients[2].id]  # those of this process first
    assert two.connection(clients[1]).connections() == [clients[1].id]
    assert two.connection("nobody").connections() == []


def test_event_skip_and_key(hubs: Make) -> None:
    one, two = hubs(2)
    first, second, third = clients = [connect(one), connect(two), connect(two)]
    for target in (one.everyone(), one.everyone("chat")):
        delivery = target.send(1, "tick", skip=[first, second.id], key="k")
        assert delivery.delivered == 1
    assert [client.got for client in clients] == [[], [], [{"event": "tick", "data": 1}] * 2]
    assert third.keys == ["k", "k"]
    assert one.connection(second).send(2, "tick", key="k").delivered == 1
    assert one.connection(second).send(2, skip=[second]).delivered == 0
    assert (second.got, second.keys) == ([{"event": "tick", "data": 2}], ["k"])


def test_order_is_kept_for_who_sends(hubs: Make) -> None:
    one, two = hubs(2)
    client = connect(two)
    two.group("a").add(client)
    two.user("u").add(client)
    targets: list[Any] = [one.group("a"), one.user("u"), one.everyone(), one.connection(client)]
    for number in range(40):
        targets[number % 4].send(number)
    wait_until(lambda: len(client.got) == 40)
    assert client.got == list(range(40))


# -- what cannot be told -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("elsewhere", [False, True])
def test_type_error_only_when_nobody_can_be_told(hubs: Make, elsewhere: bool) -> None:
    one, two = hubs(2)
    owner = two if elsewhere else one
    json, text = connect(owner), connect(owner, Lines("text"))
    for hub in (one, two):
        hub.payloads.update({"json": json.dialect.payload, "text": text.dialect.payload})
    for client in (json, text):
        owner.group("a").add(client)
    targets: list[Any] = [one.group("a"), one.everyone(), one.everyone("chat")]
    for target in targets:
        assert target.send({"a": 1}).delivered == 1
        assert target.send("x").delivered == 2
    assert text.frames == [b"x\n"] * 3
    for target in (*targets, one.connection(json)):
        with pytest.raises(TypeError, match="object"):
            target.send(object())
    json.lose()
    if not elsewhere:
        for target in (one.group("a"), one.everyone("chat"), one.connection(text)):
            with pytest.raises(TypeError, match="a text payload takes str"):
                target.send({"a": 1})


def test_payload_that_only_one_process_uses(hubs: Make) -> None:
    """A connection may have changed its own."""
    one, two = hubs(2)
    client = connect(two, Lines("msgpack"))
    connect(one)
    assert one.payloads.keys() == {"json"}
    assert one.connection(client).send({"a": 1}).delivered == 1
    assert client.frames == [b"\x81\xa1a\x01\n"]


def test_script_without_connections_knows_no_payload(hubs: Make) -> None:
    one, two = hubs(2)
    json, packed = connect(two), connect(two, Lines("msgpack"))
    assert one.everyone().send({"a": b"x"}, "e").delivered == 2
    one.payloads.clear()
    assert one.everyone().send({"a": 1}).delivered == 2
    assert json.got[-1] == {"a": 1}
    assert packed.frames[-1] == b"\x81\xa1a\x01\n"
    with pytest.raises(TypeError):
        one.everyone().send(object())


def test_encoded_once_here_and_not_at_all_there(hubs: Make) -> None:
    one, two = hubs(2)
    kinds = {name: Lines(name) for name in ("json", "msgpack")}
    encoded: list[str] = []
    for name, kind in kinds.items():
        encode = kind.payload.encode

        def count(value: Any, name: str = name, encode: Any = encode) -> bytes:
            encoded.append(name)
            return encode(value)  # type: ignore[no-any-return]

        kind.payload.encode = count  # type: ignore[method-assign]
        for hub in (one, two):
            hub.payloads[name] = kind.payload
    clients = [connect(hub, kind) for hub in (one, two) for kind in kinds.values() for _ in range(10)]
    assert one.everyone().send({"a": 1}).delivered == len(clients)
    assert sorted(encoded) == ["json", "msgpack"]
    assert {kind.framed for kind in kinds.values()} == {2}  # once a process


# -- silence -------------------------------------------------------------------------------------------------------
def test_silent_process_is_unknown(hubs: Make) -> None:
    one, two, three = hubs(3, QUICK)
    clients = [connect(hub) for hub in (one, two, three)]
    for client in clients:
        client.hub.group("a").add(client)
    silence(three)
    before = time.monotonic()
    delivery = one.group("a").send("x")
    assert time.monotonic() - before < WAIT / 2  # a send waits for nobody
    assert (delivery.delivered, delivery.published, delivery.unknown) == (2, 2, 1)
    assert one.everyone().count() == 2
    assert one.group("a").connections() == [clients[0].id, clients[1].id]
    assert WAIT <= time.monotonic() - before < PATIENCE


def test_process_that_dies_is_waited_for_no_longer(hubs: Make) -> None:
    one, two = hubs(2, HubSettings(wait=PATIENCE * 2))
    client = connect(two)
    two.group("a").add(client)
    silence(two)
    delivery = one.group("a").send("x")
    two.relay._receiver = two  # type: ignore[attr-defined]
    two.relay.stop()
    assert (delivery.delivered, delivery.unknown) == (0, 1)


@pytest.mark.parametrize("what", ["group", "user"])
def test_changes_by_a_silent_process(hubs: Make, what: str) -> None:
    one, two = hubs(2, QUICK)
    client = connect(two)
    silence(two)
    with pytest.raises(Unreachable, match=client.id):
        getattr(one, what)("a").add(client)
    two.relay._receiver = two  # type: ignore[attr-defined]
    two.relay.stop()
    green.sleep(0)
    green.sleep(0)
    assert not getattr(one, what)("a").add(client)


def test_late_change_does_not_hold_up_what_is_to_be_stored(hubs: Make) -> None:
    """What others ask for waits in a line of its own."""
    store = Troubled()
    one, two = hubs(2, HubSettings(wait=WAIT, groups={"room": GroupSettings(presence=True)}), store)
    client, other = connect(one), connect(one)
    one.token(other)
    gate = store.gate("enter")
    with pytest.raises(Unreachable):
        two.group("room").add(client)
    other.lose()
    assert one.later.wait(PATIENCE)
    assert store.calls["keep"] == 1
    gate.set()
    wait_until(lambda: client in one.group("room"))


def test_store_that_fails_for_another_process(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, HubSettings(groups={"room": GroupSettings(presence=True)}), store)
    client = connect(one)
    store.broken.add("enter")
    with pytest.raises(Refusal, match="busy") as refused:
        two.group("room").add(client)
    assert refused.value.status == 503


# -- nobody --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["", "x", "-1", -1, "9" * 30, 1 << 63, 0, 12345])
def test_ids_from_nowhere(hubs: Make, who: Any) -> None:
    one, _ = hubs(2, QUICK)
    target = one.connection(who)
    delivery = target.send("x")
    assert (delivery.delivered, delivery.published, delivery.unknown) == (0, 0, 0)
    assert target.close() == target.count() == 0
    assert not target.exists()
    assert not one.group("a").add(who)
    assert not one.user("a").add(who)
    assert not one.user("a").claim(who)
    with pytest.raises(ConnectionClosed):
        target.user()
    with pytest.raises(ConnectionClosed):
        target.groups()


def test_targets_say_what_they_are(hubs: Make) -> None:
    (hub,) = hubs(1)
    assert repr(hub.group("a")) == "<group a>"
    assert repr(hub.user("a")) == "<user a>"
    assert repr(hub.connection(5)) == "<connection 5>"
    assert repr(hub.worker(5)) == "<worker 5>"


# -- workers -------------------------------------------------------------------------------------------------------
def test_messages_between_workers(hubs: Make) -> None:
    one, two = hubs(2)
    heard: list[tuple[str, Any]] = []

    def hear(name: str) -> Any:
        def listen(event: NamedEvent) -> None:
            heard.append((name, event.data))

        return listen

    for name, hub in (("one", one), ("two", two)):
        hub.events.on("worker.reload", hear(name))
    assert one.workers.send("reload", {"a": (1, 2)}).delivered == 2
    wait_until(lambda: len(heard) == 2)
    assert sorted(heard) == [("one", {"a": [1, 2]}), ("two", {"a": [1, 2]})]  # a copy, here as there
    assert len(one.workers) == 2
    assert [worker.process for worker in one.workers] == [one.process, two.process]
    assert one.worker(two.process).send("reload").delivered == 1
    assert two.worker(two.process).send("reload").delivered == 1
    wait_until(lambda: len(heard) == 4)
    assert heard[2:] == [("two", None)] * 2
    assert one.worker(12345).send("reload").delivered == 0
    with pytest.raises(TypeError):
        one.workers.send("reload", object())
    two.relay.stop()
    green.sleep(0)
    assert one.workers.send("reload").delivered == 1


def test_worker_that_fails_to_listen(hubs: Make, caplog: pytest.LogCaptureFixture) -> None:
    one, two = hubs(2)
    two.events.on("worker.reload", lambda event: 1 / 0)
    assert one.worker(two.process).send("reload").delivered == 1
    wait_until(lambda: "ZeroDivisionError" in caplog.text)
    assert "a listener of worker.reload failed" in caplog.text
    assert one.worker(two.process).send("reload").delivered == 1


def test_names_are_texts(hubs: Make) -> None:
    (hub,) = hubs(1)
    wrong: Any = 5
    with pytest.raises(TypeError, match="texts, not int: 5"):
        hub.user(wrong)
    with pytest.raises(TypeError, match="texts, not int: 5"):
        hub.group(wrong)


def test_the_last_messages_or_those_behind_an_offset(hubs: Make) -> None:
    (hub,) = hubs(1, HubSettings(groups={"log": GroupSettings(history=10)}))
    for number in range(5):
        hub.group("log").send(number)
    assert hub.group("log").history(limit=2) == [(4, 3), (5, 4)]
    assert hub.group("log").history(1, limit=2) == [(2, 1), (3, 2)]
    with pytest.raises(ValueError, match=r"set history in \[hub.groups.lobby\]"):
        hub.group("lobby").history()
