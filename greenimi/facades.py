"""Stand-ins for what most applications use, importable anywhere: sugar for applications, never used inside the framework.

Each asks the current container at every use, so an override in a test or a hot update shows at once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from greenimi.container.facade import Connection, Message, Request, facade

if TYPE_CHECKING:
    from greenimi.event import Events as _Events
    from greenimi.hub import Hub as _Hub
    from greenimi.interfaces import IConfig as _IConfig

__all__ = ["Config", "Connection", "Events", "Hub", "Log", "Message", "Request"]

Events = cast("_Events", facade("greenimi.event:Events"))
"""``Events.emit(OrderPlaced(...))``"""

Config = cast("_IConfig", facade("greenimi.interfaces:IConfig"))
"""``Config.get("shop.database")``"""

Hub = cast("_Hub", facade("greenimi.hub:Hub"))
"""``Hub.group("lobby").send({"said": text})``"""

Log = logging.getLogger("app")
"""The application's channel: ``Log.info("sold %s", sku)``; ``[log.levels] app = "debug"`` turns it up."""
