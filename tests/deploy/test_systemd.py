"""What systemd and the service tell each other, with the part of systemd played by a socket and by systemd-socket-activate."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi import green
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient
from greenimi.testing.support import free_port, wait_until
from tests.deploy.support import PATIENCE, ROOT, program, running, shop

pytestmark = pytest.mark.live
MAIN = str(ROOT / "greenimi/__main__.py")
CONF = """
include = ["tests.deploy.apps.shop"]
[workers]
count = 2
"""


class Listener:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self.told: list[str] = []
        """All lines since ``forget``."""
        self._reading = green.spawn(self._read)

    def _read(self) -> None:
        while True:
            self.told += self._sock.recv(4096).decode().splitlines()

    def heard(self, line: str) -> bool:
        return line in self.told

    def forget(self) -> None:
        self.told.clear()

    def close(self) -> None:
        self._reading.kill()
        self._sock.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path)
    yield listener
    listener.close()


def test_systemd_is_told_of_readiness_reloads_and_the_end(tmp_path: Path, systemd: Listener) -> None:
    gate = tmp_path / "gate"
    env = {"NOTIFY_SOCKET": systemd.path, "SHOP_GATE": str(gate)}
    with shop(tmp_path, {"workers.drain_window": "0.1"}, (MAIN, "serve"), env) as service:
        starting = green.spawn(service.start)
        wait_until(lambda: service.process is not None and service.booted and systemd.heard("WATCHDOG=1"), PATIENCE)
        assert "READY=1" not in systemd.told
        gate.touch()
        starting.get()
        wait_until(lambda: systemd.heard("READY=1"), PATIENCE)
        assert f"MAINPID={service.pid}" in systemd.told

        systemd.forget()
        service.signal(signal.SIGHUP)
        wait_until(lambda: systemd.heard("RELOADING=1"), PATIENCE)
        assert any(re.fullmatch(r"MONOTONIC_USEC=\d+", line) for line in systemd.told)
        wait_until(lambda: systemd.heard("READY=1"), PATIENCE)
        assert systemd.told.index("RELOADING=1") < systemd.told.index("READY=1")

        systemd.forget()
        service.stop()
        wait_until(lambda: systemd.heard("STOPPING=1"), PATIENCE)


def test_after_an_upgrade_systemd_is_told_of_the_new_master_and_of_no_end(tmp_path: Path, systemd: Listener) -> None:
    with shop(tmp_path, {"workers.drain_window": "0.1"}, (MAIN, "serve"), {"NOTIFY_SOCKET": systemd.path}) as service:
        service.start()
        wait_until(lambda: systemd.heard("READY=1"), PATIENCE)
        systemd.forget()
        service.signal(signal.SIGUSR2)
        successor = wait_until(lambda: (service.status() or {"master": {}})["master"].get("successor"), PATIENCE)
        try:
            wait_until(lambda: systemd.heard(f"MAINPID={successor}"), PATIENCE)
            service.stop()
            beats = systemd.told.count("WATCHDOG=1")
            wait_until(lambda: systemd.told.count("WATCHDOG=1") > beats + 2, PATIENCE)  # what the old one said came before them
            assert not systemd.heard("STOPPING=1"), "systemd would stop the new master"
        finally:
            os.kill(successor, signal.SIGTERM)
            wait_until(lambda: systemd.heard("STOPPING=1"), PATIENCE)


def activated(tmp_path: Path, conf: str, *options: str) -> list[str]:
    """The command that opens sockets, and starts the service when somebody comes."""
    file = tmp_path / "app.toml"
    file.write_text(CONF + conf)
    settings = {"GREENIMI_CONF": str(file), "PYTHONPATH": str(ROOT), "GREENIMI__WORKERS__CONTROL": str(tmp_path / "run")}
    env = [f"--setenv={name}={value}" for name, value in settings.items()]
    return [program("systemd-socket-activate"), *env, *options, sys.executable, MAIN, "serve"]


def test_sockets_of_systemd_are_used_and_the_first_client_is_served(tmp_path: Path) -> None:
    web, till = free_port(), free_port()
    conf = f'[servers.till]\nkind = "tcp"\nbind = "127.0.0.1:{till}"\n[servers.web]\nbind = "127.0.0.1:{web}"\n'
    listen = ("-l", f"127.0.0.1:{web}", "-l", f"127.0.0.1:{till}", "--fdname=web:till")
    with running(activated(tmp_path, conf, *listen), tmp_path / "log"):
        wait_until(lambda: "Listening on" in (tmp_path / "log").read_text(), PATIENCE)
        with MessageClient(("127.0.0.1", till), timeout=PATIENCE) as early:
            early.send({"action": "echo", "id": 1, "text": "early"})
            assert early.receive(PATIENCE) == {"id": 1, "result": "early"}
        with HttpClient(("127.0.0.1", web)) as client:
            assert client.get("/who").status == 200


def test_a_datagram_socket_of_systemd_is_used_and_the_first_datagram_is_answered(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    conf = f'[servers.beacon]\nkind = "udp"\nbind = "127.0.0.1:{port}"\n[servers.web]\nbind = "127.0.0.1:{free_port()}"\n'
    conf += f'[servers.till]\nkind = "tcp"\nbind = "127.0.0.1:{free_port()}"\n'
    with running(activated(tmp_path, conf, "--datagram", "-l", f"127.0.0.1:{port}", "--fdname=beacon"), tmp_path / "log"):
        wait_until(lambda: "Listening on" in (tmp_path / "log").read_text(), PATIENCE)
        with DatagramClient(("127.0.0.1", port)) as client:
            client.send({"action": "echo", "id": 1, "text": "early"})
            assert client.receive(PATIENCE) == {"id": 1, "result": "early"}
