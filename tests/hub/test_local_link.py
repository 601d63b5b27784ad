"""One link: what a peer may say and when, silence, queues, the end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenimi import green
from greenimi.hub import frames, relay
from greenimi.hub.frames import ANSWER, BEAT, CALL, HELLO, READY, TELL, UNWANT, WANT, FrameReader
from greenimi.hub.local_link import CLOSED, JOINED, OPENED, SILENCE, Link
from greenimi.hub.relay import Calls
from greenimi.testing.contracts.relay import Recorder
from greenimi.testing.support import wait_until

HI = frames.hello(7, 4242)
READY_FRAME = frames.frame(READY)


class Board:
    """A relay that keeps what its link says."""

    limit = 100_000
    process = 1

    def __init__(self) -> None:
        self.receiver = Recorder()
        self.said: list[tuple[str, Any]] = []
        self.table = ["a", "ä"]

    def flush_later(self, link: Link) -> None:
        green.run_soon(link.flush)

    def greeted(self, link: Link) -> None:
        self.said.append(("greeted", link.process))
        link.tell_table(self.table)

    def joined(self, link: Link) -> None:
        self.said.append(("joined", list(link.wanted)))

    def wants(self, link: Link, target: str, wanted: bool) -> None:
        self.said.append((target, wanted))

    def closed(self, link: Link) -> None:
        self.said.append(("closed", link.process))


class Peer:
    """The other end, by hand."""

    def __init__(self, expected: int | None = None) -> None:
        ours, self.sock = socket.socketpair()
        self.sock.settimeout(10)
        self.board = Board()
        self.link = Link(self.board, green.native_socket(socket.AF_UNIX, socket.SOCK_STREAM, ours.detach()), expected)
        self._reader = FrameReader()
        self._found: list[tuple[int, bytes]] = []

    def say(self, *said: bytes) -> None:
        self.sock.sendall(b"".join(said))

    def hears(self) -> tuple[int, bytes]:
        """The next frame."""
        while not self._found:
            data = self.sock.recv(65536)
            assert data, "the link is closed"
            self._reader.receive(data, self._found)
        return self._found.pop(0)

    def join(self) -> None:
        self.say(HI, READY_FRAME)
        wait_until(lambda: self.link.state == JOINED)
        while self.hears()[0] != READY:
            pass

    def wait_closed(self) -> None:
        wait_until(lambda: self.link.state == CLOSED)


class Sending:
    """A socket with another ``send``."""

    def __init__(self, sock: Any, send: Callable[[bytes], int]) -> None:
        self._sock = sock
        self.send = send

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


Make = Callable[..., Peer]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Peer] = []

    def start(expected: int | None = None, *, join: bool = False) -> Peer:
        made.append(Peer(expected))
        if join:
            made[-1].join()
        return made[-1]

    yield start
    for peer in made:
        peer.link.close()
        peer.sock.close()


# -- the order of things -----------------------------------------------------------------------------------------------


def test_hello_then_what_is_wanted_then_ready(make: Make) -> None:
    peer = make()
    kind, body = peer.hears()
    assert (kind, frames.greeting_of(body).process) == (HELLO, 1)
    peer.say(HI)
    assert [peer.hears() for _ in range(3)] == [(WANT, b"a"), (WANT, "ä".encode()), (READY, b"")]
    assert peer.link.state != JOINED
    assert peer.link.name == "process 7 (pid 4242)"
    peer.say(frames.frame(WANT, b"x"), frames.frame(WANT, b"y"), frames.frame(UNWANT, b"x"), READY_FRAME)
    wait_until(lambda: peer.link.state == JOINED)
    assert peer.board.said == [("greeted", 7), ("joined", ["y"])]
    peer.say(frames.frame(UNWANT, b"y"), frames.frame(WANT, b"z"))
    wait_until(lambda: peer.board.said[2:] == [("y", False), ("z", True)])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([READY_FRAME], "too early or too late"),
        ([frames.frame(TELL, b"x")], "too early or too late"),
        ([frames.frame(BEAT)], "too early or too late"),
        ([HI, frames.frame(TELL, b"x")], "too early or too late"),
        ([HI, HI], "too early or too late"),
        ([HI, READY_FRAME, READY_FRAME], "too early or too late"),
        ([HI, READY_FRAME, HI], "too early or too late"),
        ([HI, READY_FRAME, frames.frame(CALL, b"xy")], "a number is missing"),
        ([HI, READY_FRAME, frames.frame(ANSWER, b"")], "a number is missing"),
        ([HI, frames.frame(WANT, b"\xff")], "no UTF-8"),
        ([b"GET / HTTP/1.1\r\n"], "a frame of"),
        ([frames.hello(1, 1)], "says that it is process 1"),
        ([frames.frame(HELLO, b"gimi\x02\x00" + bytes(8))], "speaks version 2"),
    ],
)
def test_who_breaks_the_protocol_is_cut_off(make: Make, said: list[bytes], why: str, caplog: pytest.LogCaptureFixture) -> None:
    peer = make()
    peer.say(*said)
    peer.wait_closed()
    assert peer.board.said[-1][0] == "closed"
    assert why in caplog.text
    assert peer.board.receiver.packets() == []


def test_what_came_before_the_mistake_counts(make: Make) -> None:
    peer = make()
    peer.say(HI, READY_FRAME, frames.frame(TELL, b"good"), b"\xff" * 20)
    peer.wait_closed()
    assert peer.board.receiver.packets() == [b"good"]


def test_who_is_not_whom_we_called_is_cut_off(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    peer = make(expected=8)
    peer.say(HI)
    peer.wait_closed()
    assert "the link to process 8 is closed: it broke the protocol: it says that it is process 7" in caplog.text


def test_nothing_is_taken_after_the_end(make: Make) -> None:
    peer = make(join=True)
    peer.board.receiver.on_told = lambda packet, sender: peer.link.close()
    peer.say(frames.frame(TELL, b"1"), frames.frame(TELL, b"2"))
    peer.wait_closed()
    assert peer.board.receiver.packets() == [b"1"]
    assert not peer.link.queue(b"x")
    peer.link.close()
    assert [what for what, _ in peer.board.said].count("closed") == 1


def test_the_other_end_goes(make: Make) -> None:
    peer = make(join=True)
    calls = Calls()
    peer.link.call(frames.numbered(CALL, 1, b"x"), 1, calls)
    peer.sock.close()
    peer.wait_closed()
    assert calls.wait(30) == []


def test_what_it_said_before_it_went_is_still_heard(make: Make) -> None:
    """Also when we find out by sending."""
    peer = make(join=True)
    packets = [b"%d" % number for number in range(100)]
    peer.say(*(frames.frame(TELL, packet) for packet in packets))
    peer.sock.close()
    peer.link.queue(frames.frame(TELL, b"too late"))
    peer.link.flush()
    peer.wait_closed()
    assert peer.board.receiver.packets() == packets


def test_an_error_of_the_system_ends_the_link(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    peer = make(join=True)

    def fail(data: bytes) -> int:
        raise OSError(105, "No buffer space available")

    peer.link._sock = Sending(peer.link._sock, fail)
    peer.link.queue(b"x")
    peer.wait_closed()
    assert "No buffer space available" in caplog.text


# -- sending -----------------------------------------------------------------------------------------------------------


def test_one_send_a_turn(make: Make) -> None:
    peer = make(join=True)
    sizes: list[int] = []
    sock = peer.link._sock

    def send(data: bytes) -> int:
        sizes.append(len(data))
        return int(sock.send(data))

    peer.link._sock = Sending(sock, send)
    sent = [frames.frame(TELL, b"%d" % number) for number in range(50)]
    for frame in sent:
        peer.link.queue(frame)
    assert sizes == []
    assert [peer.hears()[1] for _ in sent] == [b"%d" % number for number in range(50)]
    assert sizes == [sum(map(len, sent))]


def test_what_the_socket_does_not_take_waits_in_order(make: Make) -> None:
    peer = make(join=True)
    peer.link.limit = 1 << 30
    packets = [bytes([number]) * 100_000 for number in range(20)]
    for packet in packets:
        assert peer.link.queue(frames.frame(TELL, packet))
        green.sleep(0)
    assert peer.link.unsent
    assert [peer.hears()[1] for _ in packets] == packets
    wait_until(lambda: not peer.link.unsent)
    peer.link.queue(frames.frame(TELL, b"last"))
    assert peer.hears() == (TELL, b"last")


def test_a_full_queue_drops_packets_and_says_so_once_a_second(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    peer = make(join=True)
    packet = frames.frame(TELL, bytes(30_000))
    assert [peer.link.queue(packet) for _ in range(5)] == [True, True, True, False, False]
    calls = Calls()
    peer.link.call(packet, 1, calls)
    assert (calls.number, calls.wait(30)) == (0, [])
    assert "dropped" not in caplog.text
    peer.link.beat(0.0)
    assert f"3 packets for process 7 (pid 4242) were dropped: over {peer.link.limit} bytes wait for it" in caplog.text
    caplog.clear()
    peer.link.beat(0.0)
    assert caplog.text == ""


def test_without_room_for_what_is_wanted_the_link_begins_anew(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Later, because whoever says what is wanted must not be called back meanwhile."""
    peer = make(join=True)
    while peer.link.queue(frames.frame(TELL, bytes(30_000))):
        pass
    peer.link.tell_want("x" * 30_000, wanted=True)
    assert peer.link.state == JOINED
    peer.wait_closed()
    assert "it must know what is wanted here" in caplog.text


