"""Values in files: shared by the processes of a machine, and there after a restart."""

from __future__ import annotations

import fcntl
import math
import os
import random
import secrets
import stat
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from zope.interface import implementer

from greenimi.cache.memory import add_to
from greenimi.cache.settings import CacheSettings
from greenimi.errors import ConfigError
from greenimi.green import sleep
from greenimi.interfaces import ICacheStore

__all__ = ["FileStore"]

_FOLDERS = 16
_HEAD = struct.Struct(">dQ")  # when it ends, length of the value
_LOCK_TIME = 5.0
_TURN = 100  # files looked at before others have their turn
_LOOK_EVERY = 64  # new files of a folder, at most, before it is looked at again
_FILLED = 0.9  # how full a folder is, at most, after room was made
_UNFINISHED = 3600.0  # seconds after which what a killed process left behind is removed


@implementer(ICacheStore)
class FileStore:
    """A file for each value, named by a hash of its key, in 16 folders below ``folder/prefix``, which must be this user's alone.

    Files are replaced, never written into; a lock of the operating system for each folder keeps changes apart.  A folder has its share of
    ``max_entries`` and ``max_bytes``; beyond it the files go that were written first.  A value larger than that share is not kept.
    """

    def __init__(self, settings: CacheSettings, now: Callable[[], float] = time.time) -> None:
        if not settings.folder:
            raise ConfigError("the file driver of caches needs a folder", hint='folder = "run/cache" in [cache.NAME]')
        name = settings.prefix.strip(":") or "default"
        if name in (".", "..") or "/" in name or "\0" in name:
            raise ConfigError(f"the prefix {settings.prefix!r} is no name of a folder, which it is for the file driver of caches")
        self._root = Path(settings.folder).absolute() / name
        self._now = now
        self._most = max(1, settings.max_entries // _FOLDERS)
        self._room = max(1, settings.max_bytes // _FOLDERS)
        self._since: dict[Path, int] = {}  # new files and bytes since a folder was looked at
        self._bytes: dict[Path, int] = {}
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = self._root.stat()
        if facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(f"others may write to the folder of a cache, {self._root}", hint="give it to this user alone: chmod 700")

    def _path(self, key: str) -> Path:
        name = sha256(key.encode()).hexdigest()
        return self._root / name[0] / name[1:]

    # -- reading ---------------------------------------------------------------------------------------------------
    def get(self, key: str) -> bytes | None:
        found = self._read(self._path(key))
        return None if found is None else found[0]

    def get_many(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return [self.get(key) for key in keys]

    def _read(self, path: Path) -> tuple[bytes, float] | None:
        """The value, and when it ends."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(data) < _HEAD.size:
            return None
        ends, length = _HEAD.unpack_from(data)
        if ends <= self._now() or len(data) != _HEAD.size + length:  # the machine stopped while it was written
            return None
        return data[_HEAD.size :], ends

    # -- writing ---------------------------------------------------------------------------------------------------
    def set(self, key: str, value: bytes, lifetime: float | None) -> None:
        path = self._path(key)
        with self._locked(path.parent):
            self._write(path, value, self._end(lifetime))

    def set_many(self, values: Mapping[str, bytes], lifetime: float | None) -> None:
        for key, value in values.items():
            self.set(key, value, lifetime)

    def add(self, key: str, value: bytes, lifetime: float | None) -> bool:
        path = self._path(key)
        with self._locked(path.parent):
            if self._read(path) is not None:
                return False
            self._write(path, value, self._end(lifetime))
            return True

    def touch(self, key: str, lifetime: float | None) -> bool:
        path = self._path(key)
        with self._locked(path.parent):
            found = self._read(path)
            if found is not None:
                self._write(path, found[0], self._end(lifetime))
            return found is not None

    def increment(self, key: str, by: int, lifetime: float | None) -> int:
        path = self._path(key)
        with self._locked(path.parent):
            value, ends = self._read(path) or (b"0", self._end(lifetime))
            number = add_to(value, by)
            self._write(path, b"%d" % number, ends)
            return number

    def _end(self, lifetime: float | None) -> float:
        return math.inf if lifetime is None else self._now() + lifetime

    def _write(self, path: Path, value: bytes, ends: float) -> None:
        if len(value) > self._room:
            path.unlink(missing_ok=True)
            return
        self._make_room(path.parent, len(value))
        beside = path.with_name(f"{secrets.token_hex(8)}.part")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_HEAD.pack(ends, len(value)) + value)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def _make_room(self, folder: Path, size: int) -> None:
        """Now and then, and when much was written, see what there is, and remove what was written first."""
        since, written = self._since.get(folder, 0) - 1, self._bytes.get(folder, 0) - size
        if since < 0 or written < 0:
            found = sorted(
                ((facts.st_mtime_ns, facts.st_size, Path(entry)) for entry, facts in _entries(folder)), key=lambda each: each[:2]
            )
            total = sum(each[1] for each in found) + size
            count = len(found) + 1
            if count > self._most or total > self._room:  # a little more, so that it is not full again at once
                while found and (count > self._most * _FILLED or total > self._room * _FILLED):
                    _, each, path = found.pop(0)
                    path.unlink(missing_ok=True)
                    count, total = count - 1, total - each
            since = min(_LOOK_EVERY, (self._most - count) // 2)
            written = (self._room - total) // 2
        self._since[folder], self._bytes[folder] = since, written

    # -- forgetting ------------------------------------------------------------------------------------------------
    def delete(self, key: str) -> bool:
        path = self._path(key)
        with self._locked(path.parent):
            found = self._read(path) is not None
            path.unlink(missing_ok=True)
            return found

    def delete_many(self, keys: Sequence[str]) -> int:
        return sum([self.delete(key) for key in keys])

    def clear(self) -> None:
        for folder in self._folders():
            with self._locked(folder):
                for entry, _ in _entries(folder):
                    Path(entry).unlink(missing_ok=True)

    def collect(self, limit: int) -> int:
        """Of one of the folders, taken at random."""
        folders = self._folders()
        if not folders:
            return 0
        folder = random.choice(folders)  # noqa: S311 - no secret
        over: list[Path] = []
        for number, (entry, facts) in enumerate(_entries(folder)):
            if len(over) >= limit:
                break
            path = Path(entry)
            if entry.name.endswith(".part"):
                if facts.st_mtime + _UNFINISHED <= self._now():
                    over.append(path)
            elif self._read(path) is None:
                over.append(path)
            if number % _TURN == _TURN - 1:
                sleep(0)
        with self._locked(folder):
            for path in over:
                if path.suffix == ".part" or self._read(path) is None:  # nobody revived it meanwhile
                    path.unlink(missing_ok=True)
        return len(over)

    def close(self) -> None:
        """The files stay."""

    # -- folders ---------------------------------------------------------------------------------------------------
    def _folders(self) -> list[Path]:
        return [path for path in self._root.iterdir() if path.is_dir()]

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        """Alone in the folder.  Who holds the lock waits for nothing, so it is other processes only that one ever waits for."""
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
                        raise TimeoutError(f"the values in {folder} are locked by another process") from None
                    sleep(0.001)
            yield
        finally:
            os.close(descriptor)  # and with it the lock


def _entries(folder: Path) -> list[tuple[os.DirEntry[str], os.stat_result]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != ".lock":
                try:
                    found.append((entry, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:  # replaced or removed meanwhile
                    continue
    return found
