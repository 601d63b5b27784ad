"""Mosquitto, a broker of MQTT."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from greenimi.testing.services.processes import program
from greenimi.testing.services.service import Service

_TIMEOUT = 5.0


class Mosquitto(Service):
    """A Mosquitto broker that everybody on this machine may use and that forgets all when it ends."""

    kind = "mosquitto"

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def prepare(self) -> None:
        lines = [f"listener {self.port} {self.host}", "allow_anonymous true", "persistence false", "log_dest stderr"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it becomes a user who may not read its folder
        (self.folder / "mosquitto.conf").write_text("\n".join([*lines, ""]))

    def command(self) -> Sequence[str]:
        return [program("mosquitto", "mosquitto"), "-c", str(self.folder / "mosquitto.conf")]

    def check(self) -> None:
        socket.create_connection((self.host, self.port), _TIMEOUT).close()
