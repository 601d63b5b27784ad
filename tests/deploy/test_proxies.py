"""nginx and HAProxy in front of a served application, with the files of ``docs/deploy``."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from greenimi.testing.clients import HttpClient, MessageClient, WebSocketClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import free_port
from tests.deploy.support import changed, program, running, shop, until

pytestmark = pytest.mark.live
Address = tuple[str, int]


class Behind(NamedTuple):
    """Where the proxy listens for HTTP and for TCP."""

    web: Address
    till: Address
    service: Gunicorn
    closed: Path


def listens(address: Address) -> bool:
    try:
        socket.create_connection(address).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("nginx")
    web, till = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    with shop(folder, {"servers.web.proxy_protocol": "false"}) as service:
        changes = {
            "listen 80;": f"listen 127.0.0.1:{web[1]};",
            "listen 9900 ": f"listen 127.0.0.1:{till[1]} ",
            "127.0.0.1:8000": "{}:{}".format(*service.addresses["web"]),
            "127.0.0.1:9000": "{}:{}".format(*service.addresses["till"]),
            "/run/nginx.pid": f"{folder}/nginx.pid",
            "/var/log/nginx": str(folder),
        }
        file = changed("nginx.conf", folder, changes)
        command: list[str | Path] = [program("nginx"), "-c", file, "-g", "daemon off;"]
        service.start()
        with running(command, folder / "nginx.log"):
            until(lambda: listens(web) and listens(till), "nginx does not listen", folder / "nginx.log")
            yield Behind(web, till, service, folder / "closed")


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("haproxy")
    web, till = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    with shop(folder, env={"SHOP_CLOSED": str(folder / "closed")}) as service:
        changes = {
            "bind :80\n": f"bind 127.0.0.1:{web[1]}\n",
            "bind :9900": f"bind 127.0.0.1:{till[1]}",
            "${SHOP}:8000": f"${{SHOP}}:{service.addresses['web'][1]}",
            "${SHOP}:9000": f"${{SHOP}}:{service.addresses['till'][1]}",
            "maxconn 20000": "maxconn 500",  # twice as many files
            "check port 8080": f"check port {service.addresses['health'][1]}",
            "/var/lib/haproxy/admin.sock": str(folder / "admin.sock"),
        }
        file = changed("haproxy.cfg", folder, changes)
        service.start()
        with running([program("haproxy"), "-db", "-f", file], folder / "haproxy.log", {"SHOP": "127.0.0.1"}):
            until(lambda: listens(web) and listens(till), "HAProxy does not listen", folder / "haproxy.log")
            yield Behind(web, till, service, folder / "closed")


def who(address: Address, **headers: str) -> dict[str, Any]:
    with HttpClient(address) as client:
        answer = client.get("/who", headers=headers)
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json()
        return found


def own_address(client: Any) -> list[Any]:
    return list(client._sock.getsockname())


# -- nginx -----------------------------------------------------------------------------------------------------------
def test_nginx_tells_the_clients_address_and_keeps_connections_to_the_service(nginx: Behind) -> None:
    answers = [who(nginx.web, **{"X-Forwarded-For": "6.6.6.6"}) for _ in range(20)]
    assert {answer["forwarded"] for answer in answers} == {"127.0.0.1"}
    assert {answer["host"] for answer in answers} == {"localhost"}
    assert len({answer["connection"] for answer in answers}) <= (os.cpu_count() or 1)  # one for each of nginx's processes


def test_a_websocket_through_nginx(nginx: Behind) -> None:
    with WebSocketClient(nginx.web, "/chat") as client:
        assert client.request("echo", text="hello") == "hello"
        client.ping()


def test_tcp_through_nginx_shows_the_clients_own_address(nginx: Behind) -> None:
    with MessageClient(nginx.till) as client:
        assert client.request("who") == {"address": own_address(client)}


# -- HAProxy ---------------------------------------------------------------------------------------------------------
def test_http_through_haproxy_shows_the_clients_own_address(haproxy: Behind) -> None:
    with HttpClient(haproxy.web) as client:
        for _ in range(3):
            assert client.get("/who").json()["address"] == list(client._link.sock.getsockname())


def test_a_websocket_through_haproxy_shows_the_clients_own_address(haproxy: Behind) -> None:
    with WebSocketClient(haproxy.web, "/chat") as client:
        assert client.request("who") == {"address": own_address(client)}


def test_tcp_through_haproxy_shows_the_clients_own_address(haproxy: Behind) -> None:
    with MessageClient(haproxy.till) as client:
        assert client.request("who") == {"address": own_address(client)}


def test_haproxy_gives_no_work_to_a_service_that_is_not_ready(haproxy: Behind) -> None:
    def status() -> int:
        with HttpClient(haproxy.web) as client:
            return client.get("/who").status

    assert status() == 200
    haproxy.closed.touch()
    log = haproxy.closed.with_name("haproxy.log")
    until(lambda: status() == 503, "it was not found out that the service is not ready", log)
    haproxy.closed.unlink()
    until(lambda: status() == 200, "it was not found out that the service is ready again", log)


def test_a_reload_refuses_nobody_behind_haproxy(haproxy: Behind) -> None:
    before = haproxy.service.ready
    haproxy.service.signal(signal.SIGHUP)
    answers = []

    def reloaded() -> bool:
        answers.append(who(haproxy.web)["pid"])
        return haproxy.service.ready not in ([], before) and len(haproxy.service.ready) == 1

    until(reloaded, "no reload", haproxy.service.control.parent / "shop.log")
    assert len(answers) > 3
