"""What clients ask of the Hub itself."""

from __future__ import annotations

from typing import Any, cast

import pytest

from greenimi.errors import BadMessage, Refused
from greenimi.hub import Hub
from greenimi.hub.client_actions import ClientActions
from greenimi.hub.settings import GroupSettings, HubSettings
from greenimi.interfaces import IConnection
from greenimi.message import Message
from greenimi.testing.support import wait_until
from tests.hub.joined import Client, Make

SETTINGS = HubSettings(keep=30.0, groups={"room": GroupSettings(history=10, presence=True)})


@pytest.fixture
def hub(hubs: Make) -> Hub:
    return hubs(1, SETTINGS)[0]


def ask(client: Client, action: str, **arguments: Any) -> Any:
    """The answer, once what follows it was sent as well."""
    message = Message(b"", cast("IConnection", client))
    message.data = {"action": action, "id": 1, **arguments}
    answer = ClientActions(client.hub, 25.0).all()[action](message)
    if client.links is not None and client.links.after is not None:
        client.links.after()
    return answer


def room(client: Client) -> None:
    assert client.hub.group("room:1").add(cast("IConnection", client))


def test_hello_tells_who_it_is_and_how_to_come_back(hub: Hub) -> None:
    client = Client(hub)
    room(client)
    epoch = hub.store.position("room:1")[1]
    answer = ask(client, "$hello")
    assert answer.pop("token").startswith(f"{client.id}.")
    assert answer == {
        "id": client.id,
        "keep": 30.0,
        "ping": 25.0,
        "restored": False,
        "recovered": {},
        "positions": {"room:1": {"offset": 0, "epoch": epoch}},
    }


def test_who_is_back_has_its_data_and_groups_and_hears_what_it_missed(hub: Hub) -> None:
    first, other = Client(hub), Client(hub)
    room(first)
    room(other)
    first.data["name"] = "Ann"
    hello = ask(first, "$hello")
    first.lose()
    hub.group("room:1").send("one")
    back = Client(hub)
    answer = ask(back, "$hello", token=hello["token"], positions=hello["positions"])
    assert answer["restored"]
    assert answer["recovered"]["room:1"] == {
        "recovered": True,
        "offset": 1,
        "epoch": hello["positions"]["room:1"]["epoch"],
        "missed": 1,
    }
    assert back.got == [{"data": "one", "group": "room:1", "offset": 1}]
    assert back.data == {"name": "Ann"}
    hub.group("room:1").send("two")
    wait_until(lambda: len(back.got) == 2)
    assert back.got[1]["offset"] == 2


def test_a_token_is_good_once(hub: Hub) -> None:
    first = Client(hub)
    token = ask(first, "$hello")["token"]
    first.lose()
    assert ask(Client(hub), "$hello", token=token)["restored"]
    assert not ask(Client(hub), "$hello", token=token)["restored"]


def test_a_member_hears_again_what_it_asks_for(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(hub)
    room(client)
    epoch = hub.store.position("room:1")[1]
    for text in ("one", "two"):
        hub.group("room:1").send(text)
    wait_until(lambda: len(client.got) == 2)
    assert ask(client, "$recover", group="room:1", offset=1, epoch=epoch)["missed"] == 1
    assert [each["offset"] for each in client.got] == [1, 2, 2]
    monkeypatch.setattr("greenimi.hub.client_actions._REPLAY_PAUSE", 0.0)
    assert ask(client, "$recover", group="room:1", offset=1, epoch="other") == {
        "recovered": False,
        "offset": 2,
        "epoch": epoch,
        "missed": 0,
    }


def test_who_asks_again_and_again_waits(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("greenimi.hub.client_actions.sleep", pauses.append)
    client = Client(hub)
    room(client)
    assert client.hub.group("room:2").add(cast("IConnection", client))
    for name in ("room:1", "room:2", "room:1", "room:1"):
        ask(client, "$recover", group=name, offset=0, epoch=hub.store.position(name)[1])
    assert len(pauses) == 2
    assert all(0 < pause <= 1 for pause in pauses)


def test_who_leaves_while_it_waits_hears_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(hub)
    room(client)
    place = {"group": "room:1", "offset": 0, "epoch": hub.store.position("room:1")[1]}
    ask(client, "$recover", **place)
    monkeypatch.setattr("greenimi.hub.client_actions.sleep", lambda _: hub.group("room:1").discard(cast("IConnection", client)))
    with pytest.raises(Refused, match="not in this group"):
        ask(client, "$recover", **place)


def test_others_hear_nothing(hub: Hub) -> None:
    client = Client(hub)
    with pytest.raises(Refused, match="not in this group"):
        ask(client, "$recover", group="room:1", offset=0, epoch="x")


def test_who_is_taken_out_meanwhile_hears_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(hub)
    room(client)
    since = hub.store.since

    def take_out(*args: Any) -> Any:
        hub.group("room:1").discard(cast("IConnection", client))
        return since(*args)

    monkeypatch.setattr(hub.store, "since", take_out)
    with pytest.raises(Refused, match="not in this group"):
        ask(client, "$recover", group="room:1", offset=0, epoch=hub.store.position("room:1")[1])


def test_who_says_goodbye_is_not_kept(hub: Hub) -> None:
    first = Client(hub)
    room(first)
    token = ask(first, "$hello")["token"]
    assert ask(first, "$bye") is None
    first.lose()
    wait_until(lambda: hub.group("room:1").present() == [])
    assert not ask(Client(hub), "$hello", token=token)["restored"]


def test_a_sign_of_life_is_answered_with_nothing(hub: Hub) -> None:
    assert ask(Client(hub), "$ping") is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"token": 5}, "token must be a text"),
        ({"positions": 5}, "positions must be a table"),
        ({"positions": {str(number): {} for number in range(1025)}}, "at most 1024"),
        ({"positions": {"room:1": 5}}, "must have an offset"),
        ({"positions": {"room:1": {"offset": -1, "epoch": "x"}}}, "must have an offset"),
        ({"positions": {"room:1": {"offset": True, "epoch": "x"}}}, "must have an offset"),
        ({"positions": {"room:1": {"offset": 1 << 64, "epoch": "x"}}}, "must have an offset"),
        ({"positions": {"room:1": {"offset": 1, "epoch": None}}}, "must have an offset"),
    ],
)
def test_what_makes_no_sense_is_refused(hub: Hub, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(BadMessage, match=text):
        ask(Client(hub), "$hello", **arguments)


def test_what_cannot_be_pushed_to_cannot_come_back(hub: Hub) -> None:
    with pytest.raises(BadMessage, match="cannot be restored"):
        ask(Client(hub, None), "$hello")
