"""What a UDP server remembers of those who send datagrams, and whom it forgets."""

from __future__ import annotations

import gc
import socket
import subprocess
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from greenimi import IConnection, Identity, authenticator, bean, closed, green, on, opened, udp
from greenimi.app import App
from greenimi.errors import ConfigError, ConnectionClosed, NoReply, Refused
from greenimi.facades import Hub
from greenimi.interfaces import IDialect
from greenimi.message import Message
from greenimi.servers.peers import HEADERS, Peers, UdpPeer
from greenimi.servers.sockets import Address, open_slots
from greenimi.servers.udp import UdpServer
from greenimi.testing.clients import DatagramClient, RequestFailed
from greenimi.testing.links import datagram_address
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until


@bean
@dataclass
class Book:
    """What happened, in order.  ``opening`` and ``gate`` let handlers go on."""

    log: list[Any] = field(default_factory=list)
    opening: Event = field(default_factory=Event)
    gate: Event = field(default_factory=Event)
    refuses: bool = False

    def __post_init__(self) -> None:
        self.opening.set()


@udp
@dataclass
class Beacon:
    book: Book

    @on("count")
    def count(self, connection: IConnection) -> int:
        connection.data["count"] = connection.data.get("count", 0) + 1
        return int(connection.data["count"])

    @on("id")
    def id(self, connection: IConnection) -> str:
        return connection.id

    @on("note")
    def note(self, number: int) -> None:
        self.book.log.append(number)

    @on("wait")
    def wait(self, number: int) -> int:
        self.book.log.append(f"waits {number}")
        self.book.gate.wait()
        self.book.log.append(number)
        return number

    @on("join")
    def join(self, connection: IConnection, name: str) -> bool:
        return Hub.group(name).add(connection)

    @on("ask")
    def ask(self, connection: IConnection, seconds: float) -> Any:
        return connection.request({"action": "temperature"}, timeout=seconds)

    @on("flood")
    def flood(self, connection: IConnection, times: int) -> int:
        return sum(connection.send("x" * 98) for _ in range(times))

    @on("who")
    def who(self, message: Message) -> str | None:
        return message.identity.id if message.identity else None


@udp
@dataclass
class Door:
    """Peers that come and go."""

    book: Book

    @opened
    def enter(self) -> None:
        self.book.log.append("opening")
        self.book.opening.wait()
        if self.book.refuses:
            raise Refused("not you")
        self.book.log.append("opened")

    @closed
    def leave(self, connection: IConnection) -> None:
        self.book.log.append("closed")
        assert not connection.is_open


@authenticator(server="beacon")
class Tokens:
    def authenticate(self, message: Message) -> Identity | None:
        token = message.data.get("token")
        return None if token is None else Identity(token, expires=message.data.get("expires"))


Make = Callable[..., App]


@pytest.fixture
def make(app_factory: AppFactory) -> Iterator[Make]:
    made: list[App] = []

    def start(*more: Any, **settings: Any) -> App:
        made.append(app_factory([Book, Beacon, *more], {"servers": {"beacon": {"kind": "udp", **settings}}}))
        return made[-1]

    yield start
    for app in made:
        book = app.container.get(Book)
        book.gate.set()
        book.opening.set()


def server(app: App) -> UdpServer:
    found = app.doors.servers["beacon"]
    assert isinstance(found, UdpServer)
    return found


def log(app: App) -> list[Any]:
    return app.container.get(Book).log


def only_peer(app: App) -> UdpPeer:
    (peer,) = server(app).connections
    return peer


def pass_time(app: App, seconds: float) -> None:
    """For all peers, as far as they were silent."""
    for peer in server(app).connections:
        peer.heard -= seconds
    server(app).sweep(app.doors.runtime.now)


# -- one peer ------------------------------------------------------------------------------------------------------


