"""Push to any connection: see :class:`greenimi.hub.hub.Hub`.  Applications use ``greenimi.facades.Hub``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi.errors import ConfigError
from greenimi.event import Events
from greenimi.hub.contexts import Unreachable
from greenimi.hub.delivery import Delivery
from greenimi.hub.events import ConnectionRestored, GroupJoined, GroupLeft, UserJoined, UserLeft
from greenimi.hub.groups import GroupFull
from greenimi.hub.hub import Hub
from greenimi.hub.run_folder import folder_of, open_folder
from greenimi.hub.settings import GroupSettings, HubSettings, check_settings
from greenimi.interfaces import IHubStore, IRelay

if TYPE_CHECKING:
    from greenimi.container import Container
    from greenimi.container.setup import Setup

__all__ = [
    "ConnectionRestored",
    "Delivery",
    "GroupFull",
    "GroupJoined",
    "GroupLeft",
    "GroupSettings",
    "Hub",
    "HubSettings",
    "Unreachable",
    "UserJoined",
    "UserLeft",
    "includeme",
]


def includeme(setup: Setup) -> None:
    """Bring the Hub, and the drivers of its relay and its store that need nothing but this machine."""
    from greenimi.container.beans import BeanBinding, Definition
    from greenimi.hub.local import LocalRelay
    from greenimi.hub.relay import MemoryRelay, NoRelay
    from greenimi.marks import here

    for definition in (
        Definition(NoRelay, provides=(IRelay,), driver="none", where=here(1)),
        Definition(MemoryRelay, provides=(IRelay,), driver="memory", where=here(1)),
        Definition(LocalRelay, provides=(IRelay,), driver="local", where=here(1)),
        Definition(_memory_store, provides=(IHubStore,), driver="memory", where=here(1)),
        Definition(_machine_store, provides=(IHubStore,), driver="machine", where=here(1)),
    ):
        setup.container.bind(BeanBinding(setup.container, definition))
    settings = setup.settings("hub", HubSettings)
    check_settings(settings, setup.config)
    hub = Hub(settings, setup.container.get(Events))
    setup.container.add(Hub, hub)
    setup.add_service(hub, "hub")
    setup.on_commit(lambda: _check(setup.container, settings), order=90)
    hub.drivers = lambda: _drivers(setup.container, settings)


def _check(container: Container, settings: HubSettings) -> None:
    for kind, name in ((IRelay, settings.relay), (IHubStore, settings.store)):
        if name != "auto":
            container.driver(kind, name)


def _drivers(container: Container, settings: HubSettings) -> tuple[IRelay, IHubStore]:
    """Those that conf names; where a master has made a folder for it those that join its workers."""
    together = folder_of(settings) is not None
    relay = ("local" if together else "none") if settings.relay == "auto" else settings.relay
    store = ("machine" if together else "memory") if settings.store == "auto" else settings.store
    return container.driver(IRelay, relay)(settings=settings), container.driver(IHubStore, store)(settings=settings)


def _memory_store(settings: HubSettings) -> IHubStore:
    from greenimi.hub.memory_store import MemoryStore

    return MemoryStore(kept=settings.kept, histories=settings.histories, size=settings.size)


def _machine_store(settings: HubSettings) -> IHubStore:
    from greenimi.hub.machine_store import MachineStore

    folder = folder_of(settings)
    if folder is None:
        raise ConfigError('hub.store: "machine" needs a folder', hint="set [hub] folder, or start it by greenimi serve")
    return MachineStore(open_folder(folder), wait=settings.wait)
