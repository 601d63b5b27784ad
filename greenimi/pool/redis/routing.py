"""Which way a command travels: over the shared connection, on one of its own for a moment, on one that may block, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from redis.commands import READ_COMMANDS
from redis.utils import str_if_bytes

from greenimi.pool.redis.errors import OwnConnectionNeeded


class Way(Enum):
    """How a command travels.  PIPELINE: only with others in a pipeline, on a connection of its own."""

    SHARED = auto()
    OWN = auto()
    BLOCKING = auto()
    PIPELINE = auto()
    REFUSED = auto()


@dataclass(slots=True)
class Plan:
    """All that there is to know of a command by its name.

    words     the name as it is sent, where that is several words; else None: as it was given
    callback  what redis-py makes of the raw reply
    reads     it changes nothing, so that it may be sent twice
    """

    way: Way
    words: tuple[bytes, ...] | None
    callback: Callable[..., Any] | None
    reads: bool
    hint: str = ""


_PIPELINE = "use pipeline(), or transaction()"
_PUBSUB = "use pubsub()"
_CLIENT = "use client(), which has a connection of its own"
_REFUSED = {
    **dict.fromkeys(("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"), _PIPELINE),
    **dict.fromkeys(("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"), _PUBSUB),
    **dict.fromkeys(("AUTH", "HELLO", "RESET", "READONLY", "READWRITE", "ASKING"), _CLIENT),
    **dict.fromkeys(("CLIENT REPLY", "CLIENT TRACKING", "CLIENT CACHING", "CLIENT SETNAME", "CLIENT SETINFO"), _CLIENT),
    **dict.fromkeys(("CLIENT NO-EVICT", "CLIENT NO-TOUCH"), _CLIENT),
    **dict.fromkeys(("SYNC", "PSYNC", "REPLCONF", "SCRIPT DEBUG"), _CLIENT),
    **dict.fromkeys(("HIMPORT PREPARE", "HIMPORT DISCARD", "HIMPORT DISCARDALL"), "use himport_prepare() and its like"),
    "SELECT": "use a table [redis.NAME] with that db, or client(), which has a connection of its own",
    "MONITOR": "use monitor()",
    "QUIT": "use close()",
}
"""What is about its own connection alone, and what to do instead."""

_PIPELINES_ONLY = frozenset({"WAIT", "WAITAOF"})
"""They wait for what was written on the same connection."""

_OWN = frozenset({"HIMPORT SET"})
"""What works only together with what was sent on the same connection before."""

_BY_SECOND_WORD = frozenset({"CLIENT", "SCRIPT", "HIMPORT"})
"""Of these the second word says what they do."""


def _last(words: tuple[Any, ...]) -> float:
    return float(words[-1])


def _first(words: tuple[Any, ...]) -> float:
    return float(words[1])


def _block(words: tuple[Any, ...]) -> float | None:
    """Of the streams' commands: None when they do not block."""
    texts = [str_if_bytes(word).upper() if isinstance(word, str | bytes) else word for word in words]
    options = texts[4:] if texts[1] == "GROUP" else texts[1:]  # without the names of group and consumer
    if "STREAMS" in options:
        options = options[: options.index("STREAMS")]
    return float(options[options.index("BLOCK") + 1]) / 1000 if "BLOCK" in options else None


_SECONDS: Mapping[str, Callable[[tuple[Any, ...]], float | None]] = {
    **dict.fromkeys(("BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BZPOPMIN", "BZPOPMAX"), _last),
    **dict.fromkeys(("BLMPOP", "BZMPOP"), _first),
    **dict.fromkeys(("XREAD", "XREADGROUP"), _block),
}
"""How long commands that wait at the server do so, by their words."""


def plan_for(args: tuple[Any, ...], callbacks: Mapping[str, Callable[..., Any]]) -> tuple[Plan, bool]:
    """The plan of a command as it is given to ``execute_command``, and whether it is that of all commands with the same first argument.

    There several words may be in one: ``"CLIENT LIST"``.
    """
    given = args[0]
    text = given if isinstance(given, str) else bytes(given).decode("latin-1")
    words = text.upper().split()
    alone = len(words) == 1 and words[0] in _BY_SECOND_WORD and len(args) > 1
    name = f"{words[0]} {str_if_bytes(args[1]).upper()}" if alone else " ".join(words)
    hint = _REFUSED.get(name, "")
    if hint:
        way = Way.REFUSED
    elif name in _PIPELINES_ONLY:
        way, hint = Way.PIPELINE, "use a pipeline that writes and then waits"
    elif name in _SECONDS:
        way = Way.BLOCKING
    elif name in _OWN:
        way = Way.OWN
    else:
        way = Way.SHARED
    sent = tuple(word.encode() for word in text.split()) if len(words) > 1 else None
    callback = callbacks[given] if isinstance(given, str) and given in callbacks else None
    return Plan(way, sent, callback, name in READ_COMMANDS, hint), not alone


def seconds_of(args: tuple[Any, ...]) -> float | None:
    """How long a command that may block waits at the server: 0 for ever, None when it does not."""
    text = args[0] if isinstance(args[0], str) else bytes(args[0]).decode("latin-1")
    try:
        return _SECONDS[text.strip().upper()](args)
    except (ValueError, TypeError, IndexError):  # the server will say what is wrong with it
        return None


def refuse(args: tuple[Any, ...], plan: Plan) -> OwnConnectionNeeded:
    """The error for a command that cannot be sent by this client."""
    return OwnConnectionNeeded(f"{args[0]} is about its own connection, but here all share one; {plan.hint}")
