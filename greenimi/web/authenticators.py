"""The usual ways to say who one is.  Each is a class that an application completes by a lookup, and marks ``@authenticator``."""

from __future__ import annotations

import base64
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property

from greenimi.errors import ConfigError, Unauthorized
from greenimi.message import Identity, Message, Request
from greenimi.web.identity import CHALLENGE, has_expired
from greenimi.web.passwords import PasswordChecker, check_kept, hash_key
from greenimi.web.session import session_of
from greenimi.web.settings import IdentitySettings

_LONGEST_USER = 256
_is_digest = re.compile("[0-9A-Fa-f]{64}").fullmatch


def credentials(request: Request, scheme: str) -> str | None:
    """What the field Authorization says in a scheme, None when it says nothing or speaks another one."""
    found, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip(" ") if found.lower() == scheme else None


def _field(message: Message, name: str) -> str | None:
    """A text in the payload of a message."""
    value = message.data.get(name) if isinstance(message.data, dict) else None
    return value if isinstance(value, str) else None


class Bearer(ABC):
    """``Authorization: Bearer TOKEN``; for messages their field ``token``.

    ``find`` should compare hashes of tokens (``greenimi.web.hash_key``), or with ``hmac.compare_digest``: by the time that a plain
    comparison takes, a token can be found out bit by bit.
    """

    realm = "greenimi"
    message_field = "token"

    @abstractmethod
    def find(self, token: str) -> Identity | None:
        """Whose token it is; None when it is nobody's."""

    @property
    def challenge(self) -> str:
        return f"Bearer realm={_quoted(self.realm)}"

    def authenticate(self, message: Message) -> Identity | None:
        token = credentials(message, "bearer") if isinstance(message, Request) else _field(message, self.message_field)
        if token is None:
            return None
        identity = self.find(token)
        if identity is None:
            raise Unauthorized("the token is not valid", headers=[(CHALLENGE, f'{self.challenge}, error="invalid_token"')])
        return identity


class ApiKey(ABC):
    """A key in a field of the header, or in the query where ``query`` names a parameter; for messages their field ``key``."""

    realm = "greenimi"
    header = "X-API-Key"
    query = ""
    message_field = "key"

    @abstractmethod
    def find(self, digest: str) -> Identity | None:
        """Whose key it is of which ``greenimi.web.hash_key`` makes ``digest``; None when it is nobody's."""

    @property
    def challenge(self) -> str:
        return f"ApiKey realm={_quoted(self.realm)}"

    def authenticate(self, message: Message) -> Identity | None:
        key = self._shown(message) if isinstance(message, Request) else _field(message, self.message_field)
        if key is None:
            return None
        identity = self.find(hash_key(key))
        if identity is None:
            raise Unauthorized("the key is not valid", headers=[(CHALLENGE, self.challenge)])
        return identity

    def _shown(self, request: Request) -> str | None:
        key = request.headers.get(self.header)
        if key is None and self.query:
            key = request.query.get(self.query, [None])[-1]
        return key


@dataclass(frozen=True)
class Account:
    """Somebody with a password: ``password`` is what ``hash_password`` made of it."""

    identity: Identity
    password: str = field(repr=False)


class Basic(ABC):
    """``Authorization: Basic`` (RFC 7617); for messages their fields ``user`` and ``password``.

    Passwords are checked one at a time, in a thread of their own.  Who was right is remembered for five minutes.  An address, and a user,
    may be wrong ``guesses`` times a minute (a user ten times as often), in each process; then the answer is 429.
    """

    realm = "greenimi"
    guesses = 10

    @abstractmethod
    def find(self, user: str) -> Account | None:
        """The account of a user; None when there is none."""

    @property
    def challenge(self) -> str:
        return f'Basic realm={_quoted(self.realm)}, charset="UTF-8"'

    @cached_property
    def _checker(self) -> PasswordChecker:
        return PasswordChecker(self.guesses)

    def authenticate(self, message: Message) -> Identity | None:
        shown = _basic(message) if isinstance(message, Request) else _user(message)
        if shown is None:
            return None
        user, password = shown
        account = self.find(user) if len(user) <= _LONGEST_USER else None
        address = message.client if isinstance(message, Request) else _address(message)
        kept = None if account is None else account.password
        if self._checker.right(address, user[:_LONGEST_USER], password, kept) and account is not None:
            return account.identity
        raise Unauthorized("user or password is wrong", headers=[(CHALLENGE, self.challenge)])


def _basic(request: Request) -> tuple[str, str] | None:
    """User and password of a request.  What cannot be read is nobody's."""
    told = credentials(request, "basic")
    if told is None:
        return None
    try:
        user, _, password = base64.b64decode(told, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


def _user(message: Message) -> tuple[str, str] | None:
    user, password = _field(message, "user"), _field(message, "password")
    return None if user is None or password is None else (user, password)


def _address(message: Message) -> str:
    address = message.connection.address
    return str(address[0]) if isinstance(address, tuple) else ""


# -- the session ---------------------------------------------------------------------------------------------------

_IN_SESSION = "identity"


class SessionIdentity:
    """Who logged in on the session of a request; see :func:`log_in`."""

    challenge = ""

    def authenticate(self, message: Message) -> Identity | None:
        if not isinstance(message, Request):
            return None
        kept = session_of(message).get(_IN_SESSION)
        if not isinstance(kept, dict):
            return None
        identity = Identity(kept["id"], frozenset(kept["roles"]), kept["expires"], kept["claims"])
        return None if has_expired(identity) else identity


def log_in(request: Request, identity: Identity) -> None:
    """Have the session of a request, and those that follow on it, be somebody's.  The session gets a new id.

    Raises NoSession where the server keeps none, TypeError for claims that a session cannot keep.
    """
    session = session_of(request)
    session.regenerate()
    kept = {"id": identity.id, "roles": sorted(identity.roles), "expires": identity.expires, "claims": dict(identity.claims)}
    session.set(_IN_SESSION, kept)
    request.identity = identity


def log_out(request: Request) -> None:
    """End the session of a request."""
    session_of(request).destroy()
    request.identity = None


# -- from conf -----------------------------------------------------------------------------------------------------


class ConfiguredKeys(ApiKey):
    """The keys that conf lists by their hashes."""

    def __init__(self, settings: IdentitySettings) -> None:
        self.realm = settings.realm
        self.header = settings.key_header
        self.query = settings.key_query
        for who, key in settings.keys.items():
            if not _is_digest(key.digest):
                hint = "greenimi.web.hash_key makes it of the key; only the hash stands in conf"
                raise ConfigError(f"identity.keys.{who}.digest: these are not 64 hexadecimal digits", hint=hint)
        self._identities = {key.digest.lower(): Identity(who, frozenset(key.roles)) for who, key in settings.keys.items()}

    def find(self, digest: str) -> Identity | None:
        return self._identities.get(digest)


class ConfiguredUsers(Basic):
    """The users that conf lists with what is kept of their passwords."""

    def __init__(self, settings: IdentitySettings) -> None:
        self.realm = settings.realm
        for name, user in settings.users.items():
            try:
                check_kept(user.password)
            except ValueError as error:
                raise ConfigError(f"identity.users.{name}.password: {error}") from None
        self._accounts = {name: Account(Identity(name, frozenset(user.roles)), user.password) for name, user in settings.users.items()}

    def find(self, user: str) -> Account | None:
        return self._accounts.get(user)


def _quoted(text: str) -> str:
    """As a quoted-string of a header field."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
