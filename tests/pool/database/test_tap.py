"""A socket beside its driver."""

from __future__ import annotations

import socket

import gevent

from greenimi import green
from greenimi.pool.database.tap import Tap
from greenimi.testing.support import wait_until


def pair() -> tuple[Tap, gevent.socket.socket, gevent.socket.socket]:
    driver, server = gevent.socket.socketpair()
    return Tap(driver.fileno(), 0.05, peeks=8), driver, server


def test_what_can_be_read_stays_for_the_driver() -> None:
    tap, driver, server = pair()
    with driver, server:
        assert tap.is_idle()
        assert bytes(tap.peek()) == b""
        server.sendall(b"0123456789")
        assert not tap.is_idle()
        assert bytes(tap.peek()) == b"01234567"
        assert driver.recv(20) == b"0123456789"
        assert tap.is_idle()
        tap.close()


def test_a_goodbye_is_noticed() -> None:
    tap, driver, server = pair()
    with driver:
        server.close()
        assert not tap.is_idle()
        assert tap.wait()
        assert bytes(tap.peek()) == b""
        tap.send_now(b"x")  # nobody minds
        tap.close()


def test_waiting() -> None:
    tap, driver, server = pair()
    with driver, server:
        assert not tap.wait()
        waiter = green.spawn(tap.wait)
        green.sleep(0)
        server.sendall(b"x")
        assert waiter.get()
        driver.recv(1)
        killed = green.spawn(tap.wait)
        green.sleep(0)
        killed.kill()
        assert not tap.wait()
        tap.close()


def test_closing_ends_the_connection_for_the_driver_too() -> None:
    tap, driver, server = pair()
    with driver, server:
        reader = green.spawn(driver.recv, 1)
        green.sleep(0)
        tap.send_now(b"bye")
        tap.close()
        tap.close()
        assert wait_until(reader.ready)
        assert reader.get() == b""
        assert server.recv(3) == b"bye"
        assert server.recv(3) == b""


def test_a_host_that_acknowledges_nothing_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as driver:
        tap = Tap(driver.fileno(), 0.0, unreachable=9.0)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
        assert [driver.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [3, 3, 9000]
        assert driver.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        tap.close()
