"""Configuration: files, environment and command line become one tree, bound strictly to frozen dataclasses.

Order, the later wins: dataclass default < ``conf/app.toml`` (or the file given) < ``conf/<environment>.toml`` beside it < ``.env`` <
environment variables (``GREENIMI__CACHE__DEFAULT__DRIVER``) < command line (``--set cache.default.driver=redis``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi.config.config import DEFAULT_CONF, Config, ConfigChanged, load, read_conf
from greenimi.config.env import Env
from greenimi.config.reference import reference
from greenimi.config.secret import MASK, Secret
from greenimi.config.settings import bind, option
from greenimi.container import context

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

__all__ = [
    "DEFAULT_CONF",
    "MASK",
    "Config",
    "ConfigChanged",
    "Env",
    "Secret",
    "bind",
    "current_server",
    "includeme",
    "load",
    "option",
    "read_conf",
    "reference",
]


def includeme(setup: Setup) -> None:
    """Make the Env of a configuration of ours a bean; ``@currentServer`` is the server of the message being handled."""
    config = setup.config
    if isinstance(config, Config):
        config.current_server = current_server
        setup.container.add(Env, config.env)


def current_server() -> str | None:
    """The name of the server whose message is being handled, None outside of one."""
    scope = context.current.get(None)
    server = getattr(scope.connection, "server", None) if scope is not None else None
    return str(server.name) if server is not None else None
