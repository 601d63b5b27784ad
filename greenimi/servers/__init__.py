"""The doors: servers as conf names them, controllers as the application marks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


def includeme(setup: Setup) -> None:
    """Read ``[servers.*]`` and ``[workers]``, take controllers, and add the service that opens the doors."""
    from greenimi.servers.room import add_servers  # an operator's command that reads settings alone must not pay for the doors

    add_servers(setup)


__all__ = ["includeme"]
