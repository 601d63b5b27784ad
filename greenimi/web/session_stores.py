"""Where sessions are kept: the memory of a worker, or files that the workers of a machine share."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from zope.interface import implementer

from greenimi.errors import ConfigError
from greenimi.green import sleep
from greenimi.interfaces import ISessionStore
from greenimi.web.settings import SessionSettings

_LOCK_TIME = 5.0
_TURN = 100  # files looked at before others have their turn
_UNFINISHED = 3600.0  # seconds after which what a killed process left behind is removed
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode


@implementer(ISessionStore)
class MemoryStore:
    """In the memory of this process: for one worker, and gone with it.  Over ``max_sessions`` the least recently used one goes."""

    def __init__(self, settings: SessionSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._most = settings.max_sessions
        self._now = now
        self._sessions: OrderedDict[str, tuple[dict[str, bytes], float]] = OrderedDict()  # with the time of its end; last used last

    def _find(self, key: str) -> tuple[dict[str, bytes], float] | None:
        found = self._sessions.get(key)
        if found is not None and found[1] <= self._now():
            del self._sessions[key]
            return None
        return found

    def get(self, key: str) -> tuple[Mapping[str, bytes], float] | None:
        found = self._find(key)
        if found is None:
            return None
        self._sessions.move_to_end(key)
        return dict(found[0]), found[1] - self._now()

    def set(self, key: str, values: Mapping[str, bytes], lifetime: float) -> None:
        self._keep(key, dict(values), lifetime)
        if len(self._sessions) > self._most:
            self._sessions.popitem(last=False)

    def change(self, key: str, changed: Mapping[str, bytes], removed: Sequence[str], lifetime: float) -> bool:
        found = self._find(key)
        if found is None:
            return False
        self._keep(key, {name: value for name, value in found[0].items() if name not in removed} | dict(changed), lifetime)
        return True

    def _keep(self, key: str, values: dict[str, bytes], lifetime: float) -> None:
        self._sessions[key] = values, self._now() + lifetime
        self._sessions.move_to_end(key)

    def touch(self, key: str, lifetime: float) -> bool:
        return self.change(key, {}, (), lifetime)

    def delete(self, key: str) -> bool:
        return self._find(key) is not None and self._sessions.pop(key, None) is not None

    def collect(self, limit: int) -> int:
        """Of the least recently used, which are looked at ``limit`` at a time."""
        now = self._now()
        oldest = [key for key, _ in zip(self._sessions, range(limit), strict=False)]
        over = [key for key in oldest if self._sessions[key][1] <= now]
        for key in over:
            del self._sessions[key]
        return len(over)


@implementer(ISessionStore)
class FileStore:
    """A file for each session, in 256 folders below one that nobody else may write to.

    There are about ``max_files`` of them at most.

    The workers of one machine share it, and sessions survive a restart.  A file's time of modification is when its session is over.
    Files are replaced, never written into; a lock of the operating system for each of the 256 folders keeps changes apart.
    """

    def __init__(self, settings: SessionSettings, now: Callable[[], float] = time.time) -> None:
        if not settings.folder:
            raise ConfigError("the file driver of sessions needs a folder", hint='folder = "run/sessions" in [servers.NAME.session]')
        self._root = Path(settings.folder).absolute()
        self._now = now
        self._most = max(1, -(-settings.max_files // 256))
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = self._root.stat()
        if facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(f"others may write to the folder of sessions, {self._root}", hint="give it to this user alone: chmod 700")

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / key[2:]

    def get(self, key: str) -> tuple[Mapping[str, bytes], float] | None:
        path = self._path(key)
        try:
            with path.open("rb") as file:
                left = os.fstat(file.fileno()).st_mtime - self._now()
                return (_decode(file.read()), left) if left > 0 else None
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:  # the machine stopped while it was written
            return None

    def set(self, key: str, values: Mapping[str, bytes], lifetime: float) -> None:
        with self._locked(key):
            if not self._path(key).exists():
                self._make_room(self._path(key).parent)
            self._write(key, values, lifetime)

    def _make_room(self, folder: Path) -> None:
        """For one more.  Keys are hashes, so the folders fill evenly, and each has its share of ``max_files``."""
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name != ".lock" and not entry.name.endswith(".part")]
        if len(found) >= self._most:
            found.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
            for entry in found[: len(found) - self._most + 1]:
                Path(entry).unlink(missing_ok=True)

    def change(self, key: str, changed: Mapping[str, bytes], removed: Sequence[str], lifetime: float) -> bool:
        with self._locked(key):
            found = self.get(key)
            if found is None:
                return False
            self._write(key, {name: value for name, value in found[0].items() if name not in removed} | dict(changed), lifetime)
            return True

    def touch(self, key: str, lifetime: float) -> bool:
        with self._locked(key):
            if self.get(key) is None:
                return False
            os.utime(self._path(key), (self._now(), self._now() + lifetime))
            return True

    def delete(self, key: str) -> bool:
        with self._locked(key):
            found = self.get(key) is not None
            self._path(key).unlink(missing_ok=True)
            return found

    def collect(self, limit: int) -> int:
        """Of one of the 256 folders, taken at random."""
        folder = self._root / f"{secrets.randbelow(256):02x}"
        if not folder.is_dir():
            return 0
        over: list[str] = []
        now = self._now()
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if len(over) >= limit:
                    break
                grace = _UNFINISHED if entry.name.endswith(".part") else 0.0
                try:
                    if entry.name != ".lock" and entry.stat(follow_symlinks=False).st_mtime + grace <= now:
                        over.append(entry.name)
                except FileNotFoundError:
                    continue
                if number % _TURN == _TURN - 1:
                    sleep(0)
        for name in over:
            if name.endswith(".part"):
                (folder / name).unlink(missing_ok=True)
            else:
                self._delete_over(folder.name + name)
        return len(over)

    def _delete_over(self, key: str) -> None:
        with self._locked(key):
            path = self._path(key)
            try:
                if path.stat().st_mtime <= self._now():  # nobody revived it meanwhile
                    path.unlink()
            except FileNotFoundError:
                pass

    def _write(self, key: str, values: Mapping[str, bytes], lifetime: float) -> None:
        path = self._path(key)
        beside = path.with_name(f"{secrets.token_hex(8)}.part")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_encode(dict(values)))
                file.flush()
                os.utime(descriptor, (self._now(), self._now() + lifetime))
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Alone in the key's folder.  Who holds the lock waits for nothing, so it is other processes only that one ever waits for."""
        folder = self._root / key[:2]
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + _LOCK_TIME
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise TimeoutError(f"the sessions in {folder} are locked by another process") from None
                    sleep(0.001)
            yield
        finally:
            os.close(descriptor)  # and with it the lock
