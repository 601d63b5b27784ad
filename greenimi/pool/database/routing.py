"""Where a statement belongs: to a replica, when it only reads and its answer is the same whoever gives it; to a connection that is held."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

_LONGEST_KEPT = 8192

_COMMENTS = r"\s*(?:(?:/\*(?!!|M!).*?\*/|--\s[^\n]*\n|#[^\n]*\n)\s*)*"

_READS = re.compile(rf"{_COMMENTS}(?:\(\s*)*(?:SELECT|SHOW|WITH|DESC|DESCRIBE|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL)

_OF_CONNECTION = re.compile(
    rf"{_COMMENTS}(?:"
    r"SET\b(?!\s+(?:GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|STATEMENT|DEFAULT\s+ROLE|@@GLOBAL|@@PERSIST|@@PERSIST_ONLY)\b)"
    r"|(?:USE|PREPARE|HANDLER|LISTEN|SAVEPOINT|BEGIN(?!\s+NOT\b)|START\s+TRANSACTION|XA\s+(?:START|BEGIN))\b"
    r"|(?:LOCK\s+(?:TABLES?|INSTANCE)|FLUSH\s+TABLES)\b"
    r"|CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:GLOBAL|LOCAL)\s+)?TEMP(?:ORARY)?\b)",
    re.IGNORECASE | re.DOTALL,
)
_TAKES_LOCK = re.compile(r"\b(?:GET_LOCK|PG_(?:TRY_)?ADVISORY_LOCK(?:_SHARED)?)\s*\(", re.IGNORECASE)

_WORDS = (
    # what writes or locks, wherever it stands: in the statement after WITH, in FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE, INTO OUTFILE
    *("INSERT", "UPDATE", "DELETE", "MERGE", r"REPLACE\s+INTO", "SHARE", "INTO", "LOCK", "PROCEDURE"),
    # the state of one connection
    *("LAST_INSERT_ID", "FOUND_ROWS", "ROW_COUNT", "CONNECTION_ID", "LASTVAL", "CURRVAL", "WARNINGS", "ERRORS", "PG_BACKEND_PID"),
    # locks, sequences and settings
    *("GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS", "IS_FREE_LOCK", "IS_USED_LOCK", r"PG_(?:TRY_)?ADVISORY\w*"),
    *("NEXTVAL", "SETVAL", r"(?:NEXT|PREVIOUS)\s+VALUE", "SET_CONFIG", "PG_NOTIFY", r"LO_\w+"),
    # where the primary or a replica stands
    *(r"MASTER\w*", "SOURCE_POS_WAIT", "BINLOG", r"BINARY\s+LOGS?", r"GTID_\w+", "WAIT_FOR_EXECUTED_GTID_SET", r"PG_CURRENT_\w+"),
)
_NEVER = (r"/\*M?!", r"(?<![\w@])@(?!@)", r"@@(?!GLOBAL\b)", r":=", r";\s*\S")
"""Comments that are executed, user variables, variables of the session, more than one statement."""


def reader(functions: Sequence[str] = ()) -> Callable[[str], bool]:
    """A function that says of a statement whether it is a plain read.  In doubt, it is not: a word in a literal is enough for that.

    ``functions``  names of the application's own that need the primary.
    """
    words = [*_WORDS, *(re.escape(name) for name in functions)]
    refused = re.compile(rf"\b(?:{'|'.join(words)})\b|{'|'.join(_NEVER)}", re.IGNORECASE)

    def is_read(sql: str) -> bool:
        return _READS.match(sql) is not None and refused.search(sql) is None

    kept = lru_cache(maxsize=1024)(is_read)
    return lambda sql: kept(sql) if len(sql) <= _LONGEST_KEPT else is_read(sql)


def is_of_connection(sql: str) -> bool:
    """Whether it leaves something at its connection, of no use elsewhere: a setting, a temporary table, a lock, a transaction begun."""
    return _kept(sql) if len(sql) <= _LONGEST_KEPT else _is_of_connection(sql)


def _is_of_connection(sql: str) -> bool:
    return _OF_CONNECTION.match(sql) is not None or _TAKES_LOCK.search(sql) is not None


_kept = lru_cache(maxsize=1024)(_is_of_connection)
