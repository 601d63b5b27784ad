"""Stand-ins for what most applications use, importable anywhere: sugar for applications, never used inside the framework.

Each asks the current container at every use, so an override in a test or a hot update shows at once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from greenimi.container.facade import Connection, Message, Request, facade

if TYPE_CHECKING:
    from greenimi.cache import Cache as _Cache
    from greenimi.event import Events as _Events
    from greenimi.hub import Hub as _Hub
    from greenimi.interfaces import IConfig as _IConfig
    from greenimi.lock import Lock as _Lock
    from greenimi.pool.database.database import Database as _Database
    from greenimi.pool.redis.client import Redis as _Redis

__all__ = ["DB", "Cache", "Config", "Connection", "Events", "Hub", "Lock", "Log", "Message", "Redis", "Request"]

Events = cast("_Events", facade("greenimi.event:Events"))
"""``Events.emit(OrderPlaced(...))``"""

Cache = cast("_Cache", facade("greenimi.cache:Cache", "default"))
"""``Cache.get_or_make("user:42", load_user, 60.0)``; another than ``[cache.default]``: ``container.get(Cache, "reports")``"""

Config = cast("_IConfig", facade("greenimi.interfaces:IConfig"))
"""``Config.get("shop.database")``"""

DB = cast("_Database", facade("greenimi.pool.database:Database", "default"))
"""``DB.rows("SELECT * FROM orders WHERE paid = ?", [0])``; another than ``[database.default]``: ``container.get(Database, "reports")``"""

Hub = cast("_Hub", facade("greenimi.hub:Hub"))
"""``Hub.group("lobby").send({"said": text})``"""

Lock = cast("_Lock", facade("greenimi.lock:Lock", "default"))
"""``with Lock.hold("stock:42", wait=2.0) as held:``; another than ``[lock.default]``: ``container.get(Lock, "reports")``"""

Log = logging.getLogger("app")
"""The application's channel: ``Log.info("sold %s", sku)``; ``[log.levels] app = "debug"`` turns it up."""

Redis = cast("_Redis", facade("greenimi.pool.redis:Redis", "default"))
"""``Redis.get("key")``; another than ``[redis.default]``: ``container.get(Redis, "sessions")``"""
