from __future__ import annotations

import os
import random
import socket
import ssl
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.servers.entrance.tls import TlsContexts, TlsFacts
from greenimi.servers.entrance.tls_socket import Handshake, HandshakeFailed, TlsSocket
from greenimi.servers.settings import ServerSettings, TlsSettings
from tests.certificates import certificates

FILES = certificates()
CERTIFICATE: dict[str, Any] = {"certificate": FILES.file("server.pem"), "key": FILES.file("server.key")}
WITH_CLIENTS: dict[str, Any] = {**CERTIFICATE, "client_ca": FILES.file("ca.pem")}
HTTP = TlsContexts(ServerSettings(tls=TlsSettings(**CERTIFICATE)))
TCP = TlsContexts(ServerSettings(kind="tcp", tls=TlsSettings(**CERTIFICATE)))


class Raw:
    """A raw non-blocking socket in memory: what it may read, what was sent, and how much it still takes."""

    def __init__(self) -> None:
        self.readable = b""
        self.sent = b""
        self.room = 1 << 30
        self.at_end = False
        self.shut: list[int] = []
        self.closed = False

    def recv(self, size: int) -> bytes:
        if not self.readable and not self.at_end:
            raise BlockingIOError
        data, self.readable = self.readable[:size], self.readable[size:]
        return data

    def send(self, data: bytes) -> int:
        taken = bytes(data[: self.room])
        if data and not taken:
            raise BlockingIOError
        self.sent += taken
        self.room -= len(taken)
        return len(taken)

    def shutdown(self, how: int) -> None:
        self.shut.append(how)

    def fileno(self) -> int:
        return 42

    def close(self) -> None:
        self.closed = True


class Talk:
    """A client in memory, a handshake or socket of ours, and the wire between them."""

    def __init__(
        self,
        contexts: TlsContexts = HTTP,
        client: str = "",
        protocols: tuple[str, ...] = ("http/1.1",),
        name: str = "localhost",
        **options: Any,
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(FILES.file("ca.pem"))
        if client:
            context.load_cert_chain(FILES.file(f"{client}.pem"), FILES.file(f"{client}.key"))
        if protocols:
            context.set_alpn_protocols(protocols)
        for option, value in options.items():
            setattr(context, option, value)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.handshake = Handshake(contexts)
        self.raw = Raw()

    def shake_hands(self, chunk: int = 1 << 20) -> TlsSocket:
        while True:
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            data = self.outgoing.read()
            for start in range(0, len(data), chunk):
                done = self.handshake.feed(data[start : start + chunk])
                self.incoming.write(self.handshake.outgoing())
                assert not done or start + chunk >= len(data)
            if done:
                return self.handshake.socket(self.raw, b"")

    def say(self, data: bytes) -> None:
        self.client.write(data)
        self.raw.readable += self.outgoing.read()

    def hear(self) -> bytes:
        self.incoming.write(self.raw.sent)
        self.raw.sent = b""
        heard = b""
        try:
            while more := self.client.read(1 << 20):
                heard += more
        except ssl.SSLWantReadError:
            pass
        return heard


OLD: dict[str, Any] = {"maximum_version": ssl.TLSVersion.TLSv1_2}


@pytest.mark.parametrize("options", [{}, OLD])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_any_split_of_the_handshake(options: dict[str, Any], chunk: int) -> None:
    talk = Talk(**options)
    sock = talk.shake_hands(chunk)
    talk.say(b"ping")
    assert sock.recv(65536) == b"ping"
    assert sock.send(b"pong") == 4
    assert talk.hear() == b"pong"


def test_facts() -> None:
    talk = Talk()
    talk.shake_hands()
    assert talk.handshake.facts() == TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "http/1.1", "localhost")
    talk = Talk(TCP, name="127.0.0.1", **OLD)
    talk.shake_hands()
    assert talk.handshake.facts() == TlsFacts("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")


@pytest.mark.parametrize("clients", ["optional", "required"])
@pytest.mark.parametrize("options", [{}, OLD])
def test_certificates_of_clients(clients: str, options: dict[str, Any]) -> None:
    contexts = TlsContexts(ServerSettings(tls=TlsSettings(**WITH_CLIENTS, clients=clients)))
    talk = Talk(contexts, "client", **options)
    talk.shake_hands()
    facts = talk.handshake.facts()
    assert facts.peer_certificate is not None
    assert facts.peer_certificate["subject"] == ((("commonName", "ann"),),)
    assert facts.peer_der == ssl.PEM_cert_to_DER_cert(Path(FILES.file("client.pem")).read_text())
    for wrong, reason in [("stranger", "self-signed certificate"), ("past", "certificate has expired")]:
        with pytest.raises(HandshakeFailed, match=f"the client's certificate: {reason}") as caught:
            Talk(contexts, wrong, **options).shake_hands()
        assert caught.value.last_words != b""
    if clients == "required":
        with pytest.raises(HandshakeFailed, match="peer did not return a certificate"):
            Talk(contexts, **options).shake_hands()
    else:
        talk = Talk(contexts, **options)
        talk.shake_hands()
        assert talk.handshake.facts().peer_certificate is None


