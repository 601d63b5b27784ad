from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import Overloaded, Refused
from greenimi.hub import ConnectionRestored, GroupJoined, Hub, UserJoined, UserLeft, later
from greenimi.hub.links import Links
from greenimi.hub.machine_store import MachineStore
from greenimi.hub.settings import GroupSettings, HubSettings
from greenimi.message import Identity
from greenimi.testing.support import PATIENCE, wait_until
from tests.hub.joined import Make, connect
from tests.hub.troubled import Troubled

KINDS = {"room": GroupSettings(presence=True, announce=True, limit=3), "log": GroupSettings(history=10)}
SETTINGS = HubSettings(wait=0.3, groups=KINDS)


def settle(*hubs: Hub) -> None:
    for hub in hubs:
        assert hub.later.wait(PATIENCE)
        assert hub._told.wait(PATIENCE)
    green.sleep(0)
    green.sleep(0)


def client_with_all(hub: Hub) -> tuple[Any, str]:
    """In groups, bound, with data, and its token."""
    client = connect(hub)
    hub.user("ann").add(client)
    hub.group("plain").add(client, {"seat": 1})
    hub.group("room").add(client, "Ann")
    client.data.update({"cart": ["apple"], "count": 2})
    return client, hub.token(client)


def has_all(client: Any) -> bool:
    hub = client.hub
    return bool(
        client.data == {"cart": ["apple"], "count": 2}
        and hub.connection(client).user() == "ann"
        and client.links.groups == {"plain": {"seat": 1}, "room": "Ann"}
        and client in hub.group("plain")
        and hub.user("ann").connections() == [client.id]
        and hub.group("room").connections() == [client.id]
        and hub.group("room").present() == [("ann", "Ann", 1)]
    )


# -- once ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", [False, True], ids=["memory", "machine"])
@pytest.mark.parametrize("where", ["same", "other", "store", "at once", "still open", "still open elsewhere"])
def test_restored_exactly_once(hubs: Make, tmp_path: Path, where: str, machine: bool) -> None:
    one, two = hubs(2, SETTINGS, MachineStore(tmp_path) if machine else None)
    heard: list[Any] = []
    for hub in (one, two):
        for kind in (UserJoined, UserLeft, ConnectionRestored):
            hub.events.on(kind, heard.append)
    client, token = client_with_all(one)
    back = connect(one if where in ("same", "at once", "still open") else two)
    hub = back.hub
    if not where.startswith("still"):
        client.lose()
    if where in ("same", "other", "store"):
        settle(one)
    if where == "store":  # its process has gone
        one.relay.stop()
        green.sleep(0)
        green.sleep(0)
        settle(two)
    assert hub.restore(back, token)
    assert has_all(back)
    assert client.closed_with == ((4409, "taken over") if where.startswith("still") else None)
    settle(one, two)
    assert heard == [UserJoined("room", "ann", "Ann"), ConnectionRestored(back, client.number)]
    assert has_all(back)
    for again in (one, two)[where == "store" :]:
        assert not again.restore(connect(again), token)
    assert has_all(back)


def test_of_many_who_show_a_token_at_once_one_is_restored(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, SETTINGS, store)
    client, token = client_with_all(one)
    store.slow = True
    client.lose()
    backs = [connect(hub) for hub in (one, two) for _ in range(5)]
    found = [green.spawn(back.hub.restore, back, token) for back in backs]
    restored = [each.get(timeout=PATIENCE) for each in found]
    assert sum(restored) == 1
    store.slow = False
    settle(one, two)
    assert has_all(backs[restored.index(True)])


@pytest.mark.parametrize("where", ["same", "other"])
def test_shown_while_the_store_is_about_to_get_it(hubs: Make, where: str) -> None:
    """The record is on its way: neither lost nor there twice."""
    store = Troubled()
    one, two = hubs(2, HubSettings(wait=PATIENCE, groups=KINDS), store)
    client, token = client_with_all(one)
    gate = store.gate("keep")
    client.lose()
    wait_until(lambda: store.waiting["keep"])
    back = connect(one if where == "same" else two)
    restoring = green.spawn(back.hub.restore, back, token)
    green.sleep(0.01)
    gate.set()
    assert restoring.get(timeout=PATIENCE)
    settle(one, two)
    assert has_all(back)
    for hub in (one, two):
        assert not hub.restore(connect(hub), token)