def test_a_peer_is_one_connection_as_long_as_it_is_remembered(make: Make) -> None:
    app = make()
    with DatagramClient(app, "beacon") as one, DatagramClient(app, "beacon") as two:
        assert [one.request("count"), one.request("count"), two.request("count"), one.request("count")] == [1, 2, 1, 3]
        assert one.request("id") == one.request("id") != two.request("id")
        found = {peer.address: peer for peer in server(app).connections}
        assert set(found) == {client._sock.getsockname() for client in (one, two)}
        peer = found[one._sock.getsockname()]
        assert app.doors.runtime.hub.connections[peer.number] is peer
        assert peer.id == str(peer.number) == one.request("id")


def test_what_is_known_of_a_peer(make: Make) -> None:
    app = make()
    before = time.time()
    with DatagramClient(app, "beacon") as client:
        client.request("count")
        peer = only_peer(app)
        assert verifyObject(IConnection, peer)
        assert (peer.secure, peer.tls, peer.identity, peer.links, peer.is_open) == (False, None, None, None, True)
        assert (peer.address, peer.local_address) == (client._sock.getsockname(), client._sock.getpeername())
        assert before <= peer.opened_at <= time.time()
        assert abs(peer.last_seen - before) < 2
        assert repr(peer) == f"<peer {peer.address} of beacon>"
        assert peer.payload.name == "json"
        assert verifyObject(IDialect, peer.dialect)
        with pytest.raises(TypeError, match="payload"):
            peer.payload = "text"


def test_a_peer_can_be_sent_to_at_any_time(make: Make) -> None:
    app = make()
    with DatagramClient(app, "beacon") as client:
        client.request("count")
        assert only_peer(app).send({"news": 1})
        assert client.receive() == {"news": 1}
        assert only_peer(app).push(b"[2]", key="k")
        assert client.receive() == [2]


def test_the_hub_reaches_peers_like_any_connection(make: Make) -> None:
    app = make(Tokens)
    with DatagramClient(app, "beacon") as one, DatagramClient(app, "beacon") as two:
        assert one.request("join", name="lobby", token="ann")
        assert not one.request("join", name="lobby"), "it is in it"
        assert two.request("count") == 1
        assert Hub.group("lobby").send("to the group").delivered == 1
        assert one.receive() == "to the group"
        assert Hub.connection(two.request("id")).send("to one", event="told").delivered == 1
        assert two.receive() == {"event": "told", "data": "to one"}
        assert wait_until(lambda: Hub.user("ann").send("to a user").delivered) == 1
        assert one.receive() == "to a user"
        assert Hub.everyone("beacon").send("to all").delivered == 2
        assert (one.receive(), two.receive()) == ("to all", "to all")
        Hub.group("lobby").close(1000, "")
        assert [Hub.group("lobby").count(), Hub.everyone("beacon").count(), len(server(app).connections)] == [0, 1, 1]