@pytest.mark.parametrize(
    ("contexts", "offered", "chosen"),
    [(HTTP, ("http/1.1", "h2"), "h2"), (HTTP, ("spdy/3", "http/1.1"), "http/1.1"), (HTTP, (), None), (TCP, ("h2",), None)],
)
def test_application_protocols(contexts: TlsContexts, offered: tuple[str, ...], chosen: str | None) -> None:
    talk = Talk(contexts, protocols=offered)
    talk.shake_hands()
    assert talk.client.selected_alpn_protocol() == talk.handshake.facts().alpn == chosen


@pytest.mark.parametrize("options", [{}, OLD])
def test_no_application_protocol_in_common(options: dict[str, Any]) -> None:
    talk = Talk(protocols=("h3", "http/1.0"), **options)
    with pytest.raises(HandshakeFailed, match="no application protocol") as caught:
        talk.shake_hands()
    talk.incoming.write(caught.value.last_words)
    with pytest.raises(ssl.SSLError, match=r"no application protocol|NO_APPLICATION_PROTOCOL"):
        talk.client.do_handshake()


def test_plain_http_is_told_so() -> None:
    with pytest.raises(HandshakeFailed) as caught:
        Handshake(HTTP).feed(b"DELETE / HTTP/1.1\r\n")
    head, _, body = caught.value.last_words.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n")
    assert head.endswith(b"Content-Length: %d" % len(body))
    assert body == b"this port speaks TLS: use https://\n"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x02\x03\x04\x05\x06\x07", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"])
def test_what_is_no_tls(data: bytes) -> None:
    with pytest.raises(HandshakeFailed) as caught:
        Handshake(TCP).feed(data)
    assert not caught.value.last_words.startswith(b"HTTP")


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_garbage_fails_in_one_way(data: bytes, cuts: list[int]) -> None:
    handshake = Handshake(HTTP)
    start = 0
    try:
        for end in [*sorted(cuts), len(data)]:
            assert not handshake.feed(data[start:end])
            start = max(start, end)
    except HandshakeFailed:
        pass


def test_data_behind_the_handshake() -> None:
    talk = Talk()
    with pytest.raises(ssl.SSLWantReadError):
        talk.client.do_handshake()
    talk.handshake.feed(talk.outgoing.read())
    talk.incoming.write(talk.handshake.outgoing())
    talk.client.do_handshake()
    talk.client.write(b"early")
    with pytest.raises(ssl.SSLWantReadError):
        talk.client.unwrap()
    assert talk.handshake.feed(talk.outgoing.read())
    sock = talk.handshake.socket(talk.raw, b"")
    assert sock.decrypt() == b"early"
    assert talk.raw.shut == [socket.SHUT_RD]  # makes it readable, so that the goodbye is read as well
    assert sock.recv(100) == b""


def test_reading() -> None:
    talk = Talk()
    sock = talk.shake_hands()
    assert sock.fileno() == 42
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    data = os.urandom(100_000)
    talk.say(data)
    got = sock.recv(65536)
    assert 40_000 < len(got) < 65536 + 16384
    talk.raw.readable, rest = talk.raw.readable[:10], talk.raw.readable[10:]
    with pytest.raises(BlockingIOError):  # a part of a record
        sock.recv(100)
    talk.raw.readable = rest
    assert got + sock.recv(65536) == data
    talk.raw.at_end = True
    assert sock.recv(100) == b""


