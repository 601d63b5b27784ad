from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import AuthenticationError

from greenimi import green
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.connections import connection_kwargs, open_connection
from greenimi.pool.redis.errors import LateAnswer, LostConnection, NotSent
from greenimi.pool.redis.settings import RedisSettings, TlsSettings
from greenimi.testing.services.redis import Redis as Server
from greenimi.testing.support import free_port
from tests.certificates import PASSWORD, certificates


def asked(settings: RedisSettings, address: Address, *words: Any) -> Any:
    connection = open_connection(settings, address)
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        connection.disconnect()


def test_what_is_told_to_the_server(redis_server: Server) -> None:
    address = Address(redis_server.host, redis_server.port)
    found = asked(RedisSettings(db=3, client_name="shop"), address, "CLIENT", "LIST", "TYPE", "normal")
    assert b"name=shop" in found
    assert b"db=3" in next(line for line in found.splitlines() if b"name=shop" in line)
    assert asked(RedisSettings(decode=True), Address(socket=str(redis_server.socket)), "PING") == "PONG"


def test_log_in(start_service: Any) -> None:
    server = start_service("redis", password="sesame")
    address = Address(server.host, server.port)
    for protocol in (2, 3):
        settings = RedisSettings(password="sesame", protocol=protocol)
        assert asked(settings, address, "PING") == b"PONG"
        with pytest.raises(AuthenticationError):
            open_connection(replace(settings, password="wrong"), address)


def test_nothing_is_tried_twice() -> None:
    with pytest.raises(LostConnection, match="refused"):
        open_connection(RedisSettings(), Address(port=free_port()))
    assert connection_kwargs(RedisSettings())["retry"].get_retries() == 0


def test_a_silent_server_costs_no_more_than_the_time_to_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(LateAnswer, match="took too long"):
        open_connection(RedisSettings(connect_timeout=0.05), Address(port=silent.getsockname()[1]))


def test_broken_off_it_leaves_no_socket_open(no_leaks: None) -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=1)
    fill = [socket.socket() for _ in range(3)]
    for sock in fill:
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
    connecting = green.spawn(open_connection, RedisSettings(), Address(port=full.getsockname()[1]))
    green.sleep(0.01)
    connecting.kill()
    assert connecting.dead
    for sock in (full, *fill):
        sock.close()


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_port() -> Iterator[int]:
    files, port = certificates(), free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": files.file("server.pem"),
        "tls-key-file": files.file("server.key"),
        "tls-ca-cert-file": files.file("ca.pem"),
        "tls-auth-clients": "optional",
    }
    with Server(options=options):
        yield port


def over_tls(port: int, **tls: Any) -> Redis:
    settings = RedisSettings(url=f"rediss://localhost:{port}", tls=TlsSettings(**{"ca": certificates().file("ca.pem"), **tls}), wait=0.0)
    return Redis(settings)


def test_many_commands_and_large_replies_over_tls(tls_port: int) -> None:
    with over_tls(tls_port) as client:
        client.set("large", b"x" * 1_000_000)
        greenlets = [green.spawn(client.set, f"key{number}", number) for number in range(200)]
        large = green.spawn(client.get, "large")
        assert all(greenlet.get() for greenlet in greenlets)
        assert large.get() == b"x" * 1_000_000
        assert [client.get(f"key{number}") for number in (0, 199)] == [b"0", b"199"]
        assert client.link.losses == 0


def test_who_the_server_is_gets_checked(tls_port: int) -> None:
    with over_tls(tls_port, ca=certificates().file("stranger.pem")) as client, pytest.raises(NotSent, match=r"(?i)certificate"):
        client.ping()
    with over_tls(tls_port, ca="", check=False) as client:
        assert client.ping()


def test_certificates_of_clients(tls_port: int) -> None:
    files = certificates()
    with over_tls(tls_port, certificate=files.file("server.pem"), key=files.file("locked.key"), key_password=PASSWORD) as client:
        assert client.ping()