def test_what_is_wanted_is_sent_at_once_behind_what_is_queued(make: Make) -> None:
    peer = make(join=True)
    peer.link.queue(frames.frame(TELL, b"before"))
    peer.link.tell_want("x", wanted=True)
    peer.link.tell_want("y", wanted=False)
    peer.sock.setblocking(False)  # no other greenlet has a turn
    assert [peer.hears() for _ in range(3)] == [(TELL, b"before"), (WANT, b"x"), (UNWANT, b"y")]


def test_there_is_room_for_a_table_however_large(make: Make) -> None:
    peer = make()
    peer.board.table = [f"group:{number}" for number in range(20_000)]
    peer.say(HI, READY_FRAME)
    peer.hears()
    found = []
    while (frame := peer.hears())[0] != READY:
        found.append(frame[1].decode())
    assert found == peer.board.table
    assert peer.link.state == JOINED


# -- calls -------------------------------------------------------------------------------------------------------------


def test_answers_go_back_with_the_number_of_the_call(make: Make) -> None:
    peer = make(join=True)
    peer.say(frames.numbered(CALL, 5, b"a"), frames.numbered(CALL, 0xFFFFFFFF, b"b"))
    assert [peer.hears() for _ in range(2)] == [(ANSWER, b"\x05\0\0\0re:a"), (ANSWER, b"\xff\xff\xff\xffre:b")]