def test_goodbye_of_the_peer() -> None:
    talk = Talk()
    sock = talk.shake_hands()
    talk.say(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        talk.client.unwrap()
    talk.raw.readable += talk.outgoing.read()
    assert sock.recv(65536) == b"last words"
    assert talk.raw.shut == [socket.SHUT_RD]
    assert sock.recv(65536) == sock.recv(65536) == b""
    assert sock.send(b"an answer") == 9  # to a side that is still open
    sock.shutdown(socket.SHUT_WR)
    assert talk.raw.shut == [socket.SHUT_RD, socket.SHUT_WR]
    talk.incoming.write(talk.raw.sent)
    assert talk.client.read(100) == b"an answer"
    talk.client.unwrap()  # raises when there was no close_notify


def test_our_goodbye() -> None:
    talk = Talk()
    sock = talk.shake_hands()
    sock.shutdown(socket.SHUT_WR)
    sock.shutdown(socket.SHUT_WR)
    assert talk.raw.shut == [socket.SHUT_WR] * 2
    talk.incoming.write(talk.raw.sent)
    assert talk.client.read(100) == b""
    talk.say(b"too late")
    assert len(sock.recv(100)) > 0  # not deciphered, only taken away
    sock.close()
    assert talk.raw.closed


def test_damage_ends_the_connection_with_an_alert() -> None:
    talk = Talk()
    sock = talk.shake_hands()
    talk.say(b"good")
    good = talk.raw.readable
    talk.say(b"bad")
    talk.raw.readable = talk.raw.readable[:-1] + bytes([talk.raw.readable[-1] ^ 1])
    assert len(talk.raw.readable) > len(good)
    assert sock.recv(65536) == b"good"
    assert sock.recv(65536) == b""
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        talk.hear()
    with pytest.raises(OSError):
        sock.send(b"more")
    sock.shutdown(socket.SHUT_WR)


def test_a_socket_that_takes_little() -> None:
    talk = Talk()
    sock = talk.shake_hands()
    data = os.urandom(200_000)
    talk.raw.room = 40_000
    assert sock.send(data) == 2 * 16384  # the third record went out in part
    with pytest.raises(BlockingIOError):
        sock.send(data[2 * 16384 :])
    talk.raw.room = 1 << 30
    assert sock.send(data[2 * 16384 :]) == 16384  # it is the same record, not encrypted again
    assert sock.send(data[3 * 16384 :]) == 4 * 16384  # so much a turn
    assert talk.hear() == data[: 7 * 16384]


@given(st.binary(max_size=3), st.lists(st.integers(0, 50_000), max_size=30), st.randoms(use_true_random=False))
def test_nothing_is_lost_however_little_the_socket_takes(seed: bytes, rooms: list[int], chance: random.Random) -> None:
    talk = Talk()
    sock = talk.shake_hands()
    data = random.Random(seed).randbytes(120_000)
    outbox = bytearray()
    todo, heard = data, b""
    for room in [*rooms, *[1 << 20] * 8]:
        size = chance.randrange(60_000)
        outbox += todo[:size]
        todo = todo[size:]
        talk.raw.room = room
        if outbox:
            try:
                del outbox[: sock.send(outbox)]
            except BlockingIOError:
                pass
        if chance.random() < 0.3:
            talk.say(b"x")
            assert sock.recv(100) == b"x"
        heard += talk.hear()
    assert heard + bytes(outbox) + todo == data


def test_tickets_that_did_not_go_out_go_first() -> None:
    talk = Talk()
    with pytest.raises(ssl.SSLWantReadError):
        talk.client.do_handshake()
    talk.handshake.feed(talk.outgoing.read())
    talk.incoming.write(talk.handshake.outgoing())
    talk.client.do_handshake()
    assert talk.handshake.feed(talk.outgoing.read())
    sock = talk.handshake.socket(talk.raw, talk.handshake.outgoing())
    talk.raw.room = 10
    with pytest.raises(BlockingIOError):
        sock.send(b"hello")
    talk.raw.room = 1000
    assert sock.send(b"hello") == 5
    assert talk.hear() == b"hello"
    session = talk.client.session
    assert session is not None
    assert session.has_ticket


@pytest.mark.parametrize(("reused", "refused"), [(True, True), (False, False)])
def test_a_session_does_not_outlive_the_clients_certificate(reused: bool, refused: bool) -> None:
    """OpenSSL verifies it in full handshakes only, and would have refused it there.  A stand-in for its session: nobody can wait for a
    certificate to expire."""
    handshake: Any = Handshake.__new__(Handshake)
    handshake._session = SimpleNamespace(
        getpeercert=lambda binary=False: b"" if binary else {"notAfter": "Jan  1 00:00:00 2020 GMT"},
        session_reused=reused,
        version=lambda: "TLSv1.3",
        cipher=lambda: ("x", "TLSv1.3", 128),
        selected_alpn_protocol=lambda: None,
        server_name=None,
    )
    with pytest.raises(HandshakeFailed, match="has expired") if refused else nullcontext():
        handshake.facts()
