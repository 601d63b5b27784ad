"""Names of tables, counters and channels, and keys of rows."""

from __future__ import annotations

import re

LONGEST = 64

_NAME = re.compile(rf"[\w.:-]{{1,{LONGEST}}}", re.ASCII)
_LONGEST_KEY = 400  # bytes: LMDB takes 511, and before a key stands the name of its table


def check_name(what: str, name: str) -> None:
    """Raises ValueError for a name that cannot be."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of a {what} has up to {LONGEST} letters, digits and any of _.:-, not {name!r}")


def check_key(where: str, key: str) -> str:
    """The key.  Raises ValueError for one that cannot be."""
    if not key or "\0" in key or len(key.encode(errors="replace")) > _LONGEST_KEY:
        raise ValueError(f"a key of {where} has 1 to {_LONGEST_KEY} bytes, and no NUL, not {key[:100]!r}")
    return key
