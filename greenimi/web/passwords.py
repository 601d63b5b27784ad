"""Passwords and API keys as they are kept: nobody who reads what is kept can show them.  And how often somebody may guess."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
from collections import OrderedDict
from collections.abc import Hashable
from functools import cache
from threading import Lock
from time import monotonic

from greenimi import green
from greenimi.errors import Refusal

_WORK = 2**14
_BLOCK = 8
_TIMES = 5
_SALT_BYTES = 16
_MOST_MEMORY = 256 << 20
_IPV4_WITHIN = bytes(10) + b"\xff\xff"  # how addresses of IPv4 begin that are written as those of IPv6


def hash_password(password: str, *, work: int = _WORK) -> str:
    """What is kept of a password: ``scrypt$...``, with a salt of its own.  Takes a tenth of a second or two and 16 MiB, by ``work``."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${work}${_BLOCK}${_TIMES}${_text(salt)}${_text(_scrypt(password, salt, work, _BLOCK, _TIMES))}"


def verify_password(password: str, kept: str) -> bool:
    """Whether ``kept`` was made of this password.  Takes as long as making it.  Raises ValueError when it was made by somebody else."""
    digest, salt, *costs = _read(kept)
    return hmac.compare_digest(_scrypt(password, salt, *costs), digest)


def check_kept(kept: str) -> None:
    """Raise ValueError for what ``hash_password`` did not make."""
    _read(kept)


def _read(kept: str) -> tuple[bytes, bytes, int, int, int]:
    """Digest and salt, and what it cost."""
    kind, *parts = kept.split("$")
    try:
        work, block, times = map(int, parts[:3])
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[3:])
    except ValueError:
        kind = ""
    if kind != "scrypt":
        raise ValueError("what is kept of a password is not what greenimi.web.hash_password makes")
    return digest, salt, work, block, times


def _scrypt(password: str, salt: bytes, work: int, block: int, times: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=work, r=block, p=times, maxmem=_MOST_MEMORY)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def new_key() -> str:
    """An API key that nobody guesses: 32 random bytes as text."""
    return secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What is kept of an API key or token.  A fast hash does, because they are too long to be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()


class Guesses:
    """Counts wrong guesses: ``limit`` of them in ``seconds`` for each key.

    Each process counts for itself, and the ``most`` keys that guessed last only.
    """

    def __init__(self, limit: int, seconds: float = 60.0, most: int = 10_000) -> None:
        self._limit = limit
        self._seconds = seconds
        self._most = most
        self._wrong: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()  # how many, and until when they count

    def check(self, key: Hashable) -> None:
        """Raises a Refusal (429) when ``key`` guessed too often."""
        count, until = self._wrong.get(key, (0, 0.0))
        left = until - monotonic()
        if count >= self._limit and left > 0:
            raise Refusal("too many wrong guesses", status=429, headers=[("Retry-After", str(int(left) + 1))])

    def wrong(self, key: Hashable) -> None:
        """Count one."""
        count, until = self._wrong.pop(key, (0, 0.0))
        now = monotonic()
        self._wrong[key] = (count + 1, until) if until > now else (1, now + self._seconds)
        if len(self._wrong) > self._most:
            self._wrong.popitem(last=False)


class PasswordChecker:
    """Checks passwords one at a time, in a thread, so that neither time nor memory is given to whoever asks for it.

    Who was right is remembered for ``remember`` seconds.  An address may be wrong ``guesses`` times a minute (of IPv6 a network of 64
    bits, which is what one client has), a user ten times as often: then the rest of that minute nobody is heard but who is remembered.
    """

    def __init__(self, guesses: int = 10, remember: float = 300.0, most: int = 10_000) -> None:
        self._remember = remember
        self._most = most
        self._secret = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, float] = OrderedDict()  # until when
        self._by_address = Guesses(guesses)
        self._by_user = Guesses(10 * guesses)
        self._one_at_a_time = Lock()

    def right(self, address: str, user: str, password: str, kept: str | None) -> bool:
        """Whether ``kept`` was made of the password.  None: there is no such user, and it takes as long to say so.

        Raises a Refusal (429) for too many wrong guesses, ValueError for a ``kept`` that ``hash_password`` did not make.
        """
        address = _one_client(address)
        told = "\0".join((user, kept or "", password)).encode()
        digest = hmac.digest(self._secret, told, "sha256")
        if self._remembered.get(digest, 0.0) > monotonic():
            return True
        with self._one_at_a_time:
            self._by_address.check(address)
            self._by_user.check(user)
            right = green.in_thread(_verify, password, kept)
        if not right or kept is None:
            self._by_address.wrong(address)
            self._by_user.wrong(user)
            return False
        self._remembered[digest] = monotonic() + self._remember
        if len(self._remembered) > self._most:
            self._remembered.popitem(last=False)
        return True


def _one_client(address: str) -> str:
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:  # of IPv4, or a name that a proxy gave
        return address
    return address if packed.startswith(_IPV4_WITHIN) else packed[:8].hex()


def _verify(password: str, kept: str | None) -> bool:
    return verify_password(password, kept or _nobodys())


@cache
def _nobodys() -> str:
    """What is kept of a password that nobody knows."""
    return hash_password(new_key())
