"""The shared connection against a real server, in good and in bad times."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import greenlet
import pytest
import redis
from redis.exceptions import AuthenticationError, ResponseError

from greenimi import green
from greenimi.pool.redis import link as links
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.errors import LateAnswer, LostConnection, NotSent, Unanswered
from greenimi.pool.redis.link import Link
from greenimi.pool.redis.replies import pack
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis import Redis as Server
from greenimi.testing.support import free_port, wait_until
from tests.pool.redis.between import Between

SETTINGS = RedisSettings(timeout=5.0, wait=1.0)


@pytest.fixture
def server(redis_server: Server, redis_url: str) -> Server:
    return redis_server


@pytest.fixture
def made() -> Iterator[list[Link]]:
    """Links to close at the end."""
    found: list[Link] = []
    yield found
    for link in found:
        link.close()


@pytest.fixture
def link(server: Server, made: list[Link]) -> Link:
    made.append(Link(SETTINGS, Address(server.host, server.port)))
    return made[-1]


def link_to(made: list[Link], port: int, **changed: Any) -> Link:
    made.append(Link(replace(SETTINGS, **changed), Address(port=port)))
    return made[-1]


def test_commands_of_one_turn_leave_together(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    link.execute("PING")
    sent: list[bytes] = []
    wire = link._wire
    assert wire is not None
    send = wire.send

    def note(data: bytes) -> None:
        sent.append(data)
        send(data)

    monkeypatch.setattr(wire, "send", note)
    greenlets = [green.spawn(link.execute, "ECHO", str(number)) for number in range(50)]
    assert [each.get() for each in greenlets] == [str(number).encode() for number in range(50)]
    assert sent == [b"".join(pack(("ECHO", str(number))) for number in range(50))]


def test_errors_of_the_server_are_raised_where_they_belong(link: Link) -> None:
    wrong, right = green.spawn(link.execute, "GET"), green.spawn(link.execute, "PING")
    with pytest.raises(ResponseError, match="wrong number of arguments"):
        wrong.get()
    assert right.get() == b"PONG"


def test_one_batch_is_one_piece(link: Link) -> None:
    data = b"".join(pack(words) for words in (("SET", "a", 1), ("INCR", "a", "b"), ("INCR", "a")))
    first, error, last = link.send_many(data, 3)
    assert (first, last) == (b"OK", 2)
    assert isinstance(error, ResponseError)


def test_killed_before_it_was_sent_is_not_sent(link: Link, server: Server) -> None:
    server.call("SET", "count", 0)
    batch = pack(("INCR", "count"))
    greenlets = [green.spawn(link.send, batch), green.spawn(link.send_many, batch + batch, 2), green.spawn(link.send, batch)]
    green.sleep(0)
    assert len(link._unsent) == 4  # until it is connected
    greenlets[0].kill()
    greenlets[1].kill()
    assert greenlets[2].get() == 1
    assert link._bytes == 0


@pytest.mark.parametrize("batch", [False, True])
def test_killed_while_it_waits_leaves_its_place(link: Link, batch: bool) -> None:
    link.execute("SET", "mine", "my value")
    link.execute("CLIENT", "PAUSE", "100", "ALL")
    data = pack(("ECHO", "lost"))
    lost = green.spawn(link.send_many, data + data, 2) if batch else green.spawn(link.send, data)
    wait_until(lambda: len(link._sent) == 1 + batch)
    kept = green.spawn(link.execute, "GET", "mine")
    wait_until(lambda: len(link._sent) == 2 + batch)
    lost.kill()
    assert len(link._sent) == 2 + batch
    assert kept.get() == b"my value"
    assert link.execute("ECHO", "next") == b"next"


def test_timeouts_and_kills_at_any_point_never_mix_replies(link: Link) -> None:
    for number in range(64):
        link.execute("SET", f"key{number}", f"value{number}")
    wrong: list[Any] = []
    counts = {"right": 0, "timeouts": 0}

    def ask(number: int) -> None:
        for turn in range(60):
            try:
                with green.timeout((0.0, 0.0005, 0.001, 0.003, None)[turn % 5], TimeoutError):
                    found = link.execute("GET", f"key{number}")
            except TimeoutError:
                counts["timeouts"] += 1
                continue
            counts["right"] += 1
            if found != f"value{number}".encode():
                wrong.append((number, found))

    greenlets = [green.spawn(ask, number) for number in range(64)]
    victims = [green.spawn(ask, number) for number in range(64)]
    for number, victim in enumerate(victims):
        green.sleep(0.0003 * (number % 5))
        victim.kill()
    for each in greenlets:
        each.join()
    assert wrong == []
    assert counts["timeouts"] > 100
    assert counts["right"] > 100
    assert wait_until(lambda: not link._sent)
    assert link._unsent == []


def test_what_is_not_text_is_the_matter_of_who_asked(server: Server, made: list[Link]) -> None:
    link = link_to(made, server.port, decode=True)
    link.execute("SET", "bytes", b"\xff")
    other = green.spawn(link.execute, "ECHO", "text")
    with pytest.raises(UnicodeDecodeError):
        link.execute("GET", "bytes")
    assert other.get() == "text"
    assert link.losses == 0


def test_a_raw_greenlet_that_fails_takes_nobodys_reply(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(link._hub, "handle_error", lambda context, kind, error, trace: told.append(error))
    link.execute("PING")

    def fail() -> None:
        link.execute("ECHO", "raw")
        raise ValueError("mine")

    raw = greenlet.greenlet(fail, link._hub)
    green.run_soon(raw.switch)
    others = [green.spawn(link.execute, "ECHO", number) for number in range(3)]
    assert [other.get() for other in others] == [b"0", b"1", b"2"]
    assert [str(error) for error in told] == ["mine"]


@pytest.mark.parametrize("protocol", [2, 3])
def test_protocols(server: Server, made: list[Link], protocol: int) -> None:
    link = link_to(made, server.port, protocol=protocol)
    link.execute("HSET", "hash", "a", 1)
    assert link.execute("HGETALL", "hash") == ({b"a": b"1"} if protocol == 3 else [b"a", b"1"])


def test_pushes_go_to_whom_they_concern(server: Server, made: list[Link]) -> None:
    pushed: list[Any] = []
    link = Link(SETTINGS, Address(port=server.port), pushed.append)
    made.append(link)
    link.execute("CLIENT", "TRACKING", "ON")
    link.execute("GET", "tracked")
    server.call("SET", "tracked", 1)
    wait_until(lambda: pushed)
    assert pushed == [[b"invalidate", [b"tracked"]]]
    link.on_push = lambda message: 1 // 0
    link.execute("GET", "tracked")
    server.call("SET", "tracked", 2)
    assert link.execute("GET", "tracked") == b"2"


def test_large_replies_are_noted(link: Link) -> None:
    link.execute("SET", "large", b"x" * 300_000)
    link.execute("SET", "small", b"x" * 1000)
    for name in ("large", "small"):
        link.execute("GET", name)
    assert list(link.large) == [pack(("GET", "large"))]


def test_what_is_noted_of_large_replies_is_bounded(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_MOST_KEPT", 2)
    for name in ("a", "b", "c"):
        link.execute("SET", name, b"x" * 300_000)
        link.execute("GET", name)
    assert list(link.large) == [pack(("GET", "b")), pack(("GET", "c"))]


def test_no_more_than_so_many_are_under_way(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST_SENT", 4)
    link.execute("CLIENT", "PAUSE", "100", "ALL")
    first = [green.spawn(link.execute, "PING") for _ in range(4)]
    green.sleep(0.001)
    more = [green.spawn(link.execute, "PING") for _ in range(4)]
    green.sleep(0.001)
    assert (len(link._sent), len(link._unsent)) == (4, 4)
    assert [each.get() for each in first + more] == [b"PONG"] * 8


# -- the server ------------------------------------------------------------------------------------------------------


def test_no_server(made: list[Link]) -> None:
    link = link_to(made, free_port(), wait=0.05)
    with pytest.raises(NotSent, match="the command was not sent") as caught:
        link.execute("PING")
    assert "refused" in str(caught.value)
    with pytest.raises(NotSent):  # at once: it is known
        link.execute("PING")
    assert link._unsent == []


def test_who_waits_for_a_lost_connection_gets_the_next(server: Server, made: list[Link]) -> None:
    port = free_port()
    link = link_to(made, port, wait=10.0)
    waiting = green.spawn(link.execute, "PING")
    wait_until(lambda: link._error is not None)
    with socket.create_server(("127.0.0.1", port)) as listening:

        def pump(source: socket.socket, sink: socket.socket) -> None:
            while data := source.recv(65536):
                sink.sendall(data)

        near, _ = listening.accept()
        far = socket.create_connection((server.host, server.port))
        pumps = [green.spawn(pump, near, far), green.spawn(pump, far, near)]
        assert waiting.get() == b"PONG"
        for each in pumps:
            each.kill()
        near.close()
        far.close()


def test_killed_and_restarted_server(start_service: Any, made: list[Link]) -> None:
    server = start_service("redis", persist=True)
    link = link_to(made, server.port, wait=0.2)
    done, failed, unknown = 0, 0, 0
    stop = False

    def count() -> None:
        nonlocal done, failed, unknown
        while not stop:
            try:
                link.execute("INCR", "count")
                done += 1
            except NotSent:
                failed += 1
                green.sleep(0.02)
            except (Unanswered, redis.BusyLoadingError):
                unknown += 1

    greenlets = [green.spawn(count) for _ in range(16)]
    wait_until(lambda: done > 200)
    server.kill()
    wait_until(lambda: failed > 16)
    server.start()
    before = done
    wait_until(lambda: done > before + 200)
    stop = True
    for each in greenlets:
        each.get()
    assert 0 <= int(server.call("GET", "count")) - done <= unknown
    assert link.losses == 1


def test_a_cut_connection_fails_what_was_sent_and_nothing_else(link: Link, server: Server) -> None:
    for losses in range(1, 21):
        number = wait_until(lambda: number_of(link))
        greenlets = [green.spawn(link.execute, "ECHO", each) for each in range(50)]
        server.call("CLIENT", "KILL", "ID", number)
        for turn, each in enumerate(greenlets):
            each.join()
            assert each.value == b"%d" % turn or isinstance(each.exception, Unanswered)
        wait_until(lambda: not link.is_open)
        assert link.losses == losses


def number_of(link: Link) -> Any:
    try:
        return link.execute("CLIENT", "ID")
    except Unanswered:
        return None


def test_a_silent_network(server: Server, made: list[Link]) -> None:
    with Between((server.host, server.port)) as between:
        link = link_to(made, between.port, timeout=0.2, wait=0.2)
        assert link.execute("PING") == b"PONG"
        between.hold()
        greenlets = [green.spawn(link.execute, "ECHO", number) for number in range(8)]
        for each in greenlets:
            with pytest.raises((LateAnswer, LostConnection)):
                each.get()
        assert not link.is_open
        between.pass_on()
        assert wait_until(lambda: answers(link))
        assert link.losses == 1


def answers(link: Link) -> bool:
    try:
        return bool(link.execute("PING") == b"PONG")
    except (LostConnection, LateAnswer):
        return False


def test_a_late_answer_costs_no_connection_while_others_come(server: Server, made: list[Link]) -> None:
    """A server that hangs on one command, and the parts of a large reply that come slowly."""
    listening = socket.create_server(("127.0.0.1", 0))
    made.append(link := Link(replace(SETTINGS, timeout=0.2, protocol=2), Address(port=listening.getsockname()[1])))
    slow = green.spawn(link.execute, "GET", "slow")
    peer, _ = listening.accept()
    peer.recv(1000)
    peer.sendall(b"$100\r\n")
    second: Any = None
    for _ in range(10):
        green.sleep(0.05)
        peer.sendall(b"0123456789")
        if second is None:
            second = green.spawn(link.execute, "GET", "fast")
    with pytest.raises(LateAnswer, match=r"within 0\.2 s"):
        slow.get()
    peer.sendall(b"\r\n")
    peer.sendall(b"$4\r\nmine\r\n")
    third = green.spawn(link.execute, "GET", "third")
    peer.recv(1000)
    peer.sendall(b"$5\r\nthird\r\n")
    assert third.get() == b"third"
    assert link.losses == 0
    peer.close()
    listening.close()


def test_a_paused_server_takes_no_more_than_the_queue(start_service: Any, made: list[Link]) -> None:
    server = start_service("redis")
    link = link_to(made, server.port, timeout=1.0, queue=20, queue_bytes=10_000_000)
    link.execute("PING")
    server.pause()
    value = b"x" * 60_000
    greenlets = [green.spawn(link.execute, "SET", "key", value) for _ in range(60)]
    green.sleep(0)
    more = [green.spawn(link.execute, "SET", "key", value) for _ in range(60)]
    green.sleep(0)
    last = [green.spawn(link.execute, "PING") for _ in range(60)]
    errors = []
    for each in greenlets + more + last:
        each.join()
        errors.append(each.exception)
    assert any("wait to be sent" in str(error) for error in errors)
    assert all(isinstance(error, LostConnection | LateAnswer) for error in errors)
    server.resume()
    assert wait_until(lambda: answers(link))


def test_bytes_that_wait_are_bounded(made: list[Link]) -> None:
    link = link_to(made, free_port(), wait=10.0, queue_bytes=1000)
    greenlets = [green.spawn(link.execute, "SET", "key", b"x" * 600) for _ in range(3)]
    with pytest.raises(NotSent, match=r"2 commands \(1\d\d\d bytes\) wait"):
        greenlets[2].get()
    for each in greenlets:
        each.kill()
    assert (link._bytes, link._unsent, link._out) == (0, [], [])


def test_wrong_password_is_told_at_once(start_service: Any, made: list[Link]) -> None:
    server = start_service("redis", password="sesame")
    link = link_to(made, server.port, password="wrong", wait=60.0)
    with pytest.raises(NotSent) as caught:
        link.execute("PING")
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert "wrong" not in str(caught.value)
    assert link_to(made, server.port, password="sesame").execute("PING") == b"PONG"


def test_give_up_makes_a_new_connection(link: Link) -> None:
    number = link.execute("CLIENT", "ID")
    link.give_up("it moved")
    assert wait_until(lambda: not link.is_open)
    assert link.execute("CLIENT", "ID") != number


def test_close(link: Link) -> None:
    link.execute("CLIENT", "PAUSE", "50", "ALL")
    waiting = green.spawn(link.execute, "PING")
    wait_until(lambda: link._sent)
    link.close()
    link.close()
    with pytest.raises(Unanswered, match="closed"):
        waiting.get()
    with pytest.raises(NotSent, match="closed"):
        link.execute("PING")


def test_what_is_no_redis(made: list[Link]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = link_to(made, listening.getsockname()[1], protocol=2, wait=0.5)
        waiting = green.spawn(link.execute, "PING")
        peer, _ = listening.accept()
        peer.recv(1000)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(Unanswered, match="was lost"):
            waiting.get()
        peer.close()


def test_replies_to_no_command_end_the_connection(made: list[Link]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = link_to(made, listening.getsockname()[1], protocol=2)
        waiting = green.spawn(link.execute, "PING")
        peer, _ = listening.accept()
        peer.recv(1000)
        peer.sendall(b"+PONG\r\n+PONG\r\n")
        assert waiting.get() == b"PONG"
        assert wait_until(lambda: not link.is_open)
        peer.close()


# -- threads and processes -------------------------------------------------------------------------------------------


def test_another_thread_is_refused(link: Link) -> None:
    link.execute("PING")
    found: list[BaseException] = []

    def ask() -> None:
        try:
            link.execute("PING")
        except RuntimeError as error:
            found.append(error)

    green.native_thread_start(ask)
    wait_until(lambda: found)
    assert "belongs to another thread" in str(found[0])
    assert threading.current_thread().is_alive()
    assert link.execute("PING") == b"PONG"


FORK = """
from greenimi import green

green.patch()

import os
import sys

from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.link import Link
from greenimi.pool.redis.settings import RedisSettings

link = Link(RedisSettings(), Address(port=int(sys.argv[1])))
mine = link.execute("CLIENT", "ID")
green.spawn(link.execute, "INCR", "count")
green.sleep(0)
if not os.fork():
    print("own" if link.execute("CLIENT", "ID") != mine else "shared", flush=True)
    os._exit(0)
os.wait()
print("kept" if link.execute("CLIENT", "ID") == mine else "lost", link.execute("GET", "count").decode())
"""


def test_a_child_process_makes_a_connection_of_its_own(server: Server) -> None:
    found = subprocess.run([sys.executable, "-c", FORK, str(server.port)], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout.split() == ["own", "kept", "1"], found.stderr