def test_socat_is_pushed_to(make: Make) -> None:
    app = make()
    command = ["socat", "-t", "5", "-", "UDP4:{}:{}".format(*datagram_address(app, "beacon"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as socat:
        assert socat.stdin is not None
        assert socat.stdout is not None
        socat.stdin.write(b'{"action": "join", "name": "lobby"}')
        socat.stdin.flush()
        assert socat.stdout.read(4) == b"true"
        assert Hub.group("lobby").send("news").delivered == 1
        assert socat.stdout.read(6) == b'"news"'
        socat.kill()


def test_a_closed_peer_is_not_sent_to_and_its_next_datagram_opens_it_anew(make: Make) -> None:
    app = make()
    with DatagramClient(app, "beacon") as client:
        assert client.request("count") == 1
        old = only_peer(app)
        number = old.number
        old.close()
        old.close()
        assert (old.is_open, old.send("x"), old.push(b"x"), len(server(app).connections)) == (False, False, False, 0)
        assert number not in app.doors.runtime.hub.connections
        assert client.request("count") == 1
        assert only_peer(app).number != number


def test_a_forgotten_peer_leaves_nothing_behind(make: Make) -> None:
    app = make(Door)
    with DatagramClient(app, "beacon") as client:
        assert client.request("join", name="lobby")
        seen = weakref.ref(only_peer(app))
        found = seen()
        assert found is not None
        found.close()
        del found
        wait_until(lambda: "closed" in log(app))
        gc.collect()
        assert seen() is None


# -- beginning and end ---------------------------------------------------------------------------------------------


def test_opened_runs_before_the_first_message_and_closed_after_the_last(make: Make) -> None:
    app = make(Door)
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "note", "number": 1})
        assert client.request("count") == 1
        client.send({"action": "wait", "number": 2})
        wait_until(lambda: "waits 2" in log(app))
        only_peer(app).close()
        green.sleep(0)
        app.container.get(Book).gate.set()
        wait_until(lambda: "closed" in log(app))
    assert log(app) == ["opening", "opened", 1, "waits 2", 2, "closed"]


def test_datagrams_wait_for_opened_then_for_nobody(make: Make) -> None:
    app = make(Door)
    book = app.container.get(Book)
    book.opening.clear()
    with DatagramClient(app, "beacon") as client:
        for number in range(3):
            client.send({"action": "wait", "id": number, "number": number})
        wait_until(lambda: server(app).accepted_count == 3)
        assert log(app) == ["opening"]
        book.opening.set()
        wait_until(lambda: len(log(app)) == 5)
        assert log(app)[2:] == ["waits 0", "waits 1", "waits 2"]
        book.gate.set()
        assert sorted(client.receive()["id"] for _ in range(3)) == [0, 1, 2]


def test_what_waits_is_bounded(make: Make) -> None:
    app = make(Door, inbox=2)
    book = app.container.get(Book)
    book.opening.clear()
    with DatagramClient(app, "beacon") as client:
        for number in range(10):
            client.send({"action": "note", "number": number})
        wait_until(lambda: server(app).accepted_count == 10)
        assert server(app).dropped == 8
        book.opening.set()
        client.request("count")
        assert [each for each in log(app) if type(each) is int] == [0, 1]


def test_a_peer_that_is_refused_is_forgotten(make: Make) -> None:
    app = make(Door)
    book = app.container.get(Book)
    book.refuses = True
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "note", "number": 1})
        client.send({"action": "note", "number": 2})
        wait_until(lambda: log(app).count("closed") == 2)
        assert len(server(app).connections) == 0
        assert log(app).count("opening") == 2
        book.refuses = False
        assert client.request("count") == 1
    assert not {1, 2} & set(log(app))


def test_a_peer_that_is_closed_while_it_is_opened_is_closed_once(make: Make) -> None:
    app = make(Door)
    book = app.container.get(Book)
    book.opening.clear()
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "note", "number": 1})
        client.send({"action": "note", "number": 2})
        wait_until(lambda: server(app).accepted_count == 2)
        only_peer(app).close()
        book.opening.set()
        wait_until(lambda: "closed" in log(app))
        assert server(app).dropped == 1
        assert client.request("count") == 1
    assert log(app) == ["opening", "opened", 1, "closed", "opening", "opened"]


def test_peers_are_closed_when_the_server_stops(make: Make) -> None:
    app = make(Door)
    with DatagramClient(app, "beacon") as client:
        client.request("count")
        app.stop()
    assert log(app) == ["opening", "opened", "closed"]


def test_a_silent_peer_is_forgotten(make: Make) -> None:
    app = make(Door, peer_time=10)
    with DatagramClient(app, "beacon") as client, DatagramClient(app, "beacon") as other:
        client.request("count")
        pass_time(app, 9)
        other.request("count")
        assert len(server(app).connections) == 2
        pass_time(app, 1.5)
        assert [peer.address for peer in server(app).connections] == [other._sock.getsockname()]
        wait_until(lambda: "closed" in log(app))
        assert client.request("count") == 1