def test_new_token_ends_the_old_one(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client, old = client_with_all(hub)
    token = hub.token(client)
    assert token != old
    assert token.startswith(f"{client.number}.")
    client.lose()
    assert not hub.restore(connect(hub), old)
    assert hub.restore(connect(hub), token)


def test_over_and_over(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client, token = client_with_all(one)
    for number in range(6):
        back = connect((one, two)[number % 2])
        if number % 3:
            client.lose()
        assert back.hub.restore(back, token)
        client, token = back, back.hub.token(back)
    settle(one, two)
    assert has_all(client)
    assert one.numbers()["restored_total"] + two.numbers()["restored_total"] == 6


def test_without_a_token_nothing_is_kept(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, SETTINGS, store)
    client = connect(hub)
    client.data["a"] = 1
    hub.group("plain").add(client)
    client.lose()
    settle(hub)
    assert not store.calls["keep"]


@pytest.mark.parametrize("keep", [0, 0.01])
def test_no_longer_than_conf_says(hubs: Make, keep: float) -> None:
    (hub,) = hubs(1, HubSettings(keep=keep, groups=KINDS))
    client, token = client_with_all(hub)
    client.lose()
    settle(hub)
    wait_until(lambda: not hub.store.present("room", 1))
    assert not hub.restore(connect(hub), token)


def test_user_with_a_place_comes_back_into_a_full_group(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client, token = client_with_all(one)
    for _ in range(2):
        two.group("room").add(connect(two))
    client.lose()
    settle(one)
    with pytest.raises(Exception, match="has 3 connections"):
        two.group("room").add(connect(two))
    back = connect(two)
    assert two.restore(back, token)
    assert two.group("room").count() == 3
    assert back in two.group("room")


def test_who_entered_before_it_was_known_is_there_once(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client = connect(one)
    one.group("room").add(client, "Ann")
    one.user("ann").add(client)
    before = two.group("room").present()
    token = one.token(client)
    client.lose()
    settle(one)
    back = connect(two)
    assert two.restore(back, token)
    assert two.group("room").present() == before
    assert len(before) == 1


def test_claim_is_kept_for_its_client(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client = connect(one)
    one.user("ann").claim(client)
    token = one.token(client)
    client.lose()
    settle(one)
    other, back = connect(two), connect(two)
    assert not two.user("ann").claim(other)
    assert not two.user("ann").add(other)
    assert two.restore(back, token)
    settle(two)
    assert two.store.owner("ann") == back.number
    assert back.links.claimed
    assert not two.user("ann").claim(other)


def test_claim_goes_over_from_an_open_connection(hubs: Make) -> None:
    one, two = hubs(2, SETTINGS)
    client, back = connect(one), connect(two)
    one.user("ann").claim(client)
    assert two.restore(back, one.token(client))
    settle(one, two)
    assert two.store.owner("ann") == back.number
    assert two.user("ann").connections() == [back.id]


def test_user_that_somebody_else_has_by_now(hubs: Make, caplog: pytest.LogCaptureFixture) -> None:
    (hub,) = hubs(1, SETTINGS)
    client, token = client_with_all(hub)
    client.lose()
    assert hub.user("ann").claim(connect(hub))
    back = connect(hub)
    with caplog.at_level(logging.INFO):
        assert hub.restore(back, token)
    assert "somebody else has its user" in caplog.text
    assert hub.connection(back).user() is None
    assert set(back.links.groups) == {"plain", "room"}


# -- refused -------------------------------------------------------------------------------------------------------
def test_three_strikes(hubs: Make, caplog: pytest.LogCaptureFixture) -> None:
    one, two = hubs(2, SETTINGS)
    client, token = client_with_all(one)
    number, secret = token.split(".")
    forger = connect(two)
    assert not two.restore(forger, f"{number}.{secret[:-1]}?")
    assert not two.restore(forger, f"{number}.")
    with pytest.raises(Refused, match="too many"):
        two.restore(forger, number)
    assert forger.closed_with == (4403, "too many wrong tokens")
    assert client.is_open
    assert secret not in caplog.text
    assert two.restore(connect(two), token)  # the right one is as good as ever


@pytest.mark.parametrize("token", ["", ".", "x", "\ud800", "9" * 5000, "1." + "x" * 5000, "-1.x", "\u0661.x", f"{1 << 63}.x"])
def test_texts_that_are_no_token(hubs: Make, token: str) -> None:
    (hub,) = hubs(1, SETTINGS)
    assert not hub.restore(connect(hub), token)


def test_own_token_takes_nothing_over(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client, token = client_with_all(hub)
    assert not hub.restore(client, token)
    assert client.is_open
    assert has_all(client)


def test_token_of_another_user(hubs: Make) -> None:
    """It is refused, and its own user may still show it."""
    (hub,) = hubs(1, SETTINGS)
    client, token = client_with_all(hub)
    client.lose()
    with pytest.raises(Refused, match="another user"):
        hub.restore(connect(hub, identity=Identity("eve")), token)
    settle(hub)
    assert hub.user("ann").count() == 0
    back = connect(hub, identity=Identity("ann"))
    assert hub.restore(back, token)
    assert has_all(back)


def test_token_is_nowhere_but_with_its_client(hubs: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = MachineStore(tmp_path)
    (hub,) = hubs(1, SETTINGS, store)
    with caplog.at_level(logging.DEBUG):
        client, token = client_with_all(hub)
        client.lose()
        settle(hub)
    secret = token.split(".")[1].encode()
    assert all(secret not in path.read_bytes() for path in tmp_path.iterdir())
    assert secret.decode() not in caplog.text


# -- what cannot be kept -------------------------------------------------------------------------------------------
def test_data_that_cannot_be_kept_are_left_out(hubs: Make, caplog: pytest.LogCaptureFixture) -> None:
    (hub,) = hubs(1, SETTINGS)
    client, token = client_with_all(hub)
    within: list[Any] = []
    within.append(within)
    client.data.update({"thing": object(), "huge": 1 << 64, "half": "\ud800", "within": within})
    with caplog.at_level(logging.INFO):
        client.lose()
    for name in ("thing", "huge", "half", "within"):
        assert f"its {name} cannot be kept" in caplog.text
    back = connect(hub)
    assert hub.restore(back, token)
    assert has_all(back)


@pytest.mark.parametrize("still_open", [False, True])
def test_info_that_became_untellable(hubs: Make, still_open: bool) -> None:
    """Nothing is kept then, and all is in order all the same."""
    (hub,) = hubs(1, SETTINGS)
    client = connect(hub)
    info: dict[str, Any] = {}
    hub.group("plain").add(client, info)
    hub.user("ann").add(client)
    token = hub.token(client)
    info["thing"] = object()
    if not still_open:
        client.lose()
    assert not hub.restore(connect(hub), token)
    assert client.is_open == still_open
    client.lose()
    settle(hub)
    assert set(hub._targets) == {"s:chat"}
    assert hub.keeping._on_the_way == {}


# -- faults --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("call", ["enter", "owner", "position"])
def test_store_that_fails_in_the_middle(hubs: Make, call: str) -> None:
    """The token is good for another time, on the same connection or another."""
    store = Troubled()
    one, two = hubs(2, SETTINGS, store)
    client, token = client_with_all(one)
    one.group("log").add(client)
    client.lose()
    settle(one)
    store.broken.add(call)
    back = connect(two)
    with pytest.raises(Overloaded):
        two.restore(back, token)
    store.broken.clear()
    settle(two)
    assert two.restore(back, token)
    two.group("log").discard(back)
    assert has_all(back)
    settle(two)
    assert not two.restore(connect(two), token)


@pytest.mark.parametrize("call", ["take", "enter"])
def test_connection_that_is_lost_in_the_middle(hubs: Make, call: str) -> None:
    """Its client does not know its new token yet: it may show the old one again."""
    store = Troubled()
    one, two = hubs(2, SETTINGS, store)
    client, token = client_with_all(one)
    one.user("ann").discard(client)
    one.user("ann").claim(client)
    client.lose()
    settle(one)
    gate = store.gate(call)
    lost = connect(two)
    restoring = green.spawn(two.restore, lost, token)
    wait_until(lambda: store.waiting[call])
    lost.lose()
    gate.set()
    assert restoring.get(timeout=PATIENCE) is False
    settle(one, two)
    back = connect(one)
    assert one.restore(back, token)
    assert has_all(back)
    assert back.links.claimed


def test_silent_owner(hubs: Make) -> None:
    """Nobody waits for it longer than conf says."""
    one, two = hubs(2, HubSettings(wait=0.02))
    client = connect(one)
    token = one.token(client)
    one.relay._receiver = None  # type: ignore[attr-defined]
    assert not two.restore(connect(two), token)


def test_store_without_room_at_the_moment_gets_the_record_later(hubs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "_PAUSE", 0.001)
    store = Troubled()
    one, two = hubs(2, HubSettings(keep=30.0), store)
    store.broken.add("keep")
    client = connect(one)
    token = one.keeping.token(client)
    client.lose()
    wait_until(lambda: store.calls["keep"] > 3)
    store.broken.clear()
    assert one.later.wait(5)
    one.stop()
    assert two.keeping.restore(connect(two), token)


def test_store_that_takes_nothing_leaves_only_so_many_records_here(hubs: Make) -> None:
    store = Troubled()
    (hub,) = hubs(1, HubSettings(keep=30.0, kept=2), store)
    gate = store.gate("keep")
    tokens = []
    for _ in range(4):
        client = connect(hub)
        tokens.append(hub.keeping.token(client))
        client.lose()
        wait_until(lambda: store.waiting["keep"] == 1)
    assert [hub.keeping.restore(connect(hub), token) for token in tokens[1:]] == [False, True, True]
    gate.set()


def test_record_on_its_way_is_stored_before_the_end(hubs: Make) -> None:
    store = Troubled()
    one, two = hubs(2, SETTINGS, store)
    store.slow = True
    tokens: list[str] = []
    for _ in range(50):
        client = connect(one)
        one.group("plain").add(client)
        tokens.append(one.token(client))
        client.lose()
    one.stop()
    store.slow = False
    assert all(two.restore(connect(two), token) for token in tokens)


def test_nothing_of_a_gone_connection_is_sent(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client = connect(hub)
    hub.group("log").add(client)
    hub.histories.go_back("log", client, (0, "old"))
    assert hub.keeping.told(client)
    client.lose()
    assert client.links.after is None
    assert hub.keeping.told(client) == {}
    assert hub.keeping._missed == {}


def test_keeps_for_as_long_as_was_configured(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client, _ = client_with_all(hub)
    assert hub.keeping.gone(client, client.links) == SETTINGS.keep
    assert hub.keeping.gone(connect(hub), Links()) == 0


def test_events_of_coming_back(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client, token = client_with_all(hub)
    client.lose()
    settle(hub)
    heard: list[Any] = []
    for kind in (GroupJoined, ConnectionRestored):
        hub.events.on(kind, heard.append)
    back = connect(hub)
    hub.restore(back, token)
    settle(hub)
    assert heard == [GroupJoined("plain", back), GroupJoined("room", back), ConnectionRestored(back, client.number)]


# -- identities that expire ----------------------------------------------------------------------------------------
def test_nothing_is_kept_of_whose_identity_has_expired(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client = connect(hub, identity=Identity("ann", expires=time.time() - 1))
    hub.identified(client)
    token = hub.token(client)
    client.lose()
    assert not hub.restore(connect(hub), token)


@pytest.mark.parametrize("open_", [False, True], ids=["lost", "still open"])
def test_what_is_kept_is_over_with_the_identity(hubs: Make, open_: bool) -> None:
    (hub,) = hubs(1, SETTINGS)
    until = time.time() + 3600
    client = connect(hub, identity=Identity("ann", expires=until))
    hub.identified(client)
    token = hub.token(client)
    client.lose()
    back = connect(hub)
    assert hub.restore(back, token)
    assert (hub.connection(back).user(), back.links.expires) == ("ann", until)
    back.links.expires = time.time() - 1  # as after an hour; it has no identity of its own
    token = hub.token(back)
    if not open_:
        back.lose()
    again = connect(hub)
    assert not hub.restore(again, token)
    assert hub.connection(again).user() is None


def test_who_goes_on_for_an_identity_is_closed_when_it_expires(hubs: Make) -> None:
    (hub,) = hubs(1, SETTINGS)
    client = connect(hub, identity=Identity("ann", expires=time.time() + 3600))
    hub.identified(client)
    token = hub.token(client)
    client.lose()
    back, own = connect(hub), connect(hub)
    assert hub.restore(back, token)
    token = hub.token(back)
    hub.keeping.close_expired()
    assert back.is_open
    back.links.expires = time.time() - 1
    hub.keeping.close_expired()
    assert back.closed_with == (4401, "the identity has expired")
    assert own.is_open
    assert not hub.keeping._expiring
