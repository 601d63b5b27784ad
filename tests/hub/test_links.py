from __future__ import annotations

import pytest

from greenimi.hub.links import close_for_good, comes_back, links_of
from tests.hub.joined import Make, connect


def test_made_when_there_is_something_to_know(hubs: Make) -> None:
    (hub,) = hubs(1)
    client = connect(hub)
    assert client.links is None
    hub.group("a").send("x")
    assert client.links is None  # an idle connection pays nothing
    links = links_of(client)
    assert links_of(client) is links
    assert (links.groups, links.user, links.digest) == ({}, None, None)


@pytest.mark.parametrize(("code", "kept"), [(1001, True), (1012, True), (4500, True), (1000, False), (4403, False), (4409, False)])
def test_who_is_sent_away_has_nothing_to_come_back_to(hubs: Make, code: int, kept: bool) -> None:
    (hub,) = hubs(1)
    client = connect(hub)
    hub.token(client)
    close_for_good(client, code)
    assert (client.links.digest is not None) == kept
    assert comes_back(code) == kept


def test_without_links_there_is_nothing_to_forget(hubs: Make) -> None:
    (hub,) = hubs(1)
    client = connect(hub)
    close_for_good(client, 4403)
    assert client.links is None