def test_a_peer_that_a_handler_works_for_is_not_silent(make: Make) -> None:
    app = make(peer_time=10)
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "wait", "number": 1})
        wait_until(lambda: log(app))
        pass_time(app, 100)
        assert only_peer(app).is_open
        app.container.get(Book).gate.set()
        assert client.receive() == 1
        pass_time(app, 100)
        assert len(server(app).connections) == 0


def test_very_many_are_forgotten_a_few_at_a_time(make: Make) -> None:
    app = make(Door, peers=5000)
    for port in range(1, 5001):
        server(app).received(0, (b'{"action":"note","number":0}', ("127.0.0.9", port)))
    pass_time(app, 100)
    assert 0 < len(server(app).connections) < 5000
    wait_until(lambda: not len(server(app).connections))
    wait_until(lambda: log(app).count("closed") == 5000)


# -- who is forgotten for others -----------------------------------------------------------------------------------


def test_there_is_a_limit_and_the_longest_silent_stranger_goes_first(make: Make) -> None:
    app = make(Door, peers=3)
    clients = [DatagramClient(app, "beacon") for _ in range(5)]
    for client in clients[:3]:
        client.request("count")
    pass_time(app, 1)
    assert clients[1].request("count") == 2, "no stranger any more"
    for client in clients[3:]:
        client.request("count")
    left = {peer.address for peer in server(app).connections}
    assert left == {clients[number]._sock.getsockname() for number in (1, 3, 4)}
    wait_until(lambda: log(app).count("closed") == 2)
    for client in clients:
        client.close()


def test_a_flood_of_forged_addresses_does_not_push_out_who_talks(make: Make) -> None:
    app = make(peers=20)
    talking = [DatagramClient(app, "beacon") for _ in range(20)]
    for _ in range(2):
        for client in talking:
            client.request("count")
        pass_time(app, 1)
    address = talking[0]._sock.getpeername()
    for number in range(1, 200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forged:
            forged.bind((f"127.0.1.{number}", 0))
            forged.sendto(b'{"action": "join", "name": "lobby"}', address)
    wait_until(lambda: server(app).accepted_count == 239)
    wait_until(lambda: Hub.group("lobby").count() == 1)
    assert len(server(app).connections) == 20
    assert [client.request("count") for client in talking].count(3) == 19, "one of them made room"
    for client in talking:
        client.close()


class Someone:
    """As much of a peer as the table looks at."""

    def __init__(self, name: str, heard: float = 0) -> None:
        self.address = name
        self.heard = heard


def test_the_order_in_which_they_go() -> None:
    peers: Any = Peers(4)
    made = {name: Someone(name) for name in "abcd"}
    for peer in made.values():
        assert peers.one_too_many() is None
        peers.add(peer)
    assert (len(peers), [each.address for each in peers]) == (4, ["a", "b", "c", "d"])
    for now, name in ((1, "a"), (2, "b"), (3, "a"), (4, "d")):
        peers.heard(made[name], now)
    order = []
    while len(peers):
        peers.limit = len(peers)
        order.append(peers.one_too_many().address)
        assert [each.address for each in peers.silent(made[order[-1]].heard)] == order[-1:]
        assert peers.discard(made[order[-1]])
        assert not peers.discard(made[order[-1]])
    assert order == ["c", "b", "a", "d"]


# -- order ---------------------------------------------------------------------------------------------------------


def test_in_order_one_peers_datagrams_are_handled_one_after_the_other(make: Make) -> None:
    app = make(in_order=True)
    with DatagramClient(app, "beacon") as client, DatagramClient(app, "beacon") as other:
        client.send({"action": "wait", "number": 0})
        for number in range(1, 50):
            client.send({"action": "note", "number": number})
        wait_until(lambda: log(app) == ["waits 0"])
        assert other.request("count") == 1
        wait_until(lambda: server(app).accepted_count == 51)
        assert log(app) == ["waits 0"]
        app.container.get(Book).gate.set()
        assert client.receive() == 0
        assert client.request("count") == 1
        assert log(app) == ["waits 0", *range(50)]


def test_in_order_the_ones_behind_a_handler_that_hangs_are_handled(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make(in_order=True)
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "wait", "number": 0, "id": 7})
        client.send({"action": "note", "number": 1})
        wait_until(lambda: log(app))
        monkeypatch.setattr(server(app), "handler_time", 1)
        app.doors.runtime.overtime.look(app.doors.runtime.now + 100)
        assert client.receive()["error"]["code"] == 503
        wait_until(lambda: log(app) == ["waits 0", 1])


