from __future__ import annotations

from greenimi.hub.links import links_of
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
