"""RabbitMQ, a broker of AMQP."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Self

from greenimi.testing.services.processes import Process, ServiceFailed, program
from greenimi.testing.services.service import Service, free_port

PACKAGE = "rabbitmq-server"
SCRIPTS = ("/usr/lib/rabbitmq/bin",)
"""Debian's commands of the same names on the PATH insist on running as a user of their own."""

_TIMEOUT = 5.0


class RabbitMQ(Service):
    """A RabbitMQ broker of one node without plugins, and the port mapper of Erlang that it needs, on a port of its own too.

    user, password  who clients are; they may do everything in the virtual host ``/``.
    """

    kind = "rabbitmq"

    def __init__(self, *, password: str | None = None, attached: bool = True) -> None:
        super().__init__(attached=attached)
        self.user = "app"
        self.password = password if password is not None else secrets.token_urlsafe(12)
        self._epmd: Process | None = None
        self._epmd_port = free_port()
        self._node_port = free_port()

    @property
    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/"

    @property
    def processes(self) -> list[Process]:
        return [process for process in (self._epmd, self.process) if process is not None]

    def prepare(self) -> None:
        lines = {
            "listeners.tcp.local": f"{self.host}:{self.port}",
            "default_user": self.user,
            "default_pass": self.password,
            "loopback_users": "none",
            "log.console": "true",
        }
        (self.folder / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        (self.folder / "plugins").write_text("[].\n")

    def environment(self) -> Mapping[str, str]:
        at = str(self.folder)
        return {
            **super().environment(),
            "HOME": at,  # holds the cookie by which nodes know each other
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": f"greenimi{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONFIG_FILE": f"{at}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{at}/none",
            "RABBITMQ_MNESIA_BASE": f"{at}/mnesia",
            "RABBITMQ_LOG_BASE": f"{at}/logs",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{at}/plugins",
            "RABBITMQ_PID_FILE": f"{at}/pid",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server instead of waiting for it
        }

    def start(self) -> Self:
        if self._epmd is None:
            epmd = [program("epmd", "erlang-base"), "-address", self.host, "-port", str(self._epmd_port)]
            self._epmd = Process(epmd, self.folder / "epmd.log", attached=self.attached)
        return super().start()

    def command(self) -> Sequence[str]:
        return [program("rabbitmq-server", PACKAGE, SCRIPTS)]

    def check(self) -> None:
        with socket.create_connection((self.host, self.port), _TIMEOUT) as client:
            client.settimeout(_TIMEOUT)
            client.sendall(b"AMQP\x00\x00\x09\x01")
            if not client.recv(1):
                raise ServiceFailed("closes its connections")

    def stop(self) -> None:
        super().stop()
        self._end_epmd()

    def kill(self) -> None:
        super().kill()
        self._end_epmd()

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd = None
