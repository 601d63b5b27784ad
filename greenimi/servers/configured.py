"""The servers that conf names, checked as far as that is possible without opening or importing anything of the application."""

from __future__ import annotations

import difflib
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from greenimi.codec.framing import framing_from
from greenimi.codec.payload import payload_from
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig
from greenimi.servers.entrance.tls import check_entrance
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import Address
from greenimi.web.settings import Http2Settings
from greenimi.web.urls import check_base

Check = Callable[[str, Callable[[], object]], None]

KINDS = ("http", "tcp", "udp")

_HTTP_ONLY = (
    "access_log",
    "compression",
    "cors",
    "csrf",
    "error_pages",
    "etag",
    "http2",
    "mount",
    "request_id",
    "routing",
    "security",
    "session",
    "static",
    "templates",
    "uploads",
    "views",
)


def configured_servers(config: IConfig) -> dict[str, ServerSettings]:
    """Every ``[servers.NAME]`` by name, in the order of conf.  Raises ConfigError naming place, key and what to write instead."""
    found = {name: config.settings(f"servers.{name}", ServerSettings) for name in config.section("servers")}
    for name, settings in found.items():
        _check(config, f"servers.{name}", settings)
    return found


def _check(config: IConfig, path: str, settings: ServerSettings) -> None:
    def check(key: str, make: Callable[[], object]) -> None:
        """``make()`` raises what is wrong with the key."""
        try:
            make()
        except ConfigError as error:
            place = config.place(f"{path}.{key}")
            raise ConfigError(f"{f'{place}: ' if place else ''}{path}.{key}: {error.text}", hint=error.hint) from None

    check("kind", lambda: _known_kind(settings.kind))
    if settings.kind != "http":
        for key in _HTTP_ONLY:
            check(key, partial(_unused, key, settings))
    _check_entrance(config, path, settings)
    check("bind", lambda: _usable(Address.parse(settings.bind), settings.kind))
    check("http2", lambda: _windows(settings.http2))
    check("mode", lambda: permissions(settings.mode))
    check("routing.base", lambda: check_base(settings.routing.base))
    check("outbox", lambda: _larger(settings.outbox, settings.high_water))
    _check_layers(settings, check)
    _check_folders(settings, check)
    if ":" not in settings.payload:  # a class of the application is imported when it is built
        check("payload", lambda: payload_from(settings.payload))
    if settings.kind == "tcp" and ":" not in settings.framing:
        check("framing", lambda: framing_from(framing_table(settings)))


def _check_layers(settings: ServerSettings, check: Check) -> None:
    """What conf asks for is imported, nothing else."""
    if settings.forwarded:
        from greenimi.web.forwarded import check_forwarded

        check("forwarded", lambda: check_forwarded(settings.forwarded, settings.trusted))
    if settings.cors.origins:
        from greenimi.web.cors import Cors

        check("cors", lambda: Cors(settings.cors))
    if settings.security.enabled:
        from greenimi.web.security import SecurityHeaders

        check("security", lambda: SecurityHeaders(settings.security))
    if settings.error_pages.folder:
        from greenimi.web.errorpage import ErrorPages

        check("error_pages", lambda: ErrorPages(settings.error_pages, debug=False))


def _check_folders(settings: ServerSettings, check: Check) -> None:
    for prefix, static in settings.static.items():
        check(f"static.{prefix}.folder", partial(_is_there, static.folder))
    for folder in settings.templates.folders:
        check("templates.folders", partial(_is_there, folder))
    if settings.uploads.folder:
        check("uploads.folder", lambda: _is_there(settings.uploads.folder))


def _is_there(folder: str) -> None:
    if not Path(folder).is_dir():
        hint = f"a relative one is of the directory that the server is started in: {Path.cwd()}"
        raise ConfigError(f"there is no folder {folder}", hint=hint if not Path(folder).is_absolute() else "")


def _check_entrance(config: IConfig, path: str, settings: ServerSettings) -> None:
    try:
        check_entrance(settings)
    except ConfigError as error:  # its text begins with the key
        place = config.place(f"{path}.{error.text.partition(':')[0]}")
        raise ConfigError(f"{f'{place}: ' if place else ''}{path}.{error.text}", hint=error.hint) from None


def _known_kind(kind: str) -> None:
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {close[0]}?" if close else f"known kinds: {', '.join(KINDS)}"
        raise ConfigError(f"there is no kind of server {kind!r}", hint=hint)


def _usable(address: Address, kind: str) -> None:
    if kind == "udp" and address.family == socket.AF_UNIX:
        raise ConfigError("a udp server cannot listen on a Unix socket: its clients have no address to answer to")


def _unused(key: str, settings: ServerSettings) -> None:
    """What a server never looks at is a mistake."""
    if getattr(settings, key) != getattr(ServerSettings(), key):
        raise ConfigError(f"a {settings.kind} server has none of this", hint="it is for servers of the kind http")


def _windows(http2: Http2Settings) -> None:
    """A client may fill windows of 65535 bytes before it hears of others (RFC 9113 section 6.9.2)."""
    if not 65535 <= http2.window <= http2.connection_window < 2**31:
        raise ConfigError("window and connection_window are 65535 bytes at least, the second no less than the first, and below 2**31")
    if http2.streams < 1 or http2.unrest < 1:
        raise ConfigError("streams and unrest are 1 at least")


def permissions(mode: str) -> int:
    """``"0660"`` as a number.  Raises ConfigError."""
    try:
        found = int(mode, 8)
    except ValueError:
        found = -1
    if not 0 <= found <= 0o777:
        raise ConfigError(f"{mode!r} are no permissions of a file", hint='write them in octal: "0660"')
    return found


def _larger(outbox: int, high_water: int) -> None:
    if outbox <= high_water:
        raise ConfigError(f"{outbox} must be larger than high_water, which is {high_water}")


def framing_table(settings: ServerSettings) -> dict[str, object]:
    """The framing of a server as one table; the packet limit is the server's unless the framing names its own."""
    table: dict[str, object] = {"kind": settings.framing, **settings.framing_options}
    if settings.framing != "fixed" and ":" not in settings.framing:
        table.setdefault("limit", settings.max_message)
    return table
