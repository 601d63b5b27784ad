"""What goes wrong on the way to a Redis: redis-py's errors, told apart by what is known of the command."""

from __future__ import annotations

from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as LateAnswer

__all__ = ["UNKNOWN", "LateAnswer", "LostConnection", "NotSent", "OwnConnectionNeeded", "Unanswered"]


UNKNOWN = "it is unknown whether the command was executed"


class NotSent(LostConnection):
    """The command was not executed: it never left."""


class Unanswered(LostConnection):
    """The connection was lost before the answer came: it is unknown whether the command was executed."""

    @classmethod
    def by(cls, address: object, error: BaseException | str) -> Unanswered:
        """``error``: by what the connection to the address was lost."""
        why = str(error).partition(f"; {UNKNOWN}")[0]
        found = cls(f"the connection to {address} was lost: {why}; {UNKNOWN}")
        found.__cause__ = error if isinstance(error, BaseException) else None
        return found


class OwnConnectionNeeded(RedisError):
    """The command changes its connection, or needs one to itself, and this client's is shared; the text says what to do."""
