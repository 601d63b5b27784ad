"""The session of a client: what a server remembers from one request of a browser to the next."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from greenimi.errors import GreenimiError
from greenimi.interfaces import ISessionStore
from greenimi.message import Request
from greenimi.web.settings import SessionSettings

log = logging.getLogger("greenimi.web")

_RANDOM_BYTES = 24
_is_id = re.compile(r"[A-Za-z0-9_-]{32}").fullmatch  # what 24 random bytes look like
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_CREATED = ""  # where a store has the time of creation: no value of an application has an empty name
_GONE: Any = object()


class Sessions:
    """The sessions of one server.  ``now`` gives seconds since the epoch."""

    def __init__(self, store: ISessionStore, settings: SessionSettings, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.settings = settings
        self.now = now
        self.prefix = f"{settings.prefix}." if settings.prefix else ""

    def time_left(self, created: float) -> float:
        """Seconds that a session may stay without being used, counted from now; not above 0 for one that is too old."""
        settings = self.settings
        return min(settings.idle or settings.lifetime, created + settings.lifetime - self.now())


def key_of(id: str) -> str:
    """Under what a store knows a session: who gets to read the store learns no id."""
    return hashlib.sha256(id.encode()).hexdigest()


class Session:
    """Values by name, kept between the requests of one client.  A dotted name reaches into dicts: ``"cart.tea"``.

    Names stand below the server's ``prefix``; with ``@.`` in front they do not: ``"@.cart"``.  Values are what MessagePack tells: None,
    bool, numbers, text, bytes, lists and dicts; others, such as dates, come back as text.  Lists and dicts may be changed in place.

    Nothing is read before the first use, and nothing written before the end of the request, however that ends.  Of two requests at the
    same time each writes the values (the first part of their names) that it changed: of one that both changed the last write stays.  What
    belongs to a session that ended meanwhile is dropped.
    """

    __slots__ = ("_id", "_left", "_loaded", "_sent", "_sessions", "_stored", "_time_left", "_values", "ended", "fresh")

    def __init__(self, sessions: Sessions, sent: str = "") -> None:
        """``sent``: the id that the client sent; one that the store does not know is never taken over."""
        self._sessions = sessions
        self._sent = sent
        self._loaded = False
        self._id = ""
        self._left = ""  # key of the stored session that this one took the place of
        self._stored: Mapping[str, bytes] | None = None  # None: nothing is stored under the id
        self._time_left = 0.0
        self._values: dict[str, Any] = {}  # those that were asked for or set; _GONE for deleted ones
        self.fresh = False  # the client must be told the id; set by commit
        self.ended = False  # the session that the client knows is no more

    # -- for applications ------------------------------------------------------------------------------------------
    @property
    def id(self) -> str:
        """Unguessable, and as good as a password: never show it, never log it."""
        self._load()
        if not self._id:
            self._id = secrets.token_urlsafe(_RANDOM_BYTES)
        return self._id

    @property
    def is_new(self) -> bool:
        """Nothing is stored under its id yet."""
        self._load()
        return self._stored is None

    @property
    def is_changed(self) -> bool:
        """There is something to be written at the end of the request."""
        return self._loaded and (bool(self._left) or any(self._changes()))

    @property
    def is_used(self) -> bool:
        """Somebody asked for it in this request."""
        return self._loaded

    def get(self, name: str, default: Any = None) -> Any:
        top, path = self._split(name)
        value = self._top(top)
        for part in path:
            value = value.get(part, _GONE) if isinstance(value, dict) else _GONE
        return default if value is _GONE else value

    def __contains__(self, name: str) -> bool:
        return self.get(name, _GONE) is not _GONE

    def set(self, name: str, value: Any) -> None:
        """Raises TypeError for what cannot be stored, and for a name that leads into something that is no dict."""
        _encode(value)
        top, path = self._split(name)
        if not path:
            self._values[top] = value
            return
        inner = self._top(top)
        if inner is _GONE:
            inner = self._values[top] = {}
        for part in path[:-1]:
            if isinstance(inner, dict):
                inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise TypeError(f"{name}: what holds it in the session is {type(inner).__name__}, not a dict")
        inner[path[-1]] = value

    def delete(self, name: str) -> bool:
        """False when there is none."""
        top, path = self._split(name)
        inner = self._top(top)
        for part in path[:-1]:
            inner = inner.get(part, _GONE) if isinstance(inner, dict) else _GONE
        if not path:
            self._values[top] = _GONE
            return inner is not _GONE
        return isinstance(inner, dict) and inner.pop(path[-1], _GONE) is not _GONE

    def once(self, name: str, default: Any = None) -> Any:
        """Read and delete: for what is said on the next page and never again."""
        value = self.get(name, default)
        self.delete(name)
        return value

    def clear(self) -> None:
        """Forget all values; the id stays."""
        self._load()
        self._values = {name: _GONE for name in self._stored or () if name != _CREATED}

    def destroy(self) -> None:
        """End it: for a logout.  What is set from now on belongs to a new session."""
        self.regenerate()
        self._values = {}
        self._stored = None
        self.ended = True

    def regenerate(self) -> None:
        """Go on under a new id, the old one ends: for every login, so that an id known before is worth nothing after it."""
        self._load()
        if self._stored is not None and not self._left:
            self._left = key_of(self._id)
        self._id = ""

    # -- for the layer -----------------------------------------------------------------------------------------------
    def commit(self) -> None:
        """Write what changed.  Raises ValueError when that is more than ``max_size``, TypeError when it cannot be stored."""
        if not self._loaded:
            return
        changed, removed = self._changes()
        if self._stored is None or self._left:
            self._write_anew(changed, removed)
        else:
            self._write_changes(changed, removed)

    def _write_anew(self, changed: dict[str, bytes], removed: list[str]) -> None:
        """Under a new id.  Of an old session that somebody ended meanwhile nothing is brought over."""
        sessions = self._sessions
        known = not self._left or sessions.store.delete(self._left)
        values = {name: value for name, value in (self._stored or {}).items() if known and name not in removed} | changed
        if not values:
            return
        now = sessions.now()
        values[_CREATED] = _encode(now)
        self._check_size(values)
        sessions.store.set(key_of(self.id), values, sessions.time_left(now))
        self.fresh = True

    def _write_changes(self, changed: dict[str, bytes], removed: list[str]) -> None:
        assert self._stored is not None
        store = self._sessions.store
        key = key_of(self._id)
        time_left = self._sessions.time_left(_decode(self._stored[_CREATED]))
        if changed or removed:
            self._check_size({name: value for name, value in self._stored.items() if name not in removed} | changed)
            alive = store.change(key, changed, removed, time_left)
        elif self._time_left < 0.9 * time_left:  # a write for every request would be one too many
            alive = store.touch(key, time_left)
        else:
            return
        if alive:
            self.fresh = self._sessions.settings.persistent
        else:
            log.debug("a session ended while a request used it")

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        if _is_id(self._sent) is None:
            return
        sessions = self._sessions
        found = sessions.store.get(key_of(self._sent))
        if found is not None and _CREATED in found[0] and sessions.time_left(_decode(found[0][_CREATED])) > 0:
            self._stored, self._time_left = found
            self._id = self._sent

    def _split(self, name: str) -> tuple[str, list[str]]:
        """The name of the value that a store knows, and the way into it."""
        rooted = name.startswith("@.")
        top, *path = (name[2:] if rooted else name).split(".")
        if not top:
            raise ValueError(f"{name!r} is no name of a value in a session")
        self._load()
        return (top if rooted else self._sessions.prefix + top), path

    def _top(self, name: str) -> Any:
        value = self._values.get(name)
        if value is None and name not in self._values:
            if self._stored is None or name not in self._stored:
                return _GONE
            value = self._values[name] = _decode(self._stored[name])
        return value

    def _changes(self) -> tuple[dict[str, bytes], list[str]]:
        stored = self._stored or {}
        changed = {}
        removed = []
        for name, value in self._values.items():
            if value is _GONE:
                if name in stored:
                    removed.append(name)
            elif (encoded := _encode(value)) != stored.get(name):
                changed[name] = encoded
        return changed, removed

    def _check_size(self, values: Mapping[str, bytes]) -> None:
        size = sum(len(name) + len(value) for name, value in values.items())
        if size > self._sessions.settings.max_size:
            raise ValueError(f"a session of {size} bytes is over max_size, which is {self._sessions.settings.max_size}")

    def __repr__(self) -> str:
        return f"<Session{' (new)' if self._loaded and self._stored is None else ''}>"


def session_of(request: Request) -> Session:
    """The session of a request.  Raises NoSession where the server keeps none."""
    session: Session | None = request.extra.get("session")
    if session is None:
        raise NoSession("this server keeps no sessions", hint='say where: driver = "memory" (or "file") in [servers.NAME.session]')
    return session


class NoSession(GreenimiError):
    """A session is wanted, and the server keeps none."""
