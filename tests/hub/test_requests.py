"""Requests to clients of other processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import ConnectionClosed, GreenimiError, NoReply, Overloaded, PeerFailed
from greenimi.hub import Hub, Unreachable
from greenimi.hub.settings import HubSettings
from tests.hub.joined import Client, Make


class Device(Client):
    """Replies as it is told."""

    reply: Any = None

    def request(self, data: Mapping[str, Any], timeout: float = 10.0) -> Any:
        self.asked = dict(data), timeout
        if isinstance(self.reply, BaseException):
            raise self.reply
        return self.reply


def ask(hub: Hub, device: Client, **data: Any) -> Any:
    return hub.connection(device.id).request(data, timeout=3.0)


@pytest.mark.parametrize("where", [0, 1])
def test_the_reply_comes_back(hubs: Make, where: int) -> None:
    both = hubs(2)
    device = Device(both[0])
    device.reply = {"celsius": 21.5}
    assert ask(both[where], device, action="read") == {"celsius": 21.5}
    assert device.asked == ({"action": "read"}, 3.0)


@pytest.mark.parametrize("where", [0, 1])
@pytest.mark.parametrize(
    "error",
    [NoReply("too late"), ConnectionClosed("it left"), Overloaded("64 wait already"), PeerFailed({"code": 5})],
    ids=lambda e: type(e).__name__,
)
def test_errors_are_the_same_everywhere(hubs: Make, where: int, error: GreenimiError) -> None:
    both = hubs(2)
    device = Device(both[0])
    device.reply = error
    with pytest.raises(type(error)) as found:
        ask(both[where], device)
    assert str(found.value) == str(error)
    assert getattr(found.value, "error", None) == getattr(error, "error", None)


def test_what_goes_wrong_there_is_told(hubs: Make) -> None:
    one, two = hubs(2)
    device = Device(one)
    device.reply = TypeError("it does not speak in messages")
    with pytest.raises(GreenimiError, match="TypeError: it does not speak in messages"):
        ask(two, device)


@pytest.mark.parametrize("where", [0, 1])
def test_nobody_has_it(hubs: Make, where: int) -> None:
    both = hubs(2)
    device = Device(both[0])
    device.lose()
    with pytest.raises(ConnectionClosed, match=f"there is no connection {device.id}"):
        ask(both[where], device)
    with pytest.raises(ConnectionClosed, match="there is no connection 17"):
        both[where].connection(17).request({})


def test_a_process_that_does_not_answer_is_not_waited_for(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = hubs(2, HubSettings(wait=0.01))
    device = Device(one)
    monkeypatch.setattr(one, "called", lambda packet, sender, answer: None)
    with green.timeout(5), pytest.raises(Unreachable):
        two.connection(device.id).request({}, timeout=0.01)


def test_all_members_of_a_group_are_asked(hubs: Make) -> None:
    one, two = hubs(2)
    near, far, silent, stranger = Device(one), Device(two), Device(two), Device(one)
    for device, reply in ((near, 1), (far, 2), (silent, NoReply("too late")), (stranger, 4)):
        device.reply = reply
    for device in (near, far, silent):
        one.group("sensors").add(device.id)
    found = one.group("sensors").request({"action": "read"}, timeout=3.0)
    error = found.pop(silent.id)
    assert isinstance(error, NoReply)
    assert found == {near.id: 1, far.id: 2}
    assert not hasattr(stranger, "asked")
