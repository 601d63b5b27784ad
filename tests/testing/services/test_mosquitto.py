"""Mosquitto."""

from __future__ import annotations

from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from greenimi.testing.services.mosquitto import Mosquitto
from greenimi.testing.services.processes import wait_for


def test_a_message_comes_back(mosquitto: Mosquitto) -> None:
    heard: list[bytes] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    def connected(*_: Any) -> None:
        client.subscribe("a/b")

    def subscribed(*_: Any) -> None:
        client.publish("a/b", b"hello")

    client.on_connect, client.on_subscribe = connected, subscribed
    client.on_message = lambda *args: heard.append(args[-1].payload)
    client.connect(mosquitto.host, mosquitto.port)
    assert mosquitto.url == f"mqtt://127.0.0.1:{mosquitto.port}"
    assert wait_for(lambda: client.loop(0.05) or heard, 10)
    assert heard == [b"hello"]
    client.disconnect()
