"""When the Hub tells what; that it does is tested where it happens."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from greenimi import green
from greenimi.hub import GroupJoined, GroupLeft, UserJoined, UserLeft
from greenimi.hub.settings import GroupSettings, HubSettings
from greenimi.testing.support import wait_until
from tests.hub.joined import Make, connect

SETTINGS = HubSettings(groups={"room": GroupSettings(presence=True)})


def test_in_order_and_never_in_the_middle_of_something(hubs: Make) -> None:
    """Connections are closed in the hub of gevent, where a listener could not wait for anything."""
    (hub,) = hubs(1, SETTINGS)
    heard: list[Any] = []

    def hear(event: Any) -> None:
        green.sleep(0.001)
        heard.append(event)

    for kind in (GroupJoined, GroupLeft, UserJoined, UserLeft):
        hub.events.on(kind, hear)
    client = connect(hub)
    hub.group("room").add(client)
    green.run_soon(client.lose)
    wait_until(lambda: len(heard) == 4)
    assert heard == [
        UserJoined("room", client.id, None),
        GroupJoined("room", client),
        GroupLeft("room", client),
        UserLeft("room", client.id, None),
    ]


def test_listener_that_fails_breaks_nothing(hubs: Make, caplog: pytest.LogCaptureFixture) -> None:
    (hub,) = hubs(1, SETTINGS)
    hub.events.on(GroupJoined, lambda event: 1 / 0)
    heard: list[Any] = []
    hub.events.on(UserJoined, heard.append)
    client = connect(hub)
    with caplog.at_level(logging.ERROR):
        assert hub.group("room").add(client)
        wait_until(lambda: heard)
    assert "ZeroDivisionError" in caplog.text
    assert hub.group("room").count() == 1


def test_what_was_to_be_told_is_told_before_the_end(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    heard: list[Any] = []

    def hear(event: Any) -> None:
        green.sleep(0.005)
        heard.append(event)

    hub.events.on(GroupLeft, hear)
    client = connect(hub)
    hub.group("room").add(client)
    client.lose()
    hub.stop()
    assert len(heard) == 1
