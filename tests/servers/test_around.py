"""Which layers conf puts around requests."""

from __future__ import annotations

from greenimi.container.registry import Container
from greenimi.servers.around import inner_layers, outer_layers
from greenimi.servers.settings import ServerSettings


def test_a_server_pays_for_nothing_that_conf_does_not_ask_for() -> None:
    container = Container("app")
    assert list(outer_layers(ServerSettings(), container)) == []
    assert list(inner_layers(ServerSettings(), container)) == []
