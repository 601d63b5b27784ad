"""The core rooms, one line each: what every application has without asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi import cache, config, container, event, hub, lock, log, orm, pool, servers, web
from greenimi.cli import commands
from greenimi.container import aspect
from greenimi.pool import database, redis
from greenimi.servers.watch import health

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


def includeme(setup: Setup) -> None:
    """Include the core."""
    setup.include(container)
    setup.include(config)
    setup.include(event)
    setup.include(aspect)
    setup.include(log)
    setup.include(pool)
    setup.include(database)
    setup.include(redis)
    setup.include(lock)
    setup.include(cache)
    setup.include(orm)
    setup.include(web)
    setup.include(hub)
    setup.include(servers)
    setup.include(health)
    setup.include(commands)