def test_answers_to_nothing_are_ignored(make: Make) -> None:
    peer = make(join=True)
    peer.say(frames.numbered(ANSWER, 5, b"a"), frames.frame(TELL, b"x"))
    wait_until(peer.board.receiver.packets)


def test_old_calls_end(make: Make) -> None:
    peer = make(join=True)
    old, young = Calls(since=10.0), Calls(since=20.0)
    peer.link.call(frames.numbered(CALL, 1, b"x"), 1, old)
    peer.link.call(frames.numbered(CALL, 2, b"x"), 2, young)
    peer.link.beat(since=15.0)
    assert len(peer.link.calls) == 1
    assert old.wait(30) == []
    peer.say(frames.numbered(ANSWER, 1, b"late"), frames.numbered(ANSWER, 2, b"y"))
    assert young.wait(30) == [(7, b"y")]


def test_calls_without_answer_are_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_MOST_CALLS", 3)
    peer = make(join=True)
    made = [Calls() for _ in range(5)]
    for number, calls in enumerate(made):
        peer.link.call(frames.numbered(CALL, number, b"x"), number, calls)
    assert len(peer.link.calls) == 3
    assert [calls.wait(30) for calls in made[:2]] == [[], []]


# -- silence -----------------------------------------------------------------------------------------------------------


def test_who_says_nothing_is_lost(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    peer = make(join=True)
    for _ in range(SILENCE):
        peer.link.beat(0.0)
    assert peer.link.state == JOINED
    peer.link.beat(0.0)
    assert peer.link.state == CLOSED
    assert "has said nothing for 5 seconds" in caplog.text


def test_who_says_anything_is_not(make: Make) -> None:
    peer = make(join=True)
    for _ in range(3 * SILENCE):
        peer.link.beat(0.0)
        assert peer.hears() == (BEAT, b"")
        peer.say(frames.frame(BEAT))
        wait_until(lambda: not peer.link._silent)


def test_beats_do_not_pile_up(make: Make) -> None:
    peer = make(join=True)
    peer.link.queue(frames.frame(TELL, b"x"))
    peer.link.beat(0.0)
    assert peer.hears() == (TELL, b"x")
    peer.link.beat(0.0)
    assert peer.hears() == (BEAT, b"")


def test_a_process_that_does_not_even_say_hello_is_waited_for_by_who_called_it(make: Make) -> None:
    """It may be stopped.  Who called and says nothing is no process of ours."""
    called, caller = make(expected=7), make()
    for _ in range(3 * SILENCE):
        for peer in (called, caller):
            peer.link.beat(0.0)
    assert called.link.state == OPENED
    assert caller.link.state == CLOSED


def test_logs_name_nobody_who_did_not_say_who_it_is(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        peer = make()
        peer.say(b"\xff" * 9)
        peer.wait_closed()
    assert "the link to a process that did not say who it is is closed" in caplog.text