# -- how much is sent ----------------------------------------------------------------------------------------------


def test_an_address_that_may_be_forged_gets_so_much_and_no_more(make: Make) -> None:
    size = 100 + HEADERS
    app = make(peer_bytes=5 * size + 1)
    with DatagramClient(app, "beacon") as client:
        assert client.request("join", name="feed")
        assert [Hub.group("feed").send("x" * 98).delivered for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]
        assert server(app).dropped == 2
        assert [client.receive() for _ in range(5)] == ["x" * 98] * 5
        assert client.request("count") == 1, "an answer is not among them, and what asked for it makes room again"
        assert Hub.group("feed").send("more").delivered == 1
        assert client.receive() == "more"
        client.send({"action": "flood", "times": 9})
        assert [client.receive() for _ in range(6)] == [*["x" * 98] * 5, 5]


def test_empty_datagrams_count_as_well(make: Make) -> None:
    app = make(peer_bytes=10 * HEADERS)
    with DatagramClient(app, "beacon") as client:
        client.request("count")
        assert sum(only_peer(app).push(b"") for _ in range(100)) == 10


def test_there_may_be_no_such_limit(make: Make) -> None:
    app = make(peer_bytes=0)
    with DatagramClient(app, "beacon") as client:
        client.request("count")
        assert all(only_peer(app).push(b"x" * 60000) for _ in range(3))


# -- requests to a peer --------------------------------------------------------------------------------------------


def test_a_peer_is_asked_and_replies_in_the_middle_of_its_own_request(make: Make) -> None:
    app = make(in_order=True)
    with DatagramClient(app, "beacon") as client:
        client.send({"action": "ask", "id": 1, "seconds": 10})
        asked = client.receive()
        assert asked["action"] == "temperature"
        client.send({"action": "note", "number": 1})
        client.send({"id": "another", "result": 1})
        client.send({"id": asked["id"], "result": 21.5})
        assert client.receive() == {"id": 1, "result": 21.5}
        wait_until(lambda: log(app) == [1])
        assert only_peer(app).calls is None


def test_a_peer_that_does_not_reply(make: Make) -> None:
    app = make()
    with DatagramClient(app, "beacon") as client:
        with pytest.raises(RequestFailed) as caught:
            client.request("ask", seconds=0.01)
        assert caught.value.status in (500, 504)


def test_a_peer_that_is_forgotten_does_not_reply_any_more(make: Make) -> None:
    app = make()
    with DatagramClient(app, "beacon") as client:
        client.request("count")
        peer = only_peer(app)
        asking = green.spawn(peer.request, {"action": "temperature"}, 60.0)
        assert "id" in client.receive()
        peer.close()
        with pytest.raises(ConnectionClosed):
            asking.get()
        with pytest.raises(ConnectionClosed):
            peer.request({"action": "temperature"})


def test_a_late_reply_is_known_for_one(make: Make) -> None:
    app = make()
    with DatagramClient(app, "beacon") as client:
        client.request("count")
        with pytest.raises(NoReply):
            only_peer(app).request({}, timeout=0.01)
        client.send({"id": client.receive()["id"], "error": "too late"})
        wait_until(lambda: server(app).late_replies == 1)


