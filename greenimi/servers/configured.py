"""The servers that conf names, checked as far as that is possible without opening or importing anything of the application."""

from __future__ import annotations

import difflib
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from greenimi.codec.deflate import LARGEST_WINDOW, SMALLEST_WINDOW
from greenimi.codec.framing import framing_from
from greenimi.codec.payload import payload_from
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig
from greenimi.servers.entrance.tls import check_entrance
from greenimi.servers.origin import Origins
from greenimi.servers.settings import KeepaliveSettings, ServerSettings
from greenimi.servers.sockets import Address
from greenimi.web.settings import Http2Settings
from greenimi.web.urls import check_base

Check = Callable[[str, Callable[[], object]], None]

KINDS = ("http", "tcp", "udp")
SLOW = ("close", "drop", "conflate")

_HTTP_ONLY = (
    "access_log",
    "client",
    "compression",
    "cors",
    "csrf",
    "deflate",
    "error_pages",
    "etag",
    "http2",
    "max_frame",
    "mount",
    "origins",
    "ping_interval",
    "ping_jitter",
    "ping_timeout",
    "request_id",
    "routing",
    "security",
    "session",
    "static",
    "templates",
    "uploads",
    "views",
)

_ONLY = (
    (("http",), _HTTP_ONLY),
    (("tcp",), ("half_close",)),
    (("http", "tcp"), ("message_rate", "tcp_keepalive", "user_rate")),
    (("udp",), ("in_order", "peer_bytes", "peer_time", "peers")),
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
    for kinds, keys in _ONLY:
        if settings.kind not in kinds:
            for key in keys:
                check(key, partial(_unused, key, settings, kinds))
    _check_entrance(config, path, settings)
    check("bind", lambda: _usable(Address.parse(settings.bind), settings.kind))
    check("http2", lambda: _windows(settings.http2))
    check("client", lambda: _one_path(settings.client))
    check("mode", lambda: permissions(settings.mode))
    check("routing.base", lambda: check_base(settings.routing.base))
    check("outbox", lambda: _larger(settings.outbox, settings.high_water))
    check("slow", lambda: _one_of(settings.slow, SLOW))
    check("tcp_keepalive", lambda: _keepalive(settings.tcp_keepalive))
    check("requests", lambda: _at_least(1, settings.requests))
    _check_websockets(settings, check)
    for key in ("half_close", "message_rate", "peer_bytes", "peer_time", "peers", "user_rate"):
        check(key, partial(_at_least, 0, getattr(settings, key)))
    _check_layers(settings, check)
    _check_folders(settings, check)
    if ":" not in settings.payload:  # a class of the application is imported when it is built
        check("payload", lambda: payload_from(settings.payload))
    if settings.kind == "tcp" and ":" not in settings.framing:
        check("framing", lambda: framing_from(framing_table(settings)))
        check("framing", lambda: _holds(settings))


def _check_websockets(settings: ServerSettings, check: Check) -> None:
    deflate = settings.deflate
    check("origins", lambda: Origins(settings.origins))
    check("max_frame", lambda: _at_least(0, settings.max_frame))
    check("ping_interval", lambda: _at_least(0, settings.ping_interval))
    check("ping_jitter", lambda: _from_to(0, 1, settings.ping_jitter))
    check("ping_timeout", lambda: _at_least(1, settings.ping_timeout))
    check("deflate.level", lambda: _from_to(1, 9, deflate.level))
    check("deflate.minimum", lambda: _at_least(0, deflate.minimum))
    check("deflate.window", lambda: _from_to(SMALLEST_WINDOW, LARGEST_WINDOW, deflate.window))


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


def _one_of(word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        close = difflib.get_close_matches(word, known, 1)
        raise ConfigError(f"{word!r} is none of {', '.join(known)}", hint=f"did you mean {close[0]}?" if close else "")


def _usable(address: Address, kind: str) -> None:
    if kind == "udp" and address.family == socket.AF_UNIX:
        raise ConfigError("a udp server cannot listen on a Unix socket: its clients have no address to answer to")


def _holds(settings: ServerSettings) -> None:
    """A number in MessagePack may be a line's end."""
    if settings.payload == "msgpack" and settings.framing in ("line", "delimiter"):
        raise ConfigError(f"{settings.framing} would cut MessagePack in two", hint='set framing = "length32", or payload = "json"')


def _one_path(path: str) -> None:
    if path and (not path.startswith("/") or path.endswith("/")):
        raise ConfigError(f"{path!r} is not the path of a file", hint='write it like "/greenimi.js"')


def _unused(key: str, settings: ServerSettings, kinds: tuple[str, ...]) -> None:
    """What a server never looks at is a mistake."""
    if getattr(settings, key) != getattr(ServerSettings(), key):
        article = "an" if settings.kind == "http" else "a"
        raise ConfigError(f"{article} {settings.kind} server has none of this", hint=f"it is for servers of the kind {' or '.join(kinds)}")


def _windows(http2: Http2Settings) -> None:
    """A client may fill windows of 65535 bytes before it hears of others (RFC 9113 section 6.9.2)."""
    if not 65535 <= http2.window <= http2.connection_window < 2**31:
        raise ConfigError("window and connection_window are 65535 bytes at least, the second no less than the first, and below 2**31")
    if http2.streams < 1 or http2.unrest < 1:
        raise ConfigError("streams and unrest are 1 at least")


def _keepalive(settings: KeepaliveSettings) -> None:
    """What kernels take."""
    if not (0 <= settings.idle < 2**15 and 1 <= settings.interval < 2**15 and 1 <= settings.count < 2**7):
        raise ConfigError("idle is 0 to 32767 seconds, interval 1 to 32767 seconds, count 1 to 127")


def _at_least(least: int, value: float) -> None:
    if value < least:
        raise ConfigError(f"{value:g} is less than {least}")


def _from_to(least: int, most: int, value: float) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{value:g} is not from {least} to {most}")


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
        raise ConfigError(
            f"{outbox} must be larger than high_water, which is {high_water}", hint="set high_water beside it, to a half for example"
        )


def framing_table(settings: ServerSettings) -> dict[str, object]:
    """The framing of a server as one table; the packet limit is the server's unless the framing names its own."""
    table: dict[str, object] = {"kind": settings.framing, **settings.framing_options}
    if settings.framing != "fixed" and ":" not in settings.framing:
        table.setdefault("limit", settings.max_message)
    return table
