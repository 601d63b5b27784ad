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


class OwnConnectionNeeded(RedisError):
    """The command changes its connection, or needs one to itself, and this client's is shared; the text says what to do."""