# -- who it is -----------------------------------------------------------------------------------------------------


def test_what_a_datagram_has_shown_lets_in_no_other(make: Make) -> None:
    app = make(Tokens)
    with DatagramClient(app, "beacon") as client:
        assert client.request("who", token="ann") == "ann"
        assert client.request("who") is None
        found = only_peer(app).identity
        assert found is not None
        assert found.id == "ann"


def test_when_its_identity_expires_a_peer_is_forgotten(make: Make) -> None:
    app = make(Tokens)
    with DatagramClient(app, "beacon") as client:
        assert client.request("who", token="ann", expires=time.time() + 0.2) == "ann"
        peer = only_peer(app)
        wait_until(lambda: not peer.is_open)
        assert client.request("who", token="ann", expires=time.time() + 1000) == "ann"
        only_peer(app).close()
        assert len(app.doors.runtime.expiries) == 0


def test_an_identity_that_does_not_expire_takes_the_place_of_one_that_does(make: Make) -> None:
    app = make(Tokens)
    with DatagramClient(app, "beacon") as client:
        client.request("who", token="ann", expires=time.time() + 1000)
        assert len(app.doors.runtime.expiries) == 1
        client.request("who", token="ann")
        assert len(app.doors.runtime.expiries) == 0


# -- slots ---------------------------------------------------------------------------------------------------------


def test_peers_go_with_the_slot_that_they_come_by(make: Make) -> None:
    app = make(Door)
    slots = open_slots(Address.parse("127.0.0.1:0"), 2)
    for sock in slots:
        server(app).attach(sock, share=True)
    server(app).start()
    server(app).read({0, 1})
    address = slots[0].getsockname()
    with ExitStack() as open_clients:
        clients: dict[int, DatagramClient] = {}
        while len(clients) < 2:
            client = open_clients.enter_context(DatagramClient(address))
            client.request("count")
            clients[server(app).connections.by_address[client._sock.getsockname()].slot] = client
        before = len(server(app).connections)
        clients[1].send({"action": "wait", "number": 1})
        wait_until(lambda: "waits 1" in log(app))
        server(app).read({0})
        assert [peer.address for peer in server(app).connections if peer.slot == 1] == [clients[1]._sock.getsockname()], "it is worked for"
        app.container.get(Book).gate.set()
        assert clients[1].receive() == 1
        wait_until(lambda: all(peer.slot == 0 for peer in server(app).connections))
        assert clients[0].request("count") == 2
        server(app).drain()
        assert len(server(app).connections) == 0
        wait_until(lambda: log(app).count("closed") == before)


# -- nobody is remembered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"peer_time": 0}, {"peers": 0}])
def test_a_server_may_remember_nobody(make: Make, settings: dict[str, Any]) -> None:
    app = make(Tokens, **settings)
    with DatagramClient(app, "beacon") as client:
        assert [client.request("count", token="ann", expires=time.time() + 60), client.request("count")] == [1, 1]
        assert client.request("id") != client.request("id")
        assert client.request("join", name="lobby") is False
        assert client.request("flood", times=2) == 2
        with pytest.raises(RequestFailed):
            client.request("ask", seconds=1)
        assert (len(server(app).connections), app.doors.runtime.hub.connections, len(app.doors.runtime.expiries)) == (0, {}, 0)


@udp
class Last:
    @closed
    def leave(self) -> None: ...


@pytest.mark.parametrize("forgetful", [{"peer_time": 0}, {"peers": 0}])
@pytest.mark.parametrize(("what", "more"), [("@opened", [Door]), ("@closed", [Last]), ("in_order", [])])
def test_what_needs_a_memory_does_not_start_without(make: Make, forgetful: dict[str, Any], what: str, more: list[Any]) -> None:
    with pytest.raises(ConfigError, match=f"servers.beacon: {what} needs peers that are remembered"):
        make(*more, in_order=what == "in_order", **forgetful)
